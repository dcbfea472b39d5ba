"""M2M100's way with texts: SentencePiece pieces, and a token in front that says which language the text is in.

transformers keeps this tokenizer in Python only. Here SentencePiece encodes whole batches in C++, which gives the same
ids for any text that does not itself spell special tokens such as `__en__` (those stay text).
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cluster.errors import DataError
from cluster.fingerprint import fingerprint

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

_OTHER_NAMES = {"fil": "tl", "nb": "no", "nn": "no", "nso": "ns", "yue": "zh"}
"""M2M100's codes where they are neither the ISO 639-1 code nor what CLDR maps a longer code to."""


@dataclass(frozen=True)
class M2M100Engine:
    """Plain data that encodes texts in any process; the SentencePiece model is built at first use."""

    model: bytes
    """The SentencePiece model file."""

    vocabulary: Mapping[str, int]
    """Piece -> token id."""

    languages: Mapping[str, int]
    """M2M100's language code -> id of its language token."""

    end_id: int
    unknown_id: int
    pad_id: int

    @property
    def size(self) -> int:
        """One more than the largest token id."""
        return max(*self.vocabulary.values(), *self.languages.values()) + 1

    @property
    def fingerprint(self) -> str:
        parts = (self.model.hex(), self.vocabulary, self.languages, self.end_id, self.unknown_id)
        return fingerprint(parts)

    def encode(self, texts: Sequence[str], languages: Sequence[str] | None, max_tokens: int) -> list[np.ndarray]:
        """`[language token] pieces </s>` for each text, int32; pieces beyond `max_tokens` in all are cut off.

        Raises:
            DataError: languages are missing, or one is not among M2M100's.
        """
        if languages is None:
            raise DataError("M2M100 marks each text with its language: give the languages of the texts")
        token_of = {language: self.language_token(language) for language in set(languages)}
        processor, id_of_piece = _built(self)
        encoded = []
        for language, pieces in zip(languages, processor.encode(list(texts), out_type=int), strict=True):
            ids = np.empty(min(len(pieces) + 2, max_tokens), dtype=np.int32)
            ids[0], ids[1:-1], ids[-1] = token_of[language], id_of_piece[pieces[: max_tokens - 2]], self.end_id
            encoded.append(ids)
        return encoded

    def language_token(self, language: str) -> int:
        """Id of the token of a language, given under any usual code: pt, pt-BR, por, por_Latn."""
        for code in _candidates(language):
            if code in self.languages:
                return self.languages[code]
        raise DataError(f"language '{language}' is not one of M2M100's: {', '.join(sorted(self.languages))}")

    def __hash__(self) -> int:
        return hash(self.model)


def _candidates(language: str) -> list[str]:
    """Codes under which M2M100 may know a language, best first."""
    from babel.core import get_global

    base = language.replace("-", "_").split("_")[0].lower()
    modern = get_global("language_aliases").get(base, base).split("_")[0]
    return [base, modern, _OTHER_NAMES.get(base, base), _OTHER_NAMES.get(modern, modern)]


@functools.lru_cache(maxsize=2)
def _built(engine: M2M100Engine) -> tuple["SentencePieceProcessor", np.ndarray]:
    """The SentencePiece model, and token ids by piece number (its own numbering is another one)."""
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_proto=engine.model)
    pieces = (processor.id_to_piece(number) for number in range(processor.get_piece_size()))
    ids = [engine.vocabulary.get(piece, engine.unknown_id) for piece in pieces]
    return processor, np.array(ids, dtype=np.int32)
