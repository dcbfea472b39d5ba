"""A search in an index in, ranks of the relevant passages among the best k out: for what needs no whole ranking.

One search over the passages of all languages, one more in each language for the queries that have relevant passages
there; so every setting is ranked as deep as the others. With an exact index the ranks are those of the whole ranking.

Shape letters: Q queries of the tile, J relevant pairs of these queries, K places.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from retrieval.per_query import TileRanks
from retrieval.records import Collection
from retrieval.tiles import judged_in, query_tiles, tile_ranks

Search = Callable[[np.ndarray, int, Sequence[int] | None], tuple[np.ndarray, np.ndarray]]
"""Queries (Q, D), k, languages (None: all) -> scores and rows (Q, K), best first; -1 where there are no more."""
TILE_QUERIES = 8192
"""Queries whose rankings are held at once; several batches of a search."""
NOT_FOUND = 1 << 40
"""Rank of what is not among the best k: beyond every depth that a measure looks to."""
JUDGED_AT_ONCE = 1 << 16


def found_tiles(
    collection: Collection, query_vectors: np.ndarray, search: Search, depth: int, tile_queries: int = TILE_QUERIES
) -> Iterator[TileRanks]:
    """Search a tile of queries after the other; what is not among the best `depth` of a pool ranks as NOT_FOUND."""
    for first, end in query_tiles(collection, tile_queries):
        judged, starts = judged_in(collection, first, end)
        row_J = collection.judged_passage[judged]
        query_J = np.repeat(np.arange(end - first), np.diff(starts))
        language_J = collection.passage_language[row_J]
        best_QK = _best(collection, query_vectors, search, np.arange(first, end), depth, None)
        own_rank = np.full(len(row_J), NOT_FOUND)
        for language in np.unique(language_J):
            wanted = np.flatnonzero(language_J == language)
            asked, place = np.unique(query_J[wanted], return_inverse=True)
            found = _best(collection, query_vectors, search, first + asked, depth, [int(language)])
            own_rank[wanted] = _ranks(found, place, row_J[wanted])
        yield tile_ranks(collection, first, end, own_rank, _ranks(best_QK, query_J, row_J), best_QK)


def _best(
    collection: Collection,
    query_vectors: np.ndarray,
    search: Search,
    queries: np.ndarray,
    depth: int,
    languages: Sequence[int] | None,
) -> np.ndarray:
    """(Q, depth) rows of the best passages, without each query's own."""
    own_passage = collection.own_passage
    vectors = np.ascontiguousarray(query_vectors[queries], np.float32)
    _, row_QK = search(vectors, depth if own_passage is None else depth + 1, languages)
    if own_passage is None:
        return row_QK
    # One more was asked for: either the query's own, or the last, is left out.
    is_own = row_QK == np.where(own_passage >= 0, own_passage, -2)[queries][:, None]
    order = np.argsort(is_own, axis=1, kind="stable")[:, :depth]
    return np.take_along_axis(row_QK, order, axis=1)


def _ranks(row_QK: np.ndarray, query_J: np.ndarray, row_J: np.ndarray) -> np.ndarray:
    """Place of each relevant passage in its query's ranking, from 1; NOT_FOUND where it is not there."""
    rank_J = np.full(len(row_J), NOT_FOUND)
    for first in range(0, len(row_J), JUDGED_AT_ONCE):
        part = slice(first, first + JUDGED_AT_ONCE)
        same = row_QK[query_J[part]] == row_J[part, None]
        there = same.any(axis=1)
        rank_J[part][there] = same[there].argmax(axis=1) + 1
    return rank_J
