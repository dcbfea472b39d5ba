"""Parallel groups in, word translations out: words that stand in parallel texts together far more often than by chance.

Shape letters: T parallel texts (the queries of a group, or its passages), V words kept of a language.

For two languages, every pair of words is scored by the log-likelihood ratio of its co-occurrence (Dunning,
Computational Linguistics 19(1), 1993) and kept where each word is the best partner of the other (competition as in
Melamed, Computational Linguistics 26(2), 2000): a word has one translation per language, which has it back. Counts are
of texts, not of occurrences. No alignment, no random start: the same groups give the same dictionary.

Words are runs of letters. Scripts without spaces between words (Thai, Lao, Khmer, Burmese, Han, Kana, Tibetan) have no
words by this rule, and their languages no entries but for words in other scripts (`coverage` tells).
"""

import itertools
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import regex

from cluster.errors import DataError
from cluster.storage import open_store
from retrieval.formats.parquet import read_table
from retrieval.records import Group

if TYPE_CHECKING:
    from scipy.sparse import csc_matrix

DICTIONARY_FILE = "dictionary.parquet"
LEAST_SCORE = 10.83
"""Log-likelihood ratio that chance exceeds once in a thousand (chi-squared with one degree of freedom)."""

_UNSPACED = r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Han}\p{Hiragana}\p{Katakana}\p{Tibetan}"
# Persian and Indic spelling joins parts of a word by U+200C and U+200D.
WORD = regex.compile(rf"[\p{{L}}--[{_UNSPACED}]][\p{{L}}\p{{M}}\u200c\u200d--[{_UNSPACED}]]*", regex.V1)
_WORDS_AT_ONCE = 2048
_SCHEMA = pa.schema(
    {
        "source_language": pa.string(), "target_language": pa.string(), "word": pa.string(),
        "translation": pa.string(), "texts": pa.int32(), "score": pa.float64(),
    }
)  # fmt: skip


@dataclass(frozen=True)
class Dictionary:
    """Word translations between languages."""

    entries: pa.Table
    """source_language, target_language, word (lower case), translation (as mostly written), texts (in how many parallel
    texts both stand), score; sorted by languages and word, both directions."""

    def translation(self, word: str, source: str, target: str) -> str | None:
        """A word in another language; None where it has no entry. Case of the word does not matter."""
        return self.translations(word, source).get(target)

    def translations(self, word: str, source: str) -> Mapping[str, str]:
        """Language -> translation, languages sorted; some may be the word itself, as names often are."""
        return self._by_word.get(source, {}).get(word.lower(), {})

    def targets(self, source: str) -> tuple[str, ...]:
        """Languages that words of a language have entries for, sorted."""
        pairs = self.entries.select(["source_language", "target_language"]).group_by(_SCHEMA.names[:2]).aggregate([])
        return tuple(sorted(pair["target_language"] for pair in pairs.to_pylist() if pair["source_language"] == source))

    @cached_property
    def _by_word(self) -> dict[str, dict[str, dict[str, str]]]:
        found: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
        columns = [self.entries[name].to_pylist() for name in _SCHEMA.names[:4]]
        for source, target, word, translation in zip(*columns, strict=True):
            found[source].setdefault(word, {})[sys.intern(target)] = translation
        return found


def induce_dictionary(
    groups: Iterable[Group],
    languages: Sequence[str],
    *,
    partners: Sequence[str] | None = None,
    max_texts: int = 100_000,
    max_words_per_text: int = 60,
    max_words: int = 20_000,
    least_texts: int = 3,
) -> Dictionary:
    """Translations between words of parallel texts.

    Memory is bounded by max_texts x max_words_per_text word numbers per language and, while two languages are compared,
    by 2,048 x max_words pairs.

    Args:
        groups: parallel texts; queries are compared with queries, passages with passages, each passage once.
        languages: those wanted.
        partners: languages every entry must have on one side; all where none are named. 205 languages have 20,910
            pairs: name a few.
        max_texts: the first so many queries and passages are used.
        max_words_per_text: longer texts are left out, for in them words meet by chance.
        max_words: so many of the most frequent words of each language are compared.
        least_texts: words that meet in fewer texts are not taken for translations.
    """
    texts = _TextsOfWords(languages, max_words_per_text)
    for part in itertools.islice(parallel_texts(groups), max_texts):
        texts.add(part)
    vocabularies = {language: texts.vocabulary(language, max_words) for language in languages}
    rows: list[pa.Table] = []
    for first, second in itertools.combinations(languages, 2):
        if partners is None or first in partners or second in partners:
            found = _mutually_best(vocabularies[first], vocabularies[second], least_texts)
            rows += _both_directions(first, second, vocabularies, *found)
    entries = pa.concat_tables([_SCHEMA.empty_table(), *rows])
    return Dictionary(entries.sort_by([(name, "ascending") for name in _SCHEMA.names[:3]]).combine_chunks())


