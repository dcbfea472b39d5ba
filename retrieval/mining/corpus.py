"""The distinct passages of all groups, by language, and which of them answer which group.

Shape letters: P passages, G groups.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from retrieval.records import Group


@dataclass(frozen=True)
class Corpus:
    """What is searched for negatives: equal texts of a language are one row."""

    languages: tuple[str, ...]
    """Sorted."""
    texts: tuple[Sequence[str], ...]
    """Passages of each language, in the order they were met."""
    row_of: tuple[Mapping[str, int], ...]
    """Text -> row of the whole corpus, for each language."""
    ids_of_row: Sequence[frozenset[str]]
    """(P) passage ids that a row stands under."""
    rows_of_id: Mapping[str, frozenset[int]]

    @property
    def bounds(self) -> list[int]:
        """(L + 1): rows of language l are bounds[l] up to bounds[l + 1]."""
        return [0, *accumulate(len(texts) for texts in self.texts)]

    def text(self, row: int, language: int) -> str:
        """A passage of a language by its row."""
        return self.texts[language][row - self.bounds[language]]

    def row(self, language: int, passage: str) -> int:
        """Row of a group's passage."""
        return self.row_of[language][passage]

    def answers(self, group: Group) -> frozenset[int]:
        """Rows that answer a group: its own passages, all with its passage id, and all that share an id with those.

        A text that stands under two ids says that both are one passage, also where its translations differ.
        """
        ids = {passage_id for row in self.rows_of_id[passage_key(group)] for passage_id in self.ids_of_row[row]}
        return frozenset().union(*(self.rows_of_id[passage_id] for passage_id in ids))


def passage_key(group: Group) -> str:
    """What says that two groups have the same answer: the passage's id, or without one the group's own."""
    return group.passage_id or group.id


def corpus_of(groups: Iterable[Group], languages: Sequence[str]) -> Corpus:
    """Gather the passages of groups."""
    texts: list[dict[str, int]] = [{} for _ in languages]
    ids: list[list[set[str]]] = [[] for _ in languages]
    for group in groups:
        for number, language in enumerate(languages):
            if language in group.pairs:
                place = texts[number].setdefault(group.pairs[language].passage, len(texts[number]))
                if place == len(ids[number]):
                    ids[number].append(set())
                ids[number][place].add(passage_key(group))
    starts = [0, *accumulate(len(found) for found in texts)]
    ids_of_row = [frozenset(found) for of_language in ids for found in of_language]
    rows_of_id: dict[str, set[int]] = defaultdict(set)
    for row, found in enumerate(ids_of_row):
        for passage_id in found:
            rows_of_id[passage_id].add(row)
    return Corpus(
        languages=tuple(languages),
        texts=tuple(list(found) for found in texts),
        row_of=tuple(
            {text: start + place for text, place in found.items()} for start, found in zip(starts, texts, strict=False)
        ),
        ids_of_row=ids_of_row,
        rows_of_id={passage_id: frozenset(rows) for passage_id, rows in rows_of_id.items()},
    )
