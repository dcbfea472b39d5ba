"""Folders for what is not finished yet; what a killed process left of its own goes at the next use.

Each folder is locked (`flock`) by the process that fills it. The kernel gives the lock up when the process ends,
however it ends, so a folder that can be locked has no owner. That holds between containers too, and between machines
that share a file system with locks, where process numbers would say nothing.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

# Where a file system has no locks, nobody fills a folder that has not changed for a day.
ABANDONED_SECONDS = 24 * 3600


@contextlib.contextmanager
def staged(place: Path) -> Iterator[Path]:
    """A fresh folder below `place`; what is left of it goes when the block ends.

    Folders below `place` whose owner is gone are removed first.
    """
    place.mkdir(parents=True, exist_ok=True)
    sweep(place)
    folder, handle = _fresh(place)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def sweep(place: Path, dry_run: bool = False) -> list[Path]:
    """Remove the folders below `place` that no process fills any more; never one that a living process holds.

    Args:
        dry_run: remove nothing.

    Returns:
        The folders that went, or would go.
    """
    swept = []
    for path in sorted(place.iterdir()):
        with contextlib.suppress(OSError):  # another process sweeps too, or the folder is not ours to remove
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if _is_abandoned(path, handle):
                    if not dry_run:
                        shutil.rmtree(path)
                    swept.append(path)
            finally:
                os.close(handle)
    return swept


def _fresh(place: Path) -> tuple[Path, int]:
    """A new folder and the handle that holds its lock."""
    while True:
        folder = place / uuid.uuid4().hex
        folder.mkdir()
        # A sweep may come before the lock and take the folder for abandoned: then another one is made.
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            if _lock(handle) is not False and folder.exists():
                return folder, handle
            os.close(handle)


def _is_abandoned(path: Path, handle: int) -> bool:
    locked = _lock(handle)
    return _last_change(path) < _time_at(path.parent) - ABANDONED_SECONDS if locked is None else locked


def _time_at(place: Path) -> float:
    """The time by the clock that dates the files there, a server's perhaps: this machine's may have jumped."""
    with tempfile.TemporaryFile(dir=place) as file:
        return os.fstat(file.fileno()).st_mtime


def _lock(handle: int) -> bool | None:
    """Whether the lock could be had; None where the file system has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _last_change(folder: Path) -> float:
    return max(path.lstat().st_mtime for path in [folder, *folder.rglob("*")])
