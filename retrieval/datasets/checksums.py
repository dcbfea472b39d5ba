"""SHA-256 of published content: what tells a whole file from one that is cut short, renamed or of another release.

`checksums.json` holds them: data set -> part -> digest. A part that is named as a file (`dev.en.jsonl`) has the digest
of that file's content; packing it changes nothing. Any other part (a language, a split) has the digest of its ids and
texts in normal form, in the order of the ids: the same for files as published, as gzipped JSON lines or with other line
ends.
"""

import functools
import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path

from cluster.documents import parse_json
from cluster.errors import DataError
from retrieval.cleaning import normalise
from retrieval.formats.lines import open_bytes, require_file, why_unreadable

_FILE = Path(__file__).with_name("checksums.json")
_CHUNK_BYTES = 1 << 20
_SHOWN = 12


@functools.cache
def published_digests(dataset: str) -> Mapping[str, str]:
    """Part -> SHA-256 of its content; parts of which none is known are not there."""
    digests: Mapping[str, str] = parse_json(_FILE.read_text(encoding="utf-8")).get(dataset, {})
    return digests


def in_normal_form(texts: Mapping[str, str]) -> dict[str, str]:
    """The texts in normal form, by the same ids."""
    return {id: normalise(text) for id, text in texts.items()}


def content_sha256(texts: Mapping[str, str]) -> str:
    """SHA-256, in hexadecimal, of texts by id; the texts must be in normal form."""
    digest = hashlib.sha256()
    for id in sorted(texts):
        digest.update(f"{id}\t{texts[id]}\n".encode())
    return digest.hexdigest()


def unpacked_sha256(path: Path) -> str:
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


def check_content(where: object, dataset: str, part: str, texts: Mapping[str, str], count: int | None = None) -> None:
    """Refuse texts that are not the published ones; where no digest is known, another number of them.

    Args:
        where: the file, for the message.
        texts: by id, in normal form.
        count: published number of texts, where it is known.

    Raises:
        DataError: another number of texts, the content of another part (the file was renamed), or another content.
    """
    counted = "" if count in (None, len(texts)) else f"holds {len(texts)} texts, expected {count}: cut short"
    if part in published_digests(dataset):
        check_digest(where, dataset, part, content_sha256(texts), problem=counted)
    elif counted:
        raise DataError(f"{where}: {counted}, or another release; {_way_out(dataset)}")


def check_file(path: Path, dataset: str, part: str, origin: str = "") -> None:
    """Refuse a file that is not the published one; a file whose digest is not known passes.

    Args:
        path: the file, plain or gzipped.
        part: its published name, without `.gz`.
        origin: where to fetch it, for people.

    Raises:
        DataError: no such file, or see `check_content`.
    """
    if part in published_digests(dataset):
        check_digest(path, dataset, part, unpacked_sha256(path), origin)


def check_digest(
    where: object, dataset: str, part: str, found: str, origin: str = "", problem: str = "cut short, changed"
) -> None:
    """Refuse a digest that is not the published one; says whether it is that of another part.

    Raises:
        DataError: it is not; one line with both.
    """
    known = published_digests(dataset)
    if found == known[part]:
        return
    other = next((other for other, digest in known.items() if digest == found), None)
    problem = f"{problem or 'cut short, changed'}, or another release"
    if other is not None:
        problem = f"that is the content of '{other}', expected '{part}'; was the file renamed?"
    raise DataError(
        f"{where}: its content has SHA-256 {found[:_SHOWN]}…, expected {known[part][:_SHOWN]}…: {problem}; "
        f"{_way_out(dataset, origin)}"
    )


def _way_out(dataset: str, origin: str = "") -> str:
    return f"fetch {dataset} again{origin and f' from {origin}'}, or set excerpt: true for a part of it"
