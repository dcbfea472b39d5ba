"""What a pool of all languages does to languages: distance between parallel passages, and preference for one's own.

Shape letters: Q queries, L languages, J relevant passages of these queries, K best passages of the pool kept.

A value is NaN for a query the measure says nothing about: it then counts in no mean.
"""

from dataclasses import dataclass

import numpy as np

from retrieval.measures.peer import DEPTH, peer_irrelevant, peer_relevant
from retrieval.measures.ranking import ndcg, rankings_from, starts_of

OTHER_LANGUAGE_GAIN = 0.5
"""What a relevant passage in another language is worth in Lang-nDCG, as a share of one in the query's language."""

TOP_PASSAGES = (
    "relevant_same_language",
    "relevant_other_language",
    "irrelevant_same_language",
    "irrelevant_other_language",
)


@dataclass(frozen=True)
class PooledRanking:
    """What the measures of bias need of the pooled rankings of Q queries, each with at least one relevant passage."""

    query_language: np.ndarray
    """(Q) language of each query."""
    query: np.ndarray
    """(J) query (0 to Q - 1) of each relevant passage; never falling."""
    language: np.ndarray
    """(J) language of each relevant passage; never falling within a query."""
    rank: np.ndarray
    """(J) its rank among the passages of all languages, from 1."""
    gain: np.ndarray
    """(J) its relevance grade."""
    best_language: np.ndarray
    """(Q, K) language of the best passages of each query, best first; -1 where the pool holds fewer."""
    languages_in_pool: np.ndarray
    """(L) bool: the pool holds passages of this language."""


def bias_measures(pooled: PooledRanking) -> dict[str, np.ndarray]:
    """All measures of bias for each query; column name -> (Q) float64."""
    values = {
        "rank_distance": rank_distance(pooled),
        "same_language_share@10": same_language_share(pooled, 10),
        "language_preference": language_preference(pooled),
        "lang_ndcg@10": lang_ndcg(pooled, 10),
        f"peer_relevant@{DEPTH}": peer_relevant(pooled.query, pooled.language, pooled.rank, pooled.gain, DEPTH),
        f"peer_irrelevant@{DEPTH}": peer_irrelevant(
            pooled.query, pooled.rank, pooled.best_language[:, :DEPTH], pooled.languages_in_pool
        ),
    }
    return values | top_passage(pooled)


def rank_distance(pooled: PooledRanking) -> np.ndarray:
    """Highest minus lowest pooled rank of a query's parallel relevant passages; 0 would treat languages alike.

    arXiv 2408.10536, section 4, where each language has exactly one relevant passage. Where a language has several,
    its best-ranked one stands for it. NaN for queries with relevant passages in one language only.
    """
    best_rank, of_query = _best_rank_by_language(pooled)
    start = starts_of(of_query)
    distance = np.maximum.reduceat(best_rank, start) - np.minimum.reduceat(best_rank, start)
    return np.where(np.diff(start, append=len(of_query)) > 1, distance, np.nan)


def language_preference(pooled: PooledRanking) -> np.ndarray:
    """1 if the relevant passage ranked first among the parallel ones is in the query's language, else 0.

    The mean is a language preference rate: 1 = the own language always wins, 1 / (languages) = no preference. The idea
    and the name LPR are MLAIRE's (arXiv 2605.07249); its formula was not at hand, so this definition is ours. NaN for
    queries without a relevant passage in their own language, or with none in another.
    """
    best_rank, of_query = _best_rank_by_language(pooled)
    start = starts_of(of_query)
    language = pooled.language[_starts_by_language(pooled)]
    own = language == pooled.query_language[of_query]
    own_rank = np.minimum.reduceat(np.where(own, best_rank, np.iinfo(np.int64).max), start)
    is_first = (own_rank == np.minimum.reduceat(best_rank, start)).astype(np.float64)
    comparable = np.logical_or.reduceat(own, start) & (np.diff(start, append=len(of_query)) > 1)
    return np.where(comparable, is_first, np.nan)


def lang_ndcg(pooled: PooledRanking, k: int) -> np.ndarray:
    """nDCG@k of the pooled ranking where a relevant passage in another language is worth half of one in the query's.

    1 = relevant passages in the query's language come first, then those in other languages. The idea and the name are
    MLAIRE's (arXiv 2605.07249); its formula was not at hand, so the gain (grade, times 1/2 in another language) is
    ours. NaN for queries without a relevant passage in their own language.
    """
    own = pooled.language == pooled.query_language[pooled.query]
    gain_J = pooled.gain * np.where(own, 1.0, OTHER_LANGUAGE_GAIN)
    value = ndcg(rankings_from(pooled.query, pooled.rank, gain_J), k)
    return np.where(np.logical_or.reduceat(own, starts_of(pooled.query)), value, np.nan)


def same_language_share(pooled: PooledRanking, k: int) -> np.ndarray:
    """Share of passages in the query's language among the k best of the pool, relevant or not.

    NaN for queries whose language has no passages in the pool.
    """
    best_language_Qk = pooled.best_language[:, :k]
    present = best_language_Qk >= 0
    same = (best_language_Qk == pooled.query_language[:, None]) & present
    share = same.sum(axis=1) / present.sum(axis=1)
    return np.where(pooled.languages_in_pool[pooled.query_language], share, np.nan)


def language_counts(pooled: PooledRanking, num_languages: int, k: int) -> np.ndarray:
    """How often each language stands among the k best, by language of the query; (L of query, L of passage) int64."""
    best_language_Qk = pooled.best_language[:, :k]
    query_language = np.repeat(pooled.query_language.astype(np.int64), best_language_Qk.shape[1])
    language = best_language_Qk.reshape(-1)
    cell = (query_language * num_languages + language)[language >= 0]
    return np.bincount(cell, minlength=num_languages**2).reshape(num_languages, num_languages)


def top_passage(pooled: PooledRanking) -> dict[str, np.ndarray]:
    """Which of four kinds the passage at rank 1 is: relevant or not, in the query's language or not; 0 or 1 each.

    Tells failures of meaning from failures of language, after the four-way decomposition of MLAIRE (arXiv 2605.07249).
    """
    relevant = np.minimum.reduceat(pooled.rank, starts_of(pooled.query)) == 1
    same = pooled.best_language[:, 0] == pooled.query_language
    kinds = (relevant & same, relevant & ~same, ~relevant & same, ~relevant & ~same)
    return {f"top_{name}": kind.astype(np.float64) for name, kind in zip(TOP_PASSAGES, kinds, strict=True)}


def _starts_by_language(pooled: PooledRanking) -> np.ndarray:
    """Where a query's relevant passages of one language begin."""
    return starts_of(pooled.query * (int(pooled.language.max()) + 1) + pooled.language)


def _best_rank_by_language(pooled: PooledRanking) -> tuple[np.ndarray, np.ndarray]:
    """Best pooled rank of each (query, language) that has relevant passages, and the query it belongs to."""
    start = _starts_by_language(pooled)
    return np.minimum.reduceat(pooled.rank, start), pooled.query[start]
