"""An engine that looks up texts that were tokenised before, and tokenises the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cluster.fingerprint import hash64

if TYPE_CHECKING:
    from retrieval.encoder.tokens import Engine


class Known(Protocol):
    """Token ids of texts that were tokenised before (retrieval/token_lookup.py)."""

    def find(self, keys: np.ndarray) -> np.ndarray: ...
    def texts(self, numbers: np.ndarray) -> list[np.ndarray]: ...


@dataclass(frozen=True)
class KnowingEngine:
    """An engine that looks texts up first."""

    engine: "Engine"
    known: Known
    marks_languages: bool

    @property
    def pad_id(self) -> int:
        return self.engine.pad_id

    @property
    def size(self) -> int:
        """One more than the largest token id."""
        return self.engine.size

    @property
    def fingerprint(self) -> str:
        return self.engine.fingerprint

    def encode(self, texts: Sequence[str], languages: Sequence[str] | None, max_tokens: int) -> list[np.ndarray]:
        """The ids that the engine itself gives."""
        number = self.known.find(text_keys(texts, languages if self.marks_languages else None, max_tokens))
        rest = np.flatnonzero(number < 0).tolist()
        in_language = None if languages is None else [languages[row] for row in rest]
        new = iter(self.engine.encode([texts[row] for row in rest], in_language, max_tokens) if rest else ())
        there = iter(self.known.texts(number[number >= 0]))
        return [next(new) if one < 0 else next(there) for one in number.tolist()]


def text_keys(texts: Sequence[str], languages: Sequence[str] | None, max_tokens: int) -> np.ndarray:
    """(n) int64 keys of what an engine encodes: equal keys, equal ids."""
    marks = [""] * len(texts) if languages is None else languages
    keys = [hash64(f"{max_tokens}\0{mark}\0{text}") for mark, text in zip(marks, texts, strict=True)]
    return np.array(keys, dtype=np.int64)