@dataclass(frozen=True)
class StoredDictionary:
    """A dictionary in a folder. Holds its place only, so it travels cheaply between processes."""

    folder: Path
    root: str = ""
    """URI of the store it is from, where that is known."""
    name: str = ""
    """Its result set in it."""

    def read(self) -> Dictionary:
        """Read it, fetched from its store where this machine has no copy.

        Raises:
            DataError: see `read_dictionary`.
        """
        return read_dictionary(open_store(self.root).fetch_folder(self.name) if self.root else self.folder)


def write_dictionary(folder: Path, dictionary: Dictionary) -> None:
    """Write a dictionary into a folder (the staging folder of a result set)."""
    pq.write_table(dictionary.entries, folder / DICTIONARY_FILE, compression="zstd")


def read_dictionary(folder: Path) -> Dictionary:
    """Read what `write_dictionary` wrote.

    Raises:
        DataError: the file is missing, damaged or no dictionary.
    """
    path = folder / DICTIONARY_FILE
    entries = read_table(path, "induce the dictionary again")
    if not entries.schema.equals(_SCHEMA):
        found = ", ".join(f"{field.name} ({field.type})" for field in entries.schema)
        raise DataError(f"{path}: has columns {found}, not {', '.join(_SCHEMA.names)}; induce the dictionary again")
    return Dictionary(entries)


def parallel_texts(groups: Iterable[Group]) -> Iterator[dict[str, str]]:
    """Queries and passages; a passage under several questions once, or its words would seem to meet often."""
    seen = set()
    for group in groups:
        yield {language: pair.query for language, pair in group.pairs.items()}
        passage = (group.passage_id, frozenset(group.pairs))
        if passage not in seen or not group.passage_id:
            seen.add(passage)
            yield {language: pair.passage for language, pair in group.pairs.items()}


@dataclass(frozen=True)
class _Vocabulary:
    """Words of one language and the texts they stand in."""

    words: list[str]
    """(V) in lower case, most frequent first."""
    written: list[str]
    """(V) as they are mostly written."""
    stands_in: "csc_matrix"
    """(T, V) 1 where a word stands in a text."""
    has_text: np.ndarray
    """(T) bool: the language has this text."""


class _TextsOfWords:
    """Which words stand in which texts, collected text by text."""

    def __init__(self, languages: Sequence[str], max_words_per_text: int) -> None:
        self._max_words = max_words_per_text
        self._num_texts = 0
        self._number_of: dict[str, dict[str, int]] = {language: {} for language in languages}
        self._written: dict[str, list[Counter[str]]] = {language: [] for language in languages}
        self._texts: dict[str, list[int]] = {language: [] for language in languages}
        self._words: dict[str, list[np.ndarray]] = {language: [] for language in languages}

    def add(self, texts: dict[str, str]) -> None:
        """Add one parallel text: language -> text."""
        for language, numbers in self._number_of.items():
            found = WORD.findall(texts.get(language, ""))
            if not 0 < len(found) <= self._max_words:
                continue
            words = set()
            for place, word in enumerate(found):
                number = numbers.setdefault(word.lower(), len(numbers))
                if number == len(self._written[language]):
                    self._written[language].append(Counter())
                self._written[language][number][word] += place > 0  # the first word's capital says nothing
                words.add(number)
            self._texts[language].append(self._num_texts)
            self._words[language].append(np.array(sorted(words), np.int32))
        self._num_texts += 1

    def vocabulary(self, language: str, max_words: int) -> _Vocabulary:
        """The most frequent words; equally frequent ones by alphabet."""
        from scipy.sparse import csc_matrix

        numbers, texts = self._number_of[language], self._texts[language]
        word = np.concatenate([np.empty(0, np.int32), *self._words[language]])
        text = np.repeat(np.array(texts, np.int64), [len(words) for words in self._words[language]])
        in_texts = np.bincount(word, minlength=len(numbers))
        kept = sorted(numbers, key=lambda name: (-in_texts[numbers[name]], name))[:max_words]
        column = np.full(len(numbers), -1)
        column[[numbers[name] for name in kept]] = np.arange(len(kept))
        used = column[word] >= 0
        has_text = np.zeros(self._num_texts, bool)
        has_text[texts] = True
        written = self._written[language]
        return _Vocabulary(
            words=kept,
            written=[min(written[numbers[w]].items(), key=lambda item: (-item[1], item[0]))[0] for w in kept],
            stands_in=csc_matrix(
                (np.ones(used.sum(), np.int32), (text[used], column[word[used]])), shape=(self._num_texts, len(kept))
            ),
            has_text=has_text,
        )


