"""Ranks by counting equal ranks by full sorting, however scores tie and however the work is cut."""

import itertools

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core import caching

from retrieval import best, ranks
from retrieval.best import best_rows
from retrieval.ranks import count_ahead

BY_COMPARING, BY_PLACING = 10**9, 0


def places_by_sorting(score_P: np.ndarray) -> np.ndarray:
    """Number of passages ahead of each passage: its place when sorted by falling score, then by row."""
    order = np.lexsort((np.arange(len(score_P)), -score_P.astype(np.float64)))
    place = np.empty(len(score_P), np.int64)
    place[order] = np.arange(len(score_P))
    return place


class Case:
    """A tile of scores cut into blocks of columns, with some relevant passages per query."""

    def __init__(self, score_QP: np.ndarray, relevant: list[np.ndarray], bounds: np.ndarray) -> None:
        self.score_QP = np.ascontiguousarray(score_QP, np.float32)
        self.starts = np.cumsum([0, *map(len, relevant)])
        self.row_J = np.concatenate([*relevant, np.empty(0, np.int64)]).astype(np.int64)
        block_J = np.searchsorted(bounds, self.row_J, side="right") - 1
        self.bounds = bounds
        self.low_J, self.high_J = bounds[block_J], bounds[block_J + 1]
        self.threshold_J = self.score_QP[np.repeat(np.arange(len(relevant)), np.diff(self.starts)), self.row_J]

    def count(self, few_relevant: int) -> tuple[np.ndarray, np.ndarray]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ranks, "FEW_RELEVANT", few_relevant)
            return count_ahead(self.score_QP, self.starts, self.row_J, self.low_J, self.high_J)

    def count_by_sorting(self) -> tuple[np.ndarray, np.ndarray]:
        own, everywhere = [], []
        for query, score_P in enumerate(self.score_QP):
            for judged in range(self.starts[query], self.starts[query + 1]):
                row, low, high = self.row_J[judged], self.low_J[judged], self.high_J[judged]
                own.append(places_by_sorting(score_P[low:high])[row - low])
                everywhere.append(places_by_sorting(score_P)[row])
        return np.array(own, np.int64), np.array(everywhere, np.int64)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    num_queries, num_passages = draw(st.integers(1, 5)), draw(st.integers(1, 60))
    values = draw(
        st.sampled_from(
            [
                [0.0, 1.0, 2.0, 3.0],  # ties everywhere
                [-0.0, 0.0],
                [1.0],  # a collapsed encoder
                [-3.4e38, -1.0, 0.0, 1.4e-45, 1e-38, 1.0, 3.4e38],  # differences that overflow or vanish
                list(np.linspace(-1, 1, 1000)),
            ]
        )
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    relevant = [
        np.sort(rng.choice(num_passages, rng.integers(0, num_passages + 1), replace=False)) for _ in range(num_queries)
    ]
    cuts = rng.integers(0, num_passages + 1, size=draw(st.integers(0, 4)))  # blocks may be empty
    bounds = np.concatenate([[0], np.sort(cuts), [num_passages]])
    return Case(rng.choice(values, size=(num_queries, num_passages)), relevant, bounds)


@pytest.mark.parametrize("few_relevant", [BY_COMPARING, BY_PLACING])
@settings(deadline=None)
@given(case=cases())
def test_counting_equals_sorting(few_relevant: int, case: Case) -> None:
    for counted, placed in zip(case.count(few_relevant), case.count_by_sorting(), strict=True):
        np.testing.assert_array_equal(counted, placed)


@settings(deadline=None)
@given(case=cases())
def test_counts_of_blocks_add_up_to_the_count_of_all(case: Case) -> None:
    _, everywhere = case.count(BY_COMPARING)
    total = np.zeros_like(everywhere)
    for low, high in itertools.pairwise(case.bounds):
        block = np.full_like(case.low_J, low), np.full_like(case.high_J, high)
        total += count_ahead(case.score_QP, case.starts, case.row_J, *block, case.threshold_J)[0]
    np.testing.assert_array_equal(total, everywhere)


@pytest.mark.parametrize("few_relevant", [BY_COMPARING, BY_PLACING])
@settings(deadline=None)
@given(case=cases(), data=st.data())
def test_counts_of_shards_add_up(few_relevant: int, case: Case, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, case.score_QP.shape[1]))
    total = np.zeros(len(case.row_J), np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranks, "FEW_RELEVANT", few_relevant)
        for first, end in ((0, cut), (cut, case.score_QP.shape[1])):
            shard = np.ascontiguousarray(case.score_QP[:, first:end])
            nothing = np.zeros_like(case.row_J)
            total += count_ahead(shard, case.starts, case.row_J - first, nothing, nothing, case.threshold_J)[1]
    np.testing.assert_array_equal(total, case.count_by_sorting()[1])


