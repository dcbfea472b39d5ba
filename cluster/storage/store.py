"""A store is a flat space of keys under one root; `file:` roots (or plain paths) live in a folder."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import Protocol

from cluster.errors import ConfigError, DataError
from cluster.storage.staging import staged

STAGING = ".staging"


class Store(Protocol):
    """What result sets need of a place for bytes. Keys are relative POSIX paths that cannot leave the root."""

    @property
    def uri(self) -> str: ...

    def exists(self, key: str) -> bool:
        """Whether an object stands at `key`."""

    def read_bytes(self, key: str) -> bytes:
        """The object's bytes; FileNotFoundError where there is none."""

    def list(self, prefix: str) -> Iterator[str]:
        """Keys below a prefix, sorted."""

    def delete(self, key: str) -> None:
        """Remove one object; nothing happens where there is none."""

    def publish_folder(self, folder: Path, key: str, commit_name: str) -> bool:
        """Make a finished local folder visible at `key`, its commit object last.

        Returns:
            False where a committed folder already stands there: the first writer wins and the second is told.

        Raises:
            DataError: something else stands there.
        """

    def fetch_folder(self, key: str) -> Path:
        """A local folder with the objects below `key` (the folder itself where the store is local)."""

    def staging_folder(self) -> AbstractContextManager[Path]:
        """A fresh local folder to prepare a result set in; what is left of it goes when the block ends."""


def check_key(key: str) -> str:
    """Return the key when it names something inside its root that is not staged, else raise."""
    parts = PurePosixPath(key).parts
    if not parts or key.startswith("/") or ".." in parts or "\\" in key or "\0" in key:
        raise ConfigError(f"key {key!r}: keys are relative paths without '..'")
    if parts[0] == STAGING:
        raise ConfigError(f"key {key!r}: {STAGING} holds what is not finished; use another name")
    return key


def open_store(uri: str | Path) -> Store:
    """Open the store that a root URI names: a plain path or `file:/...`. Nothing is made before something is written.

    Raises:
        ConfigError: another scheme, another machine's files, or a path that cannot be a folder.
    """
    text = str(uri)
    scheme, separator, rest = text.partition(":")
    if separator and scheme != "file" and len(scheme) > 1:
        raise ConfigError(f"root '{text}': unknown scheme '{scheme}:'; use a folder or file:/folder")
    path = rest if separator and scheme == "file" else text
    if path.startswith("//") and not path.startswith("///"):
        raise ConfigError(f"root '{text}': names the machine '{path[2:].split('/')[0]}'; use a folder or file:/folder")
    if not path or "\0" in path:
        raise ConfigError(f"root '{text}': names no folder; use a folder or file:/folder")
    return LocalStore(_usable_folder(text, path))


def _usable_folder(root: str, path: str) -> Path:
    """The folder a root names, which need not be there yet."""
    try:
        folder = Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(f"root '{root}': there is no such user; use a folder or file:/folder") from None
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise ConfigError(f"root '{root}': {place} is a file; use a folder that is there or can be made")
    return folder


class LocalStore:
    """A folder. Publishing is one rename, which the file system makes atomic."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.normpath(root.absolute()))

    @property
    def uri(self) -> str:
        return str(self.root)

    def path(self, key: str) -> Path:
        return self.root / check_key(key)

    def exists(self, key: str) -> bool:
        return self.path(key).exists()

    def read_bytes(self, key: str) -> bytes:
        return self.path(key).read_bytes()

    def list(self, prefix: str) -> Iterator[str]:
        base = self.path(prefix) if prefix else self.root
        found = (path for path in base.rglob("*") if path.is_file())
        keys = (path.relative_to(self.root) for path in found)
        return iter(sorted(key.as_posix() for key in keys if key.parts[0] != STAGING))

    def delete(self, key: str) -> None:
        path = self.path(key)
        if path.is_dir():
            # Out of sight first, in one step: a reader never meets a half-deleted folder.
            with self.staging_folder() as grave, contextlib.suppress(FileNotFoundError):  # another deletes it too
                path.rename(grave / path.name)
        else:
            path.unlink(missing_ok=True)

    def publish_folder(self, folder: Path, key: str, commit_name: str) -> bool:
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        for path in [*folder.rglob("*"), folder]:
            _sync(path)
        try:
            folder.rename(target)  # fails where a file or a non-empty folder stands
        except OSError:
            if (target / commit_name).exists():
                return False
            if target.exists():
                raise DataError(
                    f"{target}: stands where a result belongs and is none (it has no {commit_name}); move it away or "
                    "delete it, and run again"
                ) from None
            raise
        _sync(target.parent)
        return True

    def fetch_folder(self, key: str) -> Path:
        return self.path(key)

    def staging_folder(self) -> AbstractContextManager[Path]:
        return staged(self.root / STAGING)


def _sync(path: Path) -> None:
    """Flush a file or folder to the disk, so that a power cut after the rename loses nothing."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
