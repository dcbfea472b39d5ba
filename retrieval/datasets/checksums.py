"""SHA-256 of published content: what tells a whole file from one that is cut short, renamed or of another release.

A digest is of ids and texts in normal form, in the order of the ids, so that it is the same for a file as published, as
gzipped JSON lines or with other line ends. `checksums.json` holds them: data set -> part (as a rule a language) ->
digest.
"""

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from cluster.errors import DataError
from retrieval.cleaning import normalise

_FILE = Path(__file__).with_name("checksums.json")
_SHOWN = 12


def in_normal_form(texts: Mapping[str, str]) -> dict[str, str]:
    """The texts in normal form, by the same ids."""
    return {id: normalise(text) for id, text in texts.items()}


def content_sha256(texts: Mapping[str, str]) -> str:
    """SHA-256, in hexadecimal, of texts by id; the texts must be in normal form."""
    digest = hashlib.sha256()
    for id in sorted(texts):
        digest.update(f"{id}\t{texts[id]}\n".encode())
    return digest.hexdigest()


@functools.cache
def published_digests(dataset: str) -> Mapping[str, str]:
    """Part -> SHA-256 of its content; parts of which none is known are not there."""
    digests: Mapping[str, str] = json.loads(_FILE.read_text(encoding="utf-8")).get(dataset, {})
    return digests


def check_content(where: object, dataset: str, part: str, texts: Mapping[str, str], count: int | None = None) -> None:
    """Refuse content that is not the published one.

    Args:
        where: the file, for the message.
        texts: by id, in normal form.
        count: published number of texts, where it is known.

    Raises:
        DataError: another number of texts, the content of another part (the file was renamed), or another content.
    """
    if count is not None and len(texts) != count:
        raise DataError(
            f"{where}: holds {len(texts)} texts, expected {count}: cut short, or another release; "
            f"fetch {dataset} again, or set excerpt: true for a part of it"
        )
    expected = published_digests(dataset).get(part)
    found = content_sha256(texts) if expected else None
    if found == expected:
        return
    for other, digest in published_digests(dataset).items():
        if digest == found:
            raise DataError(f"{where}: holds the content of '{other}', expected '{part}'; was the file renamed?")
    raise DataError(
        f"{where}: its content has SHA-256 {str(found)[:_SHOWN]}..., expected {str(expected)[:_SHOWN]}...: damaged, or "
        f"another release; fetch {dataset} again, or set excerpt: true for a part of it"
    )
