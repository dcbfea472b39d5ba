"""A store is a flat space of keys under one root; `file:` roots (or plain paths) live in a folder."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from cluster.errors import ConfigError

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
        """

    def fetch_folder(self, key: str) -> Path:
        """A local folder with the objects below `key` (the folder itself where the store is local)."""

    def staging_folder(self) -> Path:
        """A fresh local folder to prepare a result set in."""


def check_key(key: str) -> str:
    """Return the key when it stays inside its root, else raise."""
    parts = PurePosixPath(key).parts
    if not key or key.startswith("/") or ".." in parts or "\\" in key or "\0" in key:
        raise ConfigError(f"key '{key}': keys are relative paths without '..'")
    return key


def open_store(uri: str | Path) -> Store:
    """Open the store that a root URI names: a plain path or `file:/...`."""
    text = str(uri)
    scheme, separator, rest = text.partition(":")
    if separator and scheme != "file" and len(scheme) > 1:
        raise ConfigError(f"root '{text}': unknown scheme '{scheme}:'; use a folder or file:/folder")
    return LocalStore(Path(rest if separator and scheme == "file" else text).expanduser())


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
            grave = self.root / STAGING / uuid.uuid4().hex
            grave.parent.mkdir(parents=True, exist_ok=True)
            path.rename(grave)
            shutil.rmtree(grave)
        else:
            path.unlink(missing_ok=True)

    def publish_folder(self, folder: Path, key: str, commit_name: str) -> bool:
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        for path in [*folder.rglob("*"), folder]:
            _sync(path)
        try:
            folder.rename(target)  # fails where a non-empty folder stands
        except OSError:
            if (target / commit_name).exists():
                return False
            raise
        _sync(target.parent)
        return True

    def fetch_folder(self, key: str) -> Path:
        return self.path(key)

    def staging_folder(self) -> Path:
        folder = self.root / STAGING / uuid.uuid4().hex
        folder.mkdir(parents=True)
        return folder


def _sync(path: Path) -> None:
    """Flush a file or folder to the disk, so that a power cut after the rename loses nothing."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