def _mutually_best(first: _Vocabulary, second: _Vocabulary, least_texts: int) -> tuple[np.ndarray, ...]:
    """Word of the first language, of the second, texts, score of every pair that is each other's best."""
    both = np.flatnonzero(first.has_text & second.has_text)
    stands_V, stands_W = first.stands_in.tocsr()[both].tocsc(), second.stands_in.tocsr()[both].tocsc()
    texts_V, texts_W = np.diff(stands_V.indptr), np.diff(stands_W.indptr)
    best_V, score_V, met_V = np.full(len(texts_V), -1), np.zeros(len(texts_V)), np.zeros(len(texts_V), np.int64)
    best_W, score_W = np.full(len(texts_W), -1), np.zeros(len(texts_W))
    for start in range(0, len(texts_V), _WORDS_AT_ONCE):
        met = (stands_V[:, start : start + _WORDS_AT_ONCE].T @ stands_W).tocoo()
        enough = met.data >= least_texts
        v, w, count = met.row[enough] + start, met.col[enough], met.data[enough].astype(np.int64)
        score = log_likelihood_ratio(count, texts_V[v], texts_W[w], len(both))
        likely = score >= LEAST_SCORE
        v, w, count, score = v[likely], w[likely], count[likely], score[likely]
        # Best first for each word; equal scores by number, the more frequent word first.
        order = np.lexsort((w, -score, v))
        lead = order[np.unique(v[order], return_index=True)[1]]
        best_V[v[lead]], score_V[v[lead]], met_V[v[lead]] = w[lead], score[lead], count[lead]
        order = np.lexsort((v, -score, w))
        lead = order[np.unique(w[order], return_index=True)[1]]
        lead = lead[score[lead] > score_W[w[lead]]]
        best_W[w[lead]], score_W[w[lead]] = v[lead], score[lead]
    v = np.flatnonzero(best_V >= 0)
    v = v[best_W[best_V[v]] == v]
    return v, best_V[v], met_V[v], score_V[v]


def log_likelihood_ratio(met: np.ndarray, first: np.ndarray, second: np.ndarray, texts: int) -> np.ndarray:
    """Dunning's G^2 = 2 * sum of observed * ln(observed / expected) over four cells; 0 where words avoid each other.

    Args:
        met: texts that hold both words.
        first: texts that hold the one.
        second: texts that hold the other.
        texts: all of them.
    """
    observed = np.stack([met, first - met, second - met, texts - first - second + met]).astype(np.float64)
    one, other = np.stack([first, texts - first]) / texts, np.stack([second, texts - second])
    expected = np.stack([one[0] * other[0], one[0] * other[1], one[1] * other[0], one[1] * other[1]])
    ratio = np.where(observed > 0, observed, 1) / np.where(observed > 0, expected, 1)
    return np.where(observed[0] > expected[0], 2 * (observed * np.log(ratio)).sum(axis=0), 0.0)


def _both_directions(
    first: str, second: str, vocabularies: dict[str, _Vocabulary], v: np.ndarray, w: np.ndarray, *counts: np.ndarray
) -> Iterator[pa.Table]:
    for source, target, words, translations in ((first, second, v, w), (second, first, w, v)):
        columns = [
            [source] * len(words),
            [target] * len(words),
            [vocabularies[source].words[word] for word in words],
            [vocabularies[target].written[word] for word in translations],
            *counts,
        ]
        yield pa.table([pa.array(column, kind) for column, kind in zip(columns, _SCHEMA.types, strict=True)], _SCHEMA)
