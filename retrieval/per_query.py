"""Ranks of a tile of queries in, one record per query and pool out; records become Arrow tables.

Shape letters: Q queries of the tile, J judgements of these queries, K best passages kept, N records.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from retrieval.measures.bias import PooledRanking, language_counts
from retrieval.measures.ranking import Rankings, rankings_from, starts_of
from retrieval.measures.sets import MeasureSet
from retrieval.records import Collection

ALL_LANGUAGES = -1
MONO, CROSS, MULTI = "mono", "cross", "multi"
POOL_OF_ALL = "*"


@dataclass(frozen=True)
class TileRanks:
    """Ranks of the relevant passages of queries `first` up to `end`."""

    first: int
    end: int
    query: np.ndarray
    """(J) query row in the collection; never falling."""
    language: np.ndarray
    """(J) language of the relevant passage; never falling within a query."""
    grade: np.ndarray
    """(J) its relevance grade."""
    own_rank: np.ndarray
    """(J) its rank among the passages of its own language, from 1."""
    pool_rank: np.ndarray
    """(J) its rank among the passages of all languages, from 1."""
    best_row: np.ndarray
    """(Q, K) rows of the best passages of all languages, best first, -1 where there are fewer."""


@dataclass(frozen=True)
class Records:
    """Values of measures for N pairs of a query and a pool; NaN where a measure says nothing about a query."""

    query: np.ndarray
    """(N) query row."""
    pool: np.ndarray
    """(N) language whose passages were ranked, or ALL_LANGUAGES."""
    num_relevant: np.ndarray
    """(N) relevant passages in that pool."""
    value_of: dict[str, np.ndarray]
    """Measure -> (N) float64."""

    def rows(self, chosen: np.ndarray) -> "Records":
        """The chosen rows, in the order of their numbers given."""
        values = {name: value[chosen] for name, value in self.value_of.items()}
        return Records(self.query[chosen], self.pool[chosen], self.num_relevant[chosen], values)


@dataclass(frozen=True)
class TileRecords:
    """What one tile adds to an evaluation."""

    one_language: Records
    """Records of monolingual and cross-lingual settings, by query and pool."""
    all_languages: Records
    bias: Records
    language_counts: np.ndarray
    """(L, L) how often each language stands among the best passages, by language of the query."""


def tile_records(collection: Collection, ranks: TileRanks, measures: MeasureSet) -> TileRecords:
    """Apply the measures to the ranks of a tile; a query without a relevant passage in a pool has no record there."""
    num_languages = len(collection.languages)
    pool_key = ranks.query * num_languages + ranks.language
    pool_start = starts_of(pool_key)
    query_start = starts_of(ranks.query)
    judged_query = ranks.query[query_start]

    in_pool = rankings_from(pool_key, ranks.own_rank, ranks.grade)
    in_all = rankings_from(ranks.query, ranks.pool_rank, ranks.grade)
    pooled = PooledRanking(
        query_language=collection.query_language[judged_query],
        query=np.repeat(np.arange(len(judged_query)), in_all.num_relevant),
        language=ranks.language,
        rank=ranks.pool_rank,
        gain=ranks.grade,
        best_language=_languages_of(collection, ranks.best_row[judged_query - ranks.first]),
        languages_in_pool=np.diff(collection.language_bounds) > 0,
    )
    everything = np.full(len(judged_query), ALL_LANGUAGES, np.int16)
    return TileRecords(
        one_language=_records(ranks.query[pool_start], ranks.language[pool_start], in_pool, measures),
        all_languages=_records(judged_query, everything, in_all, measures),
        bias=Records(judged_query, everything, in_all.num_relevant, measures.bias(pooled)),
        language_counts=language_counts(pooled, num_languages, 10),
    )


def _records(query_N: np.ndarray, pool_N: np.ndarray, rankings: Rankings, measures: MeasureSet) -> Records:
    values = {name: measure(rankings) for name, measure in measures.ranking.items()}
    return Records(query_N, pool_N, rankings.num_relevant, values)


def _languages_of(collection: Collection, row_QK: np.ndarray) -> np.ndarray:
    return np.where(row_QK >= 0, collection.passage_language[np.maximum(row_QK, 0)], -1)


def joined(parts: Sequence[Records]) -> Records:
    """Records of several tiles, in the order given."""
    return Records(
        np.concatenate([part.query for part in parts]),
        np.concatenate([part.pool for part in parts]),
        np.concatenate([part.num_relevant for part in parts]),
        {name: np.concatenate([part.value_of[name] for part in parts]) for name in parts[0].value_of},
    )


def records_table(collection: Collection, records: Records) -> pa.Table:
    """The `per_query` table: setting, query_language, pool_language, query_id, num_relevant, a column per measure."""
    query_language = collection.query_language[records.query]
    setting = np.where(records.pool == query_language, 0, 1)
    setting[records.pool == ALL_LANGUAGES] = 2
    columns = {
        "setting": _taken([MONO, CROSS, MULTI], setting),
        "query_language": _taken(collection.languages, query_language),
        "pool_language": _taken([*collection.languages, POOL_OF_ALL], records.pool % (len(collection.languages) + 1)),
        "query_id": _taken(collection.query_ids, records.query),
        "num_relevant": pa.array(records.num_relevant.astype(np.int32)),
    }
    return pa.table(columns | {name: pa.array(values) for name, values in records.value_of.items()})


def bias_table(collection: Collection, records: Records) -> pa.Table:
    """The `per_query_bias` table: query_language, query_id, a column per measure of bias."""
    columns = {
        "query_language": _taken(collection.languages, collection.query_language[records.query]),
        "query_id": _taken(collection.query_ids, records.query),
    }
    return pa.table(columns | {name: pa.array(values) for name, values in records.value_of.items()})


def _taken(names: Sequence[str], index_N: np.ndarray) -> pa.Array:
    return pa.array(list(names), pa.string()).take(pa.array(index_N))
