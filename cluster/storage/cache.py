"""Local copies of committed result sets, named by their manifest's checksum; shared by the processes of a machine.

sets/<sha256>/      a whole copy; appears by one rename
staging/<id>/       being written or fetched
in-use/<id>         one per process that uses copies, locked while it lives; a line per copy
locks/..            one download of the same set at a time; one clean-up at a time
"""

import contextlib
import fcntl
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from cluster.storage.staging import staged

_in_use: dict[Path, int] = {}
_in_use_lock = threading.Lock()


class Cache:
    """A folder of copies with a limit on its size."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder, self._limit_bytes = folder, limit_bytes
        for part in ("sets", "staging", "in-use", "locks"):
            (folder / part).mkdir(parents=True, exist_ok=True, mode=0o700)

    def staging_folder(self) -> AbstractContextManager[Path]:
        """A fresh folder on the file system of the cache; what is left of it goes when the block ends."""
        return staged(self.folder / "staging")

    def get(self, digest: str, fetch: Callable[[Path], None]) -> Path:
        """The copy named `digest`; `fetch` fills a folder with it where this machine has none.

        The copy stays where it is as long as this process lives.
        """
        entry = self.folder / "sets" / digest
        self._note_use(digest)
        if entry.is_dir():
            return entry
        with self._locked(digest[:2]):
            if not entry.is_dir():  # another process may have fetched it meanwhile
                self._make_room()
                with self.staging_folder() as folder:
                    fetch(folder)
                    folder.rename(entry)
        return entry

    def adopt(self, digest: str, folder: Path) -> None:
        """Keep a staged folder as a copy, so that its writer need not fetch it."""
        self._make_room()
        with contextlib.suppress(OSError):  # the same copy stands there
            folder.rename(self.folder / "sets" / digest)

    def _note_use(self, digest: str) -> None:
        with _in_use_lock, self._locked("clean-up", shared=True):
            if self.folder not in _in_use:
                handle = os.open(self.folder / "in-use" / uuid.uuid4().hex, os.O_WRONLY | os.O_CREAT, 0o600)
                fcntl.flock(handle, fcntl.LOCK_EX)
                _in_use[self.folder] = handle  # open, and so locked, until the process ends
            os.write(_in_use[self.folder], f"{digest}\n".encode())
            with contextlib.suppress(FileNotFoundError):
                os.utime(self.folder / "sets" / digest)

    def _make_room(self) -> None:
        """Drop what was not used for longest until the rest is below the limit."""
        with self.staging_folder() as grave, self._locked("clean-up"):
            used = self._used_by_the_living()
            entries = sorted((self.folder / "sets").iterdir(), key=lambda entry: entry.stat().st_mtime)
            sizes = {entry: _bytes_in(entry) for entry in entries}
            surplus = sum(sizes.values()) - self._limit_bytes
            for entry in entries:
                if surplus > 0 and entry.name not in used:
                    entry.rename(grave / entry.name)
                    surplus -= sizes[entry]

    def _used_by_the_living(self) -> set[str]:
        used: set[str] = set()
        for path in (self.folder / "in-use").iterdir():
            with path.open(encoding="utf-8") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    used.update(file.read().split())
                else:  # the kernel gave its owner's lock back: that process is gone
                    path.unlink(missing_ok=True)
        return used

    @contextlib.contextmanager
    def _locked(self, name: str, shared: bool = False) -> Iterator[None]:
        with (self.folder / "locks" / name).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            yield


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
