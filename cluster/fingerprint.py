"""Names for work and for bytes: the same inputs give the same name on every machine and in every process."""

import hashlib
import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from pydantic import BaseModel

_CHUNK_BYTES = 1 << 20


def canonical(value: Any) -> Any:
    """Reduce a value to what JSON can write in one way only; refuse what has no stable form.

    Raises:
        TypeError: the value has no stable text form (an object, a function, a set with mixed types, a key that is no
            text).
    """
    if isinstance(value, BaseModel):
        return canonical({name: getattr(value, name) for name in type(value).model_fields})
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} is no text; {{1: a}} and {{'1': a}} would have one fingerprint")
        return {key: canonical(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(canonical(item) for item in value)
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, Path):
        return value.as_posix()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise TypeError(f"{type(value).__name__} has no stable form to fingerprint; give strings, numbers, lists, mappings")


def fingerprint(value: Any) -> str:
    """Sixteen hexadecimal digits (64 bits of SHA-256) that name `value`."""
    text = json.dumps(canonical(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def hash64(text: str) -> int:
    """A signed 64-bit number that stands for a text, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal, read in constant memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