@pytest.mark.parametrize("ties", [True, False])
def test_wide_rows_and_many_relevant_passages(ties: bool) -> None:
    """More columns than are kept in the cache at once, and relevant passages on both sides of the crossover."""
    rng = np.random.default_rng(3)
    num_passages = 2 * ranks.CACHED_COLUMNS + 17
    score_QP = rng.integers(0, 50, (3, num_passages)) if ties else rng.standard_normal((3, num_passages))
    relevant = [np.sort(rng.choice(num_passages, size, replace=False)) for size in (3, ranks.FEW_RELEVANT, 300)]
    case = Case(score_QP, relevant, np.array([0, 4000, 4100, num_passages]))
    for counted, placed in zip(case.count(ranks.FEW_RELEVANT), case.count_by_sorting(), strict=True):
        np.testing.assert_array_equal(counted, placed)


@pytest.mark.parametrize("threads", ["1", "2", "5"])
def test_threads_do_not_show(monkeypatch: pytest.MonkeyPatch, threads: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert ranks.num_threads() == int(threads)
    rng = np.random.default_rng(5)
    relevant = [np.sort(rng.choice(90, rng.integers(0, 91), replace=False)) for _ in range(13)]
    case = Case(rng.integers(0, 9, (13, 90)), relevant, np.array([0, 30, 90]))
    for counted, placed in zip(case.count(ranks.FEW_RELEVANT), case.count_by_sorting(), strict=True):
        np.testing.assert_array_equal(counted, placed)


def test_compiles_where_no_folder_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])

    def next_number(number: int) -> int:
        return number + 1

    with pytest.raises(RuntimeError, match="cannot cache"):
        numba.njit(cache=True)(next_number)
    assert ranks.compiled(next_number)(1) == 2


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_passages=st.integers(1, 400),
    keep=st.one_of(st.integers(1, 12), st.integers(33, 500)),  # inserted one by one; picked out and sorted
    levels=st.integers(1, 50),
)
def test_best_rows_equal_sorting(seed: int, num_passages: int, keep: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    score_QP = rng.integers(-levels, levels, (4, num_passages)).astype(np.float32) * np.float32(
        rng.choice([1, 1e-40, 1e30])
    )
    score_QP[score_QP == 0] *= rng.choice([-1, 1], int((score_QP == 0).sum())).astype(
        np.float32
    )  # minus zero ties with zero
    score_QP[rng.random(score_QP.shape) < 0.1] = -np.inf
    expected = np.full((4, keep), -1)
    for query, score_P in enumerate(score_QP):
        order = np.argsort(places_by_sorting(score_P))[: min(keep, np.isfinite(score_P).sum())]
        expected[query, : len(order)] = order
    np.testing.assert_array_equal(best_rows(score_QP, keep), expected)


def test_best_rows_where_the_sampled_scores_are_the_highest() -> None:
    """The threshold is guessed from every fourth of these columns, and with all of the best there it is far too high."""
    score_P = np.random.default_rng(0).random(10_000).astype(np.float32)
    step = len(score_P) // best.SAMPLE
    assert step > 1
    score_P[::step] += 10
    expected = np.argsort(-score_P, kind="stable")
    for keep in (100, 1000, 6000, 10_000):
        np.testing.assert_array_equal(best_rows(score_P[None], keep)[0], expected[:keep])
