"""Is a file the published one? Its content (unpacked, where gzipped) against the SHA-256 kept beside the data set.

The sums of a data set are in `retrieval/datasets/<name>.sha256.json`: name of the file, without `.gz` -> SHA-256 of its
content. Packing a file changes nothing about them.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from cluster.errors import DataError
from retrieval.formats.lines import open_bytes, require_file, why_unreadable

_CHUNK_BYTES = 1 << 20
_SHOWN = 12


@cache
def published_sums(dataset: str) -> Mapping[str, str]:
    """The sums of a data set: name of the file -> SHA-256."""
    sums: dict[str, str] = json.loads(
        files("retrieval.datasets").joinpath(f"{dataset}.sha256.json").read_text(encoding="utf-8")
    )
    return sums


def content_sha256(path: Path) -> str:
    """SHA-256 of a file's content, unpacked where its name ends in `.gz`.

    Raises:
        DataError: no such file, or gzip data that is cut short or damaged.
    """
    require_file(path)
    digest = hashlib.sha256()
    try:
        with open_bytes(path) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path}: {why_unreadable(error)}") from None
    return digest.hexdigest()


def require_published(path: Path, dataset: str, name: str, origin: str) -> None:
    """Refuse a file that is not the published one; a file whose sum is not known passes.

    Args:
        path: the file.
        dataset: whose sums to look at.
        name: the file's name in them.
        origin: where to fetch it, for people.

    Raises:
        DataError: another content than the published; says whether it is that of another of the data set's files.
    """
    sums = published_sums(dataset)
    if name not in sums:
        return
    found = content_sha256(path)
    if found == sums[name]:
        return
    other = next((other for other, known in sums.items() if known == found), None)
    problem = f"is {other} under another name" if other else "incomplete, changed, or another release"
    raise DataError(
        f"{path}: its content has SHA-256 {found[:_SHOWN]}…, expected {sums[name][:_SHOWN]}…: {problem}; fetch it "
        f"again from {origin}, or set excerpt: true for a part of the data set"
    )
