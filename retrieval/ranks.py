"""Scores of a tile of queries in, exact ranks of their relevant passages out: counted, never sorted, never cut.

With s the score of a relevant passage at row r, its rank in a pool is 1 + the number of passages of that pool that are
*ahead*: those with a higher score, and those with the same score and a smaller row. Counts add up over blocks of
columns, so monolingual, cross-lingual and pooled ranks come from one pass, and shards can count apart.

Shape letters: Q queries of the tile, P passages, J judgements (relevant pairs) of these queries.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import float32, int32, int64, njit, uint32, uint64

FEW_RELEVANT = 64
"""Up to here comparing every score with every relevant passage is cheaper than placing it among them (measured: one
comparison takes 0.018 ns on one core with 512-bit vectors, placing a score 1.5 to 2 ns whatever their number)."""

CACHED_COLUMNS = 4096
"""Columns compared with all thresholds before moving on: 16 KiB of scores, which stay in the first-level cache."""

NUM_BUCKETS = 8192
BELOW_ALL = NUM_BUCKETS - 1
LARGEST_SCALE = 1e38
CHUNKS_PER_THREAD = 4


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at first use, without the interpreter lock; keep the machine code on disk where that is possible."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba found no folder it may write to
        return njit(nogil=True)(function)


def count_ahead(
    score_QP: np.ndarray,
    starts: np.ndarray,
    row_J: np.ndarray,
    low_J: np.ndarray,
    high_J: np.ndarray,
    threshold_J: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Count, for each relevant passage, the passages ahead of it: in its own block of columns, and in all columns.

    Args:
        score_QP: scores, higher is better, float32 without NaN, C order.
        starts: (Q + 1) int64; the judgements of query q are `starts[q]` up to `starts[q + 1]`.
        row_J: passage row of each relevant passage, int64, counted from the first column.
        low_J: first column of its own block (its language), int64.
        high_J: end of its own block, int64.
        threshold_J: score of each relevant passage, float32; taken from `score_QP` when not given. With it, `score_QP`
            may be one shard of the columns: rows are then relative to the shard's first column (and may lie outside
            it), and the counts of all shards add up.

    Returns:
        Passages ahead within [low, high), and passages ahead over all columns, both (J) int64.
    """
    if threshold_J is None:
        threshold_J = score_QP[np.repeat(np.arange(len(starts) - 1), np.diff(starts)), row_J]
    own_J, all_J = np.zeros(len(row_J), np.int64), np.zeros(len(row_J), np.int64)
    num_relevant = np.diff(starts)
    for count, queries in (
        (_count_by_comparing, np.flatnonzero((num_relevant > 0) & (num_relevant <= FEW_RELEVANT))),
        (_count_by_placing, np.flatnonzero(num_relevant > FEW_RELEVANT)),
    ):
        in_threads(queries, count, score_QP, starts, threshold_J, row_J, low_J, high_J, own_J, all_J)
    return own_J, all_J


def num_threads() -> int:
    """Threads for counting: OMP_NUM_THREADS where set (as for BLAS), else the cores this process may use."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(queries: np.ndarray, work: Callable[..., object], *arguments: np.ndarray) -> None:
    """Run `work(part, *arguments)` on parts of `queries`, in threads of our own: numba's admit one caller at a time."""
    if not len(queries):
        return  # and nothing to compile for it
    threads = num_threads()
    parts = np.array_split(queries, min(len(queries), threads * CHUNKS_PER_THREAD))
    if threads == 1 or len(parts) == 1:
        work(queries, *arguments)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda part: work(part, *arguments), parts))


# In the loops below indices are unsigned and sums are cast back to 32 bits: numba otherwise checks every index for a
# wrap-around and widens every sum to 64 bits, either of which costs half of the speed or more.


@compiled
def count_above(score_P: np.ndarray, low: int, high: int, threshold: float) -> np.int64:
    number = uint32(0)
    for column in range(uint64(low), uint64(high)):
        number = uint32(number + uint32(score_P[column] > threshold))
    return int64(number)


@compiled
def count_at_least(score_P: np.ndarray, low: int, high: int, threshold: float) -> np.int64:
    number = uint32(0)
    for column in range(uint64(low), uint64(high)):
        number = uint32(number + uint32(score_P[column] >= threshold))
    return int64(number)


@compiled
def _count_between(score_P: np.ndarray, low: int, high: int, threshold: float, row: int) -> np.int64:
    """Columns of [low, high) that are ahead of (threshold, row): before the row equal scores count too."""
    middle = min(max(row, low), high)
    return count_at_least(score_P, low, middle, threshold) + count_above(score_P, middle, high, threshold)


