"""Result sets: files that appear whole, with checksums, or not at all.

name/...            the files
name/manifest.json  their sizes and SHA-256, and what the writer says about them
name/COMMIT         put last; a folder without it does not exist for readers
"""

import contextlib
import errno
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster.documents import parse_json
from cluster.errors import ConfigError, DataError, WorkError
from cluster.fingerprint import file_sha256
from cluster.storage.store import Store, check_key

MANIFEST = "manifest.json"
COMMIT = "COMMIT"
VERSION = 1
_SHORT_WRITE = re.compile("[0-9]+ requested and [0-9]+ written")  # numpy's words for a disk that is full


@dataclass(frozen=True)
class ResultSet:
    """A committed set of files."""

    name: str
    """Its key under the store's root."""

    folder: Path
    """Local folder that holds the files."""

    about: Mapping[str, Any]
    """What the writer said about them (configuration, counts)."""

    files: Mapping[str, Mapping[str, Any]]
    """Relative path -> {"bytes": int, "sha256": str}."""

    root: str = ""
    """URI of its store: with it and the name another machine fetches the set."""

    def path(self, relative: str) -> Path:
        """Local path of one file of the set."""
        if relative not in self.files:
            raise DataError(f"{self.folder}: holds no file '{relative}'; it has {', '.join(sorted(self.files)[:8])}")
        return self.folder / relative


@contextlib.contextmanager
def write_result_set(
    store: Store,
    name: str,
    about: Mapping[str, Any],
    before_commit: Callable[[], None] | None = None,
    replace: bool = False,
) -> Iterator[Path]:
    """Give a folder to fill; publish it when the block ends well, leave no trace when it fails.

    Another writer that committed the same name first wins; this one's files are dropped (both did the same work,
    since a name is a fingerprint of its inputs).

    Args:
        before_commit: called just before the set becomes visible, to stop a writer that may no longer write
            (`Lease.check`).
        replace: take the place of the set that may stand there, instead of giving way to it.

    Raises:
        WorkError: the disk is full.
    """
    check_key(name)
    with store.staging_folder() as folder, _full_disk_named(folder, name):
        yield folder
        seal(folder, about)
        store.publish_folder(folder, name, COMMIT, before_commit, replace)


@contextlib.contextmanager
def _full_disk_named(folder: Path, name: str) -> Iterator[None]:
    """Say that the disk is full in words of ours: libraries that write say it in theirs, each in another class."""
    try:
        yield
    except Exception as error:
        said = str(error)
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in said
        if full or (isinstance(error, OSError) and _SHORT_WRITE.fullmatch(said)):
            raise WorkError(
                f"{name}: No space left on device for {folder.parent}; make room there and start the same command again"
                " to go on"
            ) from error
        raise


def seal(folder: Path, about: Mapping[str, Any]) -> None:
    """Write the manifest and the commit object of a finished folder."""
    assert not (folder / MANIFEST).exists() and not (folder / COMMIT).exists(), f"{folder}: a writer took our names"
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    manifest = {"version": VERSION, "about": dict(about), "files": files}
    text = json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    (folder / COMMIT).write_text(file_sha256(folder / MANIFEST), encoding="utf-8")


def result_set_exists(store: Store, name: str) -> bool:
    """Whether a committed result set stands at `name`."""
    return store.exists(f"{name}/{COMMIT}")


def open_result_set(store: Store, name: str, verify: bool = True) -> ResultSet:
    """Open a committed set and check its files against the manifest.

    Raises:
        DataError: there is no committed set, or a file is missing, cut short or damaged; it is named.
    """
    if not result_set_exists(store, name):
        raise DataError(f"{store.where(name)}: no committed result set; it was never finished, or the name is another")
    return replace(read_result_set(store.fetch_folder(name), name, verify), root=store.uri)


def read_result_set(folder: Path, name: str, verify: bool = True) -> ResultSet:
    """Read a result set from a local folder; see `open_result_set`."""
    try:
        commit = (folder / COMMIT).read_text(encoding="utf-8")
        if commit != file_sha256(folder / MANIFEST):
            raise DataError(f"{folder / MANIFEST}: does not match its commit object; delete the folder and run again")
        manifest = (folder / MANIFEST).read_bytes()
    except FileNotFoundError as error:
        raise DataError(
            f"{error.filename}: missing; the result set was never finished; delete the folder and run again"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / COMMIT}: cannot be read ({error}); delete the folder and run again") from None
    about, files = parse_manifest(manifest, str(folder / MANIFEST))
    if verify:
        for relative, facts in files.items():
            _check_file(folder / relative, facts)
    return ResultSet(name=name, folder=folder, about=about, files=files)


def parse_manifest(data: bytes, where: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What the writer of a result set said about it, and its files: path -> {"bytes": int, "sha256": str}.

    Args:
        where: names the manifest in errors.

    Raises:
        DataError: it is no manifest, another version's, or names a file outside of its folder.
    """
    try:
        manifest = parse_json(data)
        version, about = manifest["version"], manifest["about"]
        files = {
            check_key(relative): {"bytes": int(facts["bytes"]), "sha256": str(facts["sha256"])}
            for relative, facts in manifest["files"].items()
        }
        if not isinstance(about, dict):
            raise TypeError("'about' is no object")
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, ConfigError) as error:
        raise DataError(f"{where}: not a manifest ({error!r}); delete the folder and run again") from None
    if version != VERSION:
        raise DataError(f"{where}: version {version}, this program reads {VERSION}; use the program that wrote it")
    return about, files


def _check_file(path: Path, facts: Mapping[str, Any]) -> None:
    if not path.is_file():
        raise DataError(f"{path}: missing; delete the result set's folder and run again")
    size = path.stat().st_size
    if size != facts["bytes"]:
        raise DataError(
            f"{path}: has {size} bytes, its manifest says {facts['bytes']}; delete the folder and run again"
        )
    if file_sha256(path) != facts["sha256"]:
        raise DataError(f"{path}: damaged (SHA-256 differs from its manifest); delete the folder and run again")
