"""A collection in, the scores of a lexical baseline out: BM25 over the passages of all languages, by bm25s.

Texts become NFKC, case-folded words: runs of letters, marks and digits. Scripts written without spaces (Thai, Lao,
Khmer, Burmese, Han, Kana) give overlapping pairs of characters (grapheme clusters) instead; a single character stands
alone. No stemming, no stop words: the same for every language.
"""

import itertools
import unicodedata
from collections.abc import Sequence

import numpy as np
import regex

from retrieval.evaluate import ScoreRows
from retrieval.records import Collection

_UNSPACED = r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Han}\p{Hiragana}\p{Katakana}ー]\p{M}*"
_UNITS = regex.compile(rf"(?P<unspaced>(?:{_UNSPACED})+)|(?P<word>(?:(?!{_UNSPACED})[\p{{L}}\p{{M}}\p{{N}}])+)")
_CHARACTER = regex.compile(r"\X")


def lexical_units(text: str) -> list[str]:
    """The terms a text is indexed by, in order, repeats included."""
    units: list[str] = []
    for match in _UNITS.finditer(unicodedata.normalize("NFKC", text).casefold()):
        if match["word"]:
            units.append(match["word"])
        else:
            characters = _CHARACTER.findall(match["unspaced"])
            units += [first + second for first, second in itertools.pairwise(characters)] or characters
    return units


def bm25_scores(collection: Collection) -> ScoreRows:
    """Scores of BM25 (Lucene's variant, k1 = 1.5, b = 0.75) for all passages; what `evaluate_scores_to` asks for.

    One index holds the passages of all languages, as the pool of the multilingual setting does, so document
    frequencies and lengths are those of the pool. Across languages little more than names and numbers can match.
    """
    import bm25s

    index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    index.index([lexical_units(text) for text in collection.passage_texts], show_progress=False)
    queries: Sequence[list[int]] = [index.get_tokens_ids(lexical_units(text)) for text in collection.query_texts]

    def score_rows(first: int, end: int, out: np.ndarray) -> np.ndarray:
        for row, terms in enumerate(queries[first:end]):
            out[row] = index.get_scores_from_ids(terms) if terms else 0.0
        return out

    return score_rows
