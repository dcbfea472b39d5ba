"""Files up and down in parallel: large ones in parts, each with a checksum; memory bounded by what is in flight."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cluster.errors import DataError
from cluster.fingerprint import file_sha256
from cluster.storage.s3_bucket import Bucket
from cluster.storage.s3_errors import RangeError

MAX_PARTS = 10_000
"""S3's limit on the parts of one upload."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Part:
    """Some of a file's bytes."""

    key: str
    path: Path
    number: int
    """From 1, as S3 counts parts."""
    offset: int
    length: int


@dataclass(frozen=True)
class Wanted:
    """An object to fetch, and what it must be."""

    key: str
    path: Path
    bytes: int
    sha256: str


def upload_files(bucket: Bucket, files: Mapping[str, Path], part_bytes: int, transfers: int) -> None:
    """Upload local files to keys; when this fails, no upload in parts stays open.

    Args:
        files: key -> file.
        part_bytes: files larger than this go up in parts of it (or larger, where there would be too many).
        transfers: requests under way at once.
    """
    cut = {key: cut_file(key, path, part_bytes) for key, path in files.items()}
    uploads: dict[str, str] = {}
    finished: set[str] = set()

    def send(part: Part) -> str:
        body = _read(part)
        if part.key not in uploads:
            bucket.put(part.key, body)
            return ""
        return bucket.put_part(part.key, uploads[part.key], part.number, body)

    try:
        for key, parts in cut.items():
            if len(parts) > 1:
                uploads[key] = bucket.start_upload(key)
        every = [part for parts in cut.values() for part in parts]
        etags = dict(zip(every, in_parallel(send, every, transfers), strict=True))
        for key, upload in uploads.items():
            size = sum(part.length for part in cut[key])
            bucket.finish_upload(key, upload, [etags[part] for part in cut[key]], size)
            finished.add(key)
    except BaseException:
        for key, upload in uploads.items():
            if key not in finished:
                bucket.abort_upload(key, upload)
        raise


def download_files(bucket: Bucket, files: Sequence[Wanted], part_bytes: int, transfers: int) -> None:
    """Fetch objects into local files and check each one's size and SHA-256.

    Raises:
        DataError: an object is missing, of another size or damaged; it is named.
    """
    for file in files:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        with file.path.open("wb") as handle:
            handle.truncate(file.bytes)
    parts = [
        (file, offset, min(part_bytes, file.bytes - offset))
        for file in files
        for offset in range(0, file.bytes, part_bytes)
    ]
    in_parallel(lambda part: _receive(bucket, *part), parts, transfers)
    in_parallel(lambda file: _check(bucket, file), files, min(transfers, os.cpu_count() or 1))


def cut_file(key: str, path: Path, part_bytes: int) -> list[Part]:
    """The parts of a file, of equal length but for the last; one part where it is small (or empty)."""
    size = path.stat().st_size
    length = max(part_bytes, -(-size // MAX_PARTS))
    offsets = range(0, max(size, 1), length)
    return [Part(key, path, n, offset, min(length, size - offset)) for n, offset in enumerate(offsets, start=1)]


def in_parallel(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> list[Result]:
    """Results in the order of the items; the first error is raised as soon as what is under way has ended."""
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="transfer") as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            for future in futures:
                future.cancel()
    failed = [future for future in futures if not future.cancelled() and future.exception()]
    return [future.result() for future in failed or futures]


def _receive(bucket: Bucket, file: Wanted, offset: int, length: int) -> None:
    handle = os.open(file.path, os.O_WRONLY)
    try:
        size = bucket.get_part(file.key, offset, length, handle)
    except FileNotFoundError:
        raise DataError(f"{bucket.where(file.key)}: missing; {_AGAIN}") from None
    except RangeError:
        raise DataError(f"{bucket.where(file.key)}: shorter than its manifest's {file.bytes} bytes; {_AGAIN}") from None
    finally:
        os.close(handle)
    if size != file.bytes:
        raise DataError(f"{bucket.where(file.key)}: has {size} bytes, its manifest says {file.bytes}; {_AGAIN}")


def _check(bucket: Bucket, file: Wanted) -> None:
    if file_sha256(file.path) != file.sha256:
        raise DataError(f"{bucket.where(file.key)}: damaged (SHA-256 differs from its manifest); {_AGAIN}")
    handle = os.open(file.path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(part: Part) -> bytes:
    with part.path.open("rb") as file:
        file.seek(part.offset)
        body = file.read(part.length)
    assert len(body) == part.length, f"{part.path} changed while it was uploaded"
    return body


_AGAIN = "delete the result set and run again"
