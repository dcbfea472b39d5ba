"""Token ids of known texts on disk, found by the text: what several encoders with one tokenizer tokenise once.

texts.keys.npy      (N) int64, rising: hash64 of length, language (for tokenizers that read it) and text with prefix
texts.ids.npy, texts.bounds.npy     their token ids in that order, see token_files

Two different texts share a key once in 10^6 collections of 5 million texts (64 bits).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cluster.errors import DataError
from cluster.logs import progress
from retrieval.encoder.config import Role
from retrieval.encoder.tokens import Tokens
from retrieval.token_files import ArrayWriter, TokenFile, TokenWriter, open_array, open_tokens

Texts = tuple[Sequence[str], Role, Sequence[str]]
"""Texts, the role they are read in, and the language of each."""

_STEM, _KEYS = "texts", "texts.keys.npy"
_BLOCK = 8192


@dataclass(frozen=True)
class TokenLookup:
    """Texts -> token ids, mapped into memory."""

    keys: np.ndarray
    """(N) int64, rising."""
    tokens: TokenFile

    def find(self, keys: np.ndarray) -> np.ndarray:
        """(n) numbers of the texts with these keys, for `tokens`; -1 where a text is not known."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        number = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[number] == keys, number, -1)

    def texts(self, numbers: np.ndarray) -> list[np.ndarray]:
        """Token ids of the texts with these numbers, int32."""
        return self.tokens.texts(numbers)


def write_token_lookup(folder: Path, tokens: Tokens, parts: Iterable[Texts]) -> None:
    """Tokenise all texts, each once, into a folder."""
    parts = [part for part in parts if len(part[0])]
    keys = [tokens.keys(*part) for part in parts]
    owner = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    place = np.concatenate([np.arange(len(part[0])) for part in parts] or [np.empty(0, np.int64)])
    distinct, first = np.unique(np.concatenate([*keys, np.empty(0, np.int64)]), return_index=True)
    with ArrayWriter(folder / _KEYS, np.int64) as writer:
        writer.add(distinct)
    with TokenWriter(folder / _STEM, tokens.vocabulary_size) as ids:
        for start in progress(range(0, len(first), _BLOCK), "tokenise", unit="block"):
            chosen = first[start : start + _BLOCK]
            ids.add(_encoded(tokens, parts, owner[chosen], place[chosen]))


def _encoded(tokens: Tokens, parts: Sequence[Texts], owner: np.ndarray, place: np.ndarray) -> list[np.ndarray]:
    """Token ids of texts by number of their part and place in it."""
    found = [np.empty(0, np.int32)] * len(owner)
    for number, (texts, role, languages) in enumerate(parts):
        mine = np.flatnonzero(owner == number).tolist()
        rows = place[mine].tolist()
        encoded = tokens.encode([texts[row] for row in rows], role, [languages[row] for row in rows])
        for position, ids in zip(mine, encoded, strict=True):
            found[position] = ids
    return found


def open_token_lookup(folder: Path) -> TokenLookup:
    """Map what `write_token_lookup` wrote into memory.

    Raises:
        DataError: a file is missing or damaged, or they do not go together.
    """
    keys, tokens = open_array(folder / _KEYS, 1), open_tokens(folder / _STEM)
    if len(keys) != len(tokens):
        raise DataError(f"{folder / _KEYS}: holds {len(keys)} texts, expected {len(tokens)}; delete its folder")
    return TokenLookup(keys, tokens)
