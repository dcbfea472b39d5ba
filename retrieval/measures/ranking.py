"""How well rankings serve their queries, from the ranks of the relevant passages alone.

Shape letters: N rankings, J relevant passages over all of them.

Ranks cover the whole ranking, so nothing here is cut off unless its name says so. All agree with trec_eval (through
pytrec_eval and ir_measures) on the same rankings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np


@dataclass(frozen=True)
class Rankings:
    """The relevant passages of N rankings, each ranking's best first; build it with `rankings_from`."""

    start: np.ndarray
    """(N) int64: first relevant passage of each ranking; every ranking has at least one."""
    rank: np.ndarray
    """(J) int64: ranks from 1, rising within a ranking."""
    gain: np.ndarray
    """(J) what finding the passage is worth, > 0: its relevance grade, unless a measure says otherwise."""

    @cached_property
    def num_relevant(self) -> np.ndarray:
        """(N) int64: relevant passages of each ranking."""
        return np.diff(self.start, append=len(self.rank))

    @cached_property
    def position(self) -> np.ndarray:
        """(J) 1 for a ranking's best relevant passage, 2 for its second, ...: relevant ones seen up to its rank."""
        return np.arange(1, len(self.rank) + 1) - np.repeat(self.start, self.num_relevant)

    def total(self, value_J: np.ndarray) -> np.ndarray:
        """Sum over the relevant passages of each ranking; (N) float64."""
        return np.add.reduceat(value_J, self.start, dtype=np.float64)


def rankings_from(ranking_J: np.ndarray, rank_J: np.ndarray, gain_J: np.ndarray) -> Rankings:
    """Arrange ranks by ranking.

    Args:
        ranking_J: number of the ranking each relevant passage belongs to; never falling.
        rank_J: its rank there, from 1.
        gain_J: its relevance grade, or another gain > 0.
    """
    start = starts_of(ranking_J)
    if len(start) == len(ranking_J):  # one relevant passage each: 42 million times so in 205 parallel languages
        return Rankings(start, rank_J, gain_J)
    order = np.lexsort((rank_J, ranking_J))
    return Rankings(start, rank_J[order], gain_J[order])


def starts_of(sorted_keys: np.ndarray) -> np.ndarray:
    """Positions where a run of equal keys begins; int64."""
    return np.flatnonzero(np.concatenate([[True], sorted_keys[1:] != sorted_keys[:-1]]))


def average_precision(rankings: Rankings) -> np.ndarray:
    """AP = (1 / R) * sum over the R relevant passages of (relevant ones up to its rank) / (its rank).

    Whole ranking, R counts all relevant passages of the pool: trec_eval's `map`. Buckley and Voorhees, SIGIR 2000.
    """
    return rankings.total(rankings.position / rankings.rank) / rankings.num_relevant


def reciprocal_rank(rankings: Rankings) -> np.ndarray:
    """1 / rank of the best relevant passage; the mean over queries is MRR. Voorhees, TREC-8, 1999."""
    return 1.0 / rankings.rank[rankings.start]


def reciprocal_rank_within(rankings: Rankings, k: int) -> np.ndarray:
    """1 / rank of the best relevant passage where it is among the first k, else 0; the mean over queries is MRR@k."""
    rank = rankings.rank[rankings.start]
    return np.where(rank <= k, 1.0 / rank, 0.0)


def recall(rankings: Rankings, k: int) -> np.ndarray:
    """R@k: share of the relevant passages among the first k. With one relevant passage the same as S@k."""
    return rankings.total(rankings.rank <= k) / rankings.num_relevant


def precision(rankings: Rankings, k: int) -> np.ndarray:
    """P@k: share of relevant passages among the first k; divided by k even where the pool holds fewer (trec_eval)."""
    return rankings.total(rankings.rank <= k) / k


def success(rankings: Rankings, k: int) -> np.ndarray:
    """S@k: 1 if any relevant passage is among the first k, else 0."""
    return (rankings.rank[rankings.start] <= k).astype(np.float64)


def ndcg(rankings: Rankings, k: int) -> np.ndarray:
    """nDCG@k = DCG@k / ideal DCG@k with DCG@k = sum of grade / log2(rank + 1) over ranks up to k.

    The gain is the plain grade (Järvelin and Kekäläinen, TOIS 2002, with the discount log2(rank + 1) of trec_eval's
    `ndcg_cut`); Burges et al., ICML 2005, use 2^grade - 1, which for grades of 0 and 1 is the same. The ideal puts all
    relevant passages of the pool first, highest grade first.
    """
    ideal_gain_J = rankings.gain
    if np.any(ideal_gain_J != ideal_gain_J[0]):
        ranking_J = np.repeat(np.arange(len(rankings.start)), rankings.num_relevant)
        ideal_gain_J = ideal_gain_J[np.lexsort((-ideal_gain_J, ranking_J))]
    gained = rankings.total(_discounted(rankings.gain, rankings.rank, k))
    return gained / rankings.total(_discounted(ideal_gain_J, rankings.position, k))


def _discounted(gain_J: np.ndarray, rank_J: np.ndarray, k: int) -> np.ndarray:
    return np.where(rank_J <= k, gain_J / np.log2(rank_J + 1.0), 0.0)


MEASURES: Mapping[str, Callable[[Rankings], np.ndarray]] = {
    "mAP": average_precision,
    "R@1": partial(recall, k=1),
    "R@5": partial(recall, k=5),
    "R@10": partial(recall, k=10),
    "R@100": partial(recall, k=100),
    "P@1": partial(precision, k=1),
    "P@10": partial(precision, k=10),
    "S@1": partial(success, k=1),
    "S@10": partial(success, k=10),
    "MRR": reciprocal_rank,
    "nDCG@10": partial(ndcg, k=10),
}
"""Measures of every evaluation by their name in tables; the value for one query is what the mean is taken of."""
