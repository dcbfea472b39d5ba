"""Groups, an encoder's vectors and a search -> the same groups with hard negatives, in bounded memory.

Shape letters: Q queries, K places, D dimensions.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cluster.documents import parse_json
from cluster.logs import progress
from retrieval.groups import GROUPS_FILE, GroupSource, PreparedGroups
from retrieval.mining.config import MiningConfig
from retrieval.mining.corpus import Corpus
from retrieval.preparation.shards import write_shards
from retrieval.records import Group

Encode = Callable[[Sequence[str], Sequence[str]], np.ndarray]
"""Query texts and their languages -> vectors (Q, D)."""
Search = Callable[[np.ndarray, int, Sequence[int]], tuple[np.ndarray, np.ndarray]]
"""Queries (Q, D), k and languages -> scores and rows (Q, K); -1 where there are no more."""


class Miner:
    """Finds negatives for groups, a row group at a time.

    Args:
        corpus: the passages that may become negatives.
        vectors: rows of the corpus -> their vectors (n, D).
        encode: of queries, by the same encoder.
        search: over the corpus.
    """

    def __init__(
        self,
        config: MiningConfig,
        corpus: Corpus,
        vectors: Callable[[np.ndarray], np.ndarray],
        encode: Encode,
        search: Search,
    ) -> None:
        self._config, self._corpus, self._vectors = config, corpus, vectors
        self._encode, self._search = encode, search
        self.num_negatives = 0
        self.num_too_good = 0
        """Passages left out because they scored above the ceiling."""

    def mined(self, groups: Sequence[Group], languages: Sequence[str]) -> list[Group]:
        """The groups with negatives in each of their languages, the hardest first.

        Args:
            groups: each with pairs in all of `languages`.
        """
        queries = self._encode(
            [group.pairs[language].query for language in languages for group in groups],
            [language for language in languages for _ in groups],
        ).reshape(len(languages), len(groups), -1)
        answers = [self._corpus.answers(group) for group in groups]
        pairs = [dict(group.pairs) for group in groups]
        for number, language in enumerate(languages):
            askers = range(len(languages)) if self._config.queries == "all" else [number]
            found = self._candidates(groups, language, [queries[asker] for asker in askers], answers)
            for group, (own, texts) in enumerate(zip(pairs, found, strict=True)):
                own[language] = dataclasses.replace(groups[group].pairs[language], negatives=tuple(texts))
        return [dataclasses.replace(group, pairs=own) for group, own in zip(groups, pairs, strict=True)]

    def _candidates(
        self, groups: Sequence[Group], language: str, queries: Sequence[np.ndarray], answers: Sequence[frozenset[int]]
    ) -> Iterator[list[str]]:
        """For each group the negatives of one language."""
        number = self._corpus.languages.index(language)
        true_rows = np.array([self._corpus.row(number, group.pairs[language].passage) for group in groups])
        true_vectors = self._vectors(true_rows)
        rankings = []
        for query in queries:
            scores, rows = self._search(query, self._config.depth, [number])
            true_scores = np.einsum("qd,qd->q", query, true_vectors)
            # For a negative score a share of it would lie above it.
            highest = true_scores - (1 - self._config.ceiling) * np.abs(true_scores)
            rankings.append((scores, rows, highest))
        for group in range(len(groups)):
            yield [self._corpus.text(row, number) for row in self._hardest(rankings, group, answers[group])]

    def _hardest(
        self, rankings: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], group: int, answers: frozenset[int]
    ) -> list[int]:
        """Rows by falling score, the best of a group's queries; what any of them finds too good is left out."""
        best: dict[int, float] = {}
        too_good: set[int] = set()
        for scores, rows, highest in rankings:
            for row, score in zip(rows[group].tolist(), scores[group].tolist(), strict=True):
                if row < 0 or row in answers:
                    continue
                if score > highest[group]:
                    too_good.add(row)
                best[row] = max(score, best.get(row, score))
        kept = sorted((row for row in best if row not in too_good), key=lambda row: (-best[row], row))
        kept = kept[: self._config.per_language]
        self.num_too_good += len(too_good)
        self.num_negatives += len(kept)
        return kept


def write_mined(folder: Path, groups: PreparedGroups, miner: Miner) -> None:
    """Write prepared groups again, row for row, with the negatives that are found for them."""
    sources = []
    for source in groups.sources:
        mined = _mined_groups(source, miner)
        shard_rows = max(shard.rows for shard in source.shards)
        # A source of one short file: its length need not be whole row groups.
        shard_rows = -(-shard_rows // groups.row_group_rows) * groups.row_group_rows
        shards = write_shards(
            folder, source.name, mined, source.languages, True, groups.row_group_rows, shard_rows, source.has_images
        )
        fields: dict[str, Any] = {
            "name": source.name,
            "dataset": source.dataset,
            "languages": list(source.languages),
            "num_groups": source.num_groups,
            "has_negatives": True,
            "shards": shards,
        }
        sources.append(fields | ({"has_images": True} if source.has_images else {}))
    document = parse_json((groups.folder / GROUPS_FILE).read_text(encoding="utf-8")) | {"sources": sources}
    document["mined"] = {"negatives": miner.num_negatives, "too_good": miner.num_too_good}
    (folder / GROUPS_FILE).write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")


def _mined_groups(source: GroupSource, miner: Miner) -> Iterator[Group]:
    numbers = range(source.num_row_groups)
    for number in progress(numbers, f"mining {source.name}", total=len(numbers), unit="row groups"):
        rows = source.read_row_group(number).to_pylist()
        yield from miner.mined([source.group(row) for row in rows], source.languages)
