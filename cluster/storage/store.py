"""A store is a flat space of keys under one root: `file:` roots (or plain paths) are folders, `s3:` roots buckets."""

import builtins
import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from cluster.errors import ConfigError, DataError
from cluster.storage.staging import staged, sweep

if TYPE_CHECKING:
    from cluster.storage.storage_config import StorageConfig

STAGING = ".staging"


class Store(Protocol):
    """What result sets need of a place for bytes. Keys are relative POSIX paths that cannot leave the root."""

    @property
    def uri(self) -> str:
        """What `open_store` opens the same store with, in another process and on another machine too."""

    def where(self, key: str) -> str:
        """A key's place in words, for messages."""

    def link(self, key: str) -> str:
        """Path from the root to an object's bytes, for links in pages that are kept in the same store."""

    def exists(self, key: str) -> bool:
        """Whether an object stands at `key`, or anything below it."""

    def read_bytes(self, key: str) -> bytes:
        """The object's bytes; FileNotFoundError where there is none."""

    def write_bytes(self, key: str, data: bytes) -> None:
        """Write an object in one step, over the one that may be there. Not for files of a result set."""

    def create_bytes(self, key: str, data: bytes) -> bool:
        """Write an object where there is none; False where there is one.

        Args:
            data: with something in it that only this writer writes: where an answer is lost, that tells who won.
        """

    def list(self, prefix: str) -> Iterator[str]:
        """Keys below a prefix, sorted; those under names with a leading dot only where the prefix has one."""

    def delete(self, key: str) -> None:
        """Remove an object, or all below a key; readers never take what is left meanwhile for a whole result set."""

    def publish_folder(
        self,
        folder: Path,
        key: str,
        commit_name: str,
        before_commit: Callable[[], None] | None = None,
        replace: bool = False,
    ) -> bool:
        """Make a finished local folder visible at `key`, its commit object last.

        Args:
            before_commit: called when all but the last step is done; what it raises keeps the set from being seen.
            replace: take the place of what stands there.

        Returns:
            False where a committed folder already stands there: the first writer wins and the second is told.

        Raises:
            DataError: something else stands there.
        """

    def fetch_folder(self, key: str) -> Path:
        """A local folder with the files of the result set `key` (the folder itself where the store is local)."""

    def staging_folder(self) -> AbstractContextManager[Path]:
        """A fresh local folder to prepare a result set in; what is left of it goes when the block ends."""

    def collect_garbage(self, older_than_seconds: float, dry_run: bool = False) -> builtins.list[str]:
        """Remove what killed writers left: it was never committed, and nothing was added to it for that long.

        Args:
            dry_run: remove nothing.

        Returns:
            What was removed, or would be.
        """


def check_key(key: str) -> str:
    """Return the key when it names something inside its root that is not staged, else raise."""
    parts = PurePosixPath(key).parts
    if not parts or key.startswith("/") or ".." in parts or "\\" in key or "\0" in key:
        raise ConfigError(f"key {key!r}: keys are relative paths without '..'")
    if parts[0] == STAGING:
        raise ConfigError(f"key {key!r}: {STAGING} holds what is not finished; use another name")
    return key


def is_hidden(key: str) -> bool:
    """Whether a key is for the stores' own use (staging, leases), and no listing shows it that does not ask for it."""
    return key.startswith(".")


def open_store(uri: str | Path, config: "StorageConfig | None" = None) -> Store:
    """Open the store that a root URI names: a plain path, `file:/...` or `s3://bucket/prefix`.

    In a folder nothing is made before something is written.

    Args:
        config: for `s3:` roots; what the URI says counts more, and what neither says the environment may.

    Raises:
        ConfigError: another scheme, another machine's files, or a path that cannot be a folder.
    """
    text = str(uri)
    scheme, separator, rest = text.partition(":")
    if separator and scheme == "s3":
        from cluster.storage.s3 import S3Store

        return S3Store(text, config)
    if separator and scheme != "file" and len(scheme) > 1:
        raise ConfigError(
            f"root '{text}': unknown scheme '{scheme}:'; use a folder, file:/folder or s3://bucket/prefix"
        )
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
        try:
            is_file = place.exists() and not place.is_dir()
        except OSError as error:  # a name that is too long, a folder that may not be looked into
            raise ConfigError(f"root '{root}': cannot be a folder ({error.strerror}); use another") from None
        if is_file:
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

    def where(self, key: str) -> str:
        return str(self.path(key))

    def link(self, key: str) -> str:
        return check_key(key)

    def exists(self, key: str) -> bool:
        return self.path(key).exists()

    def read_bytes(self, key: str) -> bytes:
        return self.path(key).read_bytes()

    def write_bytes(self, key: str, data: bytes) -> None:
        with self._written(key, data) as path:
            path.replace(self.path(key))

    def create_bytes(self, key: str, data: bytes) -> bool:
        with self._written(key, data) as path:
            try:
                self.path(key).hardlink_to(path)  # fails where something stands, and never shows half the bytes
            except FileExistsError:
                return False
        return True

    @contextlib.contextmanager
    def _written(self, key: str, data: bytes) -> Iterator[Path]:
        """The bytes in a file of the same file system; the key's folder is made."""
        self.path(key).parent.mkdir(parents=True, exist_ok=True)
        with self.staging_folder() as folder:
            path = folder / "bytes"
            path.write_bytes(data)
            _sync(path)
            yield path
        _sync(self.path(key).parent)

    def list(self, prefix: str) -> Iterator[str]:
        base = self.path(prefix) if prefix else self.root
        found = (path for path in base.rglob("*") if path.is_file())
        keys = sorted(path.relative_to(self.root).as_posix() for path in found)
        return (key for key in keys if is_hidden(prefix) or not is_hidden(key))

    def delete(self, key: str) -> None:
        path = self.path(key)
        if path.is_dir():
            # Out of sight first, in one step: a reader never meets a half-deleted folder.
            with self.staging_folder() as grave, contextlib.suppress(FileNotFoundError):  # another deletes it too
                path.rename(grave / path.name)
        else:
            path.unlink(missing_ok=True)

    def publish_folder(
        self,
        folder: Path,
        key: str,
        commit_name: str,
        before_commit: Callable[[], None] | None = None,
        replace: bool = False,
    ) -> bool:
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        for path in [*folder.rglob("*"), folder]:
            _sync(path)
        if before_commit is not None:
            before_commit()
        if replace:
            self.delete(key)
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

    def collect_garbage(self, older_than_seconds: float, dry_run: bool = False) -> builtins.list[str]:
        # The age says nothing here: each staging folder is locked by its writer for as long as that one lives.
        place = self.root / STAGING
        return [f"{STAGING}/{path.name}" for path in sweep(place, dry_run)] if place.is_dir() else []


def _sync(path: Path) -> None:
    """Flush a file or folder to the disk, so that a power cut after the rename loses nothing."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
