"""A checkout -> one zip file with what a job needs of it, equal for equal files.

Left out is what Ray leaves out too: what `.gitignore` and `.rayignore` files name, in any folder of the checkout, and
version control, virtual environments and byte code.
"""

import hashlib
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.errors import ConfigError
from cluster.fingerprint import fingerprint
from cluster.logs import get_logger

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

LIMIT_BYTES = 100 << 20
"""What a cluster's dashboard takes in one request, jobs' packages included (Ray 2.60: DASHBOARD_CLIENT_MAX_SIZE)."""
_IGNORE_FILES = (".gitignore", ".rayignore")
_NEVER_PACKED = (".git/", ".venv/", "venv/", "__pycache__/")
_CHUNK_BYTES = 1 << 20
_NAMED_FILES = 3
_logger = get_logger("submit")


@dataclass(frozen=True)
class Package:
    """A packed checkout."""

    path: Path
    """The zip file."""
    files: frozenset[str]
    """What is in it: paths relative to the checkout."""
    bytes: int
    """Size of the zip file."""
    digest: str
    """Fingerprint of the files' names and contents."""

    @property
    def size(self) -> str:
        """For people."""
        return f"{len(self.files)} files, {_mib(self.bytes)}"


def pack(checkout: Path, target: Path) -> Package:
    """Pack a checkout into a new zip file.

    Raises:
        ConfigError: it is no folder, holds nothing, or comes to more than a cluster takes; the largest files are named.
    """
    if not checkout.is_dir():
        raise ConfigError(f"--folder {checkout}: no such folder")
    files = sorted(checkout_files(checkout))
    if not files:
        raise ConfigError(f"--folder {checkout}: nothing to pack; everything in it is ignored, or it is empty")
    checksums: dict[str, str] = {}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            checksums[file] = _add(archive, checkout, file)
            if archive.start_dir > LIMIT_BYTES:
                raise ConfigError(_too_large(checkout, files))
    size = target.stat().st_size
    if size > LIMIT_BYTES:
        raise ConfigError(_too_large(checkout, files))
    return Package(target, frozenset(files), size, fingerprint(checksums))


def checkout_files(checkout: Path) -> Iterator[str]:
    """Paths, relative to the checkout, of the files that are packed.

    A link to a file counts as the file; links to folders are not followed, since they may lead anywhere.
    """
    from pathspec import GitIgnoreSpec

    yield from _below(checkout, "", [("", GitIgnoreSpec.from_lines(_NEVER_PACKED))])


def _below(checkout: Path, folder: str, rules: Sequence[tuple[str, "GitIgnoreSpec"]]) -> Iterator[str]:
    rules = [*rules, *_own_rules(checkout, folder)]
    for entry in sorted(os.scandir(checkout / folder), key=lambda entry: entry.name):
        path = f"{folder}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if not _ignored(f"{path}/", rules):
                yield from _below(checkout, f"{path}/", rules)
        elif not _ignored(path, rules):
            if entry.is_file():
                yield path
            elif entry.is_dir():
                _logger.warning("%s: a link to a folder; left out of the package", checkout / path)


def _own_rules(checkout: Path, folder: str) -> Iterator[tuple[str, "GitIgnoreSpec"]]:
    """The rules of a folder's own ignore files; they are about paths relative to it."""
    from pathspec import GitIgnoreSpec

    for name in _IGNORE_FILES:
        path = checkout / folder / name
        if path.is_file():
            yield folder, GitIgnoreSpec.from_lines(path.read_text(encoding="utf-8", errors="replace").splitlines())


def _ignored(path: str, rules: Sequence[tuple[str, "GitIgnoreSpec"]]) -> bool:
    return any(spec.match_file(path.removeprefix(base)) for base, spec in rules)


def _add(archive: zipfile.ZipFile, checkout: Path, file: str) -> str:
    """Add a file with nothing of its own but its bytes and whether it can be run; returns the SHA-256 of the two."""
    path = checkout / file
    runs = bool(path.stat().st_mode & 0o100)
    entry = zipfile.ZipInfo(file)  # dated 1980: when a file was written says nothing about it
    entry.external_attr = (0o755 if runs else 0o644) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.file_size = path.stat().st_size  # from 4 GiB on the format is another
    digest = hashlib.sha256(b"x" if runs else b"-")
    with path.open("rb") as source, archive.open(entry, "w") as packed:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            packed.write(chunk)
    return digest.hexdigest()


def _too_large(checkout: Path, files: Sequence[str]) -> str:
    sizes = sorted(((checkout / file).stat().st_size, file) for file in files)
    largest = ", ".join(f"{file} ({_mib(size)})" for size, file in sizes[: -_NAMED_FILES - 1 : -1])
    return (
        f"--folder {checkout}: more than {_mib(LIMIT_BYTES)} packed, which no cluster takes with a job; name "
        f"what the job does not need in .rayignore, and keep data in the bucket; the largest files: {largest}"
    )


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
