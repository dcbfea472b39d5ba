"""Scores in, ranks of the relevant passages out, a tile of queries at a time; on this machine's processors.

Shape letters: Q queries of the tile, P passages.
"""

from collections.abc import Callable, Iterator

import numpy as np

from cluster.logs import progress
from retrieval.best import best_rows
from retrieval.measures.peer import DEPTH
from retrieval.per_query import TileRanks
from retrieval.ranks import count_ahead
from retrieval.records import Collection

BEST_KEPT = DEPTH
TILE_BYTES = 32 << 20
TILE_QUERIES = 128
"""With fewer queries in a tile the product reads all passages from memory too often (40 instead of 160: a quarter
slower for 205,820 passages), so tiles may grow to four times `tile_bytes` for them."""

ScoreRows = Callable[[int, int, np.ndarray], np.ndarray]
"""Scores of queries `first` up to `end` for all P passages; the float32 (end - first, P) array given may be filled."""


def ranked_tiles(collection: Collection, score_rows: ScoreRows, tile_bytes: int = TILE_BYTES) -> Iterator[TileRanks]:
    """Score a tile of queries, rank their relevant passages, forget the scores.

    Args:
        tile_bytes: scores held at once, about.
    """
    num_queries, num_passages = len(collection.query_texts), len(collection.passage_texts)
    bounds = collection.language_bounds
    fit = tile_bytes // (4 * num_passages)
    height = max(1, min(num_queries, max(fit, min(TILE_QUERIES, 4 * fit))))
    buffer = np.empty((height, num_passages), np.float32)
    for first, end in query_tiles(collection, height):
        score_QP = score_rows(first, end, buffer[: end - first])
        if collection.own_passage is not None:
            score_QP = _without_own(score_QP, collection.own_passage[first:end], buffer)
        judged, starts = judged_in(collection, first, end)
        row_J = collection.judged_passage[judged]
        language_J = collection.passage_language[row_J]
        own_J, all_J = count_ahead(score_QP, starts, row_J, bounds[language_J], bounds[language_J + 1])
        yield tile_ranks(
            collection, first, end, own_J + 1, all_J + 1, best_rows(score_QP, min(BEST_KEPT, num_passages))
        )


def query_tiles(collection: Collection, height: int) -> Iterator[tuple[int, int]]:
    """First query and end of each tile."""
    num_queries = len(collection.query_texts)
    firsts = range(0, num_queries, height)
    for first in progress(firsts, f"ranking {collection.name}", total=len(firsts), unit="tile"):
        yield first, min(first + height, num_queries)


def judged_in(collection: Collection, first: int, end: int) -> tuple[slice, np.ndarray]:
    """Judgements of a tile's queries, and (Q + 1) where those of each query begin, counted from the first of them."""
    starts = np.searchsorted(collection.judged_query, np.arange(first, end + 1))
    return slice(starts[0], starts[-1]), starts - starts[0]


def tile_ranks(
    collection: Collection, first: int, end: int, own_rank: np.ndarray, pool_rank: np.ndarray, best_row: np.ndarray
) -> TileRanks:
    """The ranks of the relevant passages of a tile, with what the collection says about them."""
    judged, _ = judged_in(collection, first, end)
    return TileRanks(
        first=first,
        end=end,
        query=collection.judged_query[judged],
        language=collection.passage_language[collection.judged_passage[judged]],
        grade=collection.grade[judged],
        own_rank=own_rank,
        pool_rank=pool_rank,
        best_row=best_row,
    )


def _without_own(score_QP: np.ndarray, own_Q: np.ndarray, buffer: np.ndarray) -> np.ndarray:
    """The scores with minus infinity for each query's own passage: it is ahead of nothing and never among the best."""
    if not np.may_share_memory(score_QP, buffer):
        score_QP = score_QP.copy()  # the scorer's own array
    with_own = np.flatnonzero(own_Q >= 0)
    score_QP[with_own, own_Q[with_own]] = -np.inf
    return score_QP