@compiled
def _count_by_comparing(
    queries: np.ndarray,
    score_QP: np.ndarray,
    starts: np.ndarray,
    threshold_J: np.ndarray,
    row_J: np.ndarray,
    low_J: np.ndarray,
    high_J: np.ndarray,
    own_J: np.ndarray,
    all_J: np.ndarray,
) -> None:
    """Every score against every threshold: O(relevant x P), fastest while there are few."""
    num_columns = score_QP.shape[1]
    for query in queries:
        score_P = score_QP[query]
        for judged in range(starts[query], starts[query + 1]):
            own_J[judged] = _count_between(score_P, low_J[judged], high_J[judged], threshold_J[judged], row_J[judged])
        for first in range(0, num_columns, CACHED_COLUMNS):
            end = min(first + CACHED_COLUMNS, num_columns)
            for judged in range(starts[query], starts[query + 1]):
                all_J[judged] += _count_between(score_P, first, end, threshold_J[judged], row_J[judged])


@compiled
def _count_by_placing(
    queries: np.ndarray,
    score_QP: np.ndarray,
    starts: np.ndarray,
    threshold_J: np.ndarray,
    row_J: np.ndarray,
    low_J: np.ndarray,
    high_J: np.ndarray,
    own_J: np.ndarray,
    all_J: np.ndarray,
) -> None:
    """Every score into a bucket between the best and the worst threshold: O(P + relevant log relevant), save ties.

    The bucket number never rises with the score (subtraction and product of floats are monotone under rounding), so a
    score is ahead of every threshold in a later bucket and of none in an earlier one. Only scores that share a bucket
    with thresholds are compared with them, by binary search.
    """
    num_columns = score_QP.shape[1]
    scores_in = np.empty((4, NUM_BUCKETS), np.uint32)  # four histograms in turn: no wait for the last store
    bucket_of = np.empty(CACHED_COLUMNS, np.int32)
    first_in = np.empty(NUM_BUCKETS, np.int32)  # place of a bucket's best threshold, -1 = it holds none
    for query in queries:
        score_P = score_QP[query]
        begin, end = starts[query], starts[query + 1]
        num_relevant = end - begin
        for judged in range(begin, end):
            own_J[judged] = _count_between(score_P, low_J[judged], high_J[judged], threshold_J[judged], row_J[judged])
        # Best threshold first; a stable sort keeps equal ones by row.
        order = begin + np.argsort(-threshold_J[begin:end], kind="mergesort")
        worst = threshold_J[order[-1]]
        half = float32(0.5)  # differences of halves cannot overflow
        best_half = half * threshold_J[order[0]]
        last = float32(NUM_BUCKETS - 2)
        spread = best_half - half * worst
        scale = min(last / spread, float32(LARGEST_SCALE)) if spread > 0 else float32(0)

        scores_in[:] = 0
        first_in[:] = -1
        bucket_of_place = np.empty(num_relevant, np.int32)
        end_of = np.empty(num_relevant, np.int32)  # by a bucket's first place: where its thresholds end
        for place in range(num_relevant):
            bucket = int32(min((best_half - half * threshold_J[order[place]]) * scale, last))
            bucket_of_place[place] = bucket
            if first_in[bucket] < 0:
                first_in[bucket] = place
            end_of[first_in[bucket]] = place + 1

        within = np.zeros(num_relevant, np.int64)  # scores whose first beaten threshold of their bucket is this one
        for first in range(0, num_columns, CACHED_COLUMNS):
            width = uint64(min(CACHED_COLUMNS, num_columns - first))
            for offset in range(width):
                score = score_P[uint64(first) + offset]
                bucket = int32(max(min((best_half - half * score) * scale, last), float32(0)))
                bucket_of[offset] = bucket if score >= worst else int32(BELOW_ALL)
            for offset in range(width):
                bucket = bucket_of[offset]
                scores_in[offset & uint64(3), bucket] += uint32(1)
                if first_in[bucket] >= 0:
                    score, column = score_P[uint64(first) + offset], first + int64(offset)
                    low, stop = first_in[bucket], end_of[first_in[bucket]]
                    high = stop
                    while low < high:
                        middle = (low + high) >> 1
                        other = order[middle]
                        if threshold_J[other] > score or (threshold_J[other] == score and row_J[other] <= column):
                            low = middle + 1
                        else:
                            high = middle
                    if low < stop:
                        within[low] += 1

        next_bucket, in_better_buckets, in_this_bucket = 0, 0, 0
        for place in range(num_relevant):
            while next_bucket < bucket_of_place[place]:
                for copy in range(4):
                    in_better_buckets += int64(scores_in[copy, next_bucket])
                next_bucket += 1
            if first_in[next_bucket] == place:
                in_this_bucket = 0
            in_this_bucket += within[place]
            all_J[order[place]] = in_better_buckets + in_this_bucket
