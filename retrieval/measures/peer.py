"""PEER: are passages of the same relevance ranked alike, whatever their language?

Shape letters: Q queries, L languages, J relevant passages of these queries, K best passages of the pool kept, N tests.

Probability of Equal Expected Rank (Yang, Jänich, Mayfield and Lawrie, SIGIR 2024, arXiv 2405.00978): at each level of
relevance, the passages of a query are grouped by language, and a Kruskal-Wallis test asks whether the groups differ in
rank. Its p-value is near 1 where languages stand alike and near 0 where some stand ahead of others; PEER@K is the
weighted mean over levels. The levels are kept apart here, so every weighting can be had afterwards:
PEER@K with weight w on irrelevant passages = (1 - w) * mean(peer_relevant@K) + w * mean(peer_irrelevant@K).

Of irrelevant passages the first K of the pool count. Relevant ones count all, those below K tied behind the others.
With r the places within a level (ties share their mean), n_l and R_l number and sum of places of language l, n = sum
n_l, c = n * ((n + 1) / 2)^2 and X chi-squared with one degree of freedom less than there are languages,

    H = (n - 1) * (sum_l R_l^2 / n_l - c) / (sum r^2 - c)    p = P(X > H)

which is Kruskal and Wallis, JASA 1952, with their correction for ties: scipy.stats.kruskal.

The authors' own package (hltcoe/peer_measure, at cb6fb77) differs in three ways. It tests places in the whole ranking
instead of places within the level. It puts relevant passages below K at a rank computed from how many there are, for
the branch that looks at the lowest rank found can never be taken, so they may come out ahead of passages that were
found. And where this makes all ranks equal it divides by zero. Where one language alone has passages of a level, the
value is 1 there; so it is here for irrelevant passages, which calls a ranking fair that shows one language only:
read `same_language_share@10` beside it. A level at which *every* ranking would get the same value (relevant passages in
one language, or no language with two of them, as in collections with one parallel passage per language) is NaN here.
"""

import numpy as np

from retrieval.best import places_by_language
from retrieval.measures.ranking import starts_of

DEPTH = 1000
"""K of the evaluations."""


def kruskal_wallis(count_NL: np.ndarray, sum_NL: np.ndarray, spread_N: np.ndarray) -> np.ndarray:
    """p-values of Kruskal-Wallis tests, (N) float64; 1 where fewer than two groups hold anything or all ranks tie.

    Args:
        count_NL: values in each group.
        sum_NL: sum of the ranks in each group; ranks run from 1 over all groups of a test, ties share their mean.
        spread_N: sum of the squared ranks minus n * ((n + 1) / 2)^2, with n values in the test.
    """
    from scipy.special import chdtrc

    number_N = count_NL.sum(axis=1)
    centre_N = number_N * ((number_N + 1) / 2) ** 2
    between_N = (sum_NL.astype(np.float64) ** 2 / np.maximum(count_NL, 1)).sum(axis=1) - centre_N
    freedom_N = (count_NL > 0).sum(axis=1) - 1
    testable_N = (freedom_N > 0) & (spread_N > 0)
    h_N = (number_N - 1) * np.maximum(between_N, 0) / np.where(testable_N, spread_N, 1)
    return np.where(testable_N, chdtrc(np.maximum(freedom_N, 1), h_N), 1.0)


def peer_relevant(
    query_J: np.ndarray, language_J: np.ndarray, rank_J: np.ndarray, grade_J: np.ndarray, depth: int
) -> np.ndarray:
    """PEER of the relevant passages, (Q) float64: the mean over relevance grades that say something, NaN if none does.

    Args:
        query_J: query (0 to Q - 1) of each relevant passage; never falling, each query has at least one.
        language_J: its language.
        rank_J: its rank in the pool of all languages, from 1.
        grade_J: its relevance grade.
        depth: passages below this rank are tied.
    """
    place_J = np.minimum(rank_J, depth + 1)
    order = np.lexsort((place_J, grade_J, query_J))
    query_J, language_J, place_J = query_J[order], language_J[order], place_J[order]
    start_N = starts_of(query_J * (int(grade_J.max()) + 1) + grade_J[order])
    number_N = np.diff(start_N, append=len(order))
    test_J = np.repeat(np.arange(len(start_N)), number_N)
    below_J = place_J > depth
    below_N = np.add.reduceat(below_J.astype(np.int64), start_N)
    among_J = np.arange(1, len(order) + 1) - start_N[test_J]
    among_J = np.where(below_J, (number_N - (below_N - 1) / 2)[test_J], among_J)

    num_languages = int(language_J.max()) + 1
    cell_J = test_J * num_languages + language_J
    shape = (len(start_N), num_languages)
    count_NL = np.bincount(cell_J, minlength=shape[0] * shape[1]).reshape(shape)
    sum_NL = np.bincount(cell_J, among_J, minlength=shape[0] * shape[1]).reshape(shape)
    spread_N = np.add.reduceat(among_J**2, start_N) - number_N * ((number_N + 1) / 2) ** 2
    tells_N = (count_NL.max(axis=1) > 1) & ((count_NL > 0).sum(axis=1) > 1)
    p_N = np.where(tells_N, kruskal_wallis(count_NL, sum_NL, spread_N), 0.0)

    query_N = query_J[start_N]
    tests_Q = np.bincount(query_N, tells_N)
    return np.where(tests_Q > 0, np.bincount(query_N, p_N) / np.maximum(tests_Q, 1), np.nan)


def peer_irrelevant(
    query_J: np.ndarray, rank_J: np.ndarray, best_language_QK: np.ndarray, languages_in_pool: np.ndarray
) -> np.ndarray:
    """PEER of the irrelevant passages among the K best, (Q) float64; all NaN for a pool in one language.

    Args:
        query_J: query (0 to Q - 1) of each relevant passage.
        rank_J: its rank in the pool of all languages, from 1.
        best_language_QK: language of the best passages, best first; -1 where the pool holds fewer.
        languages_in_pool: (L) bool.
    """
    if languages_in_pool.sum() < 2:
        return np.full(len(best_language_QK), np.nan)
    among_best = rank_J <= best_language_QK.shape[1]
    irrelevant_QK = best_language_QK.copy()
    irrelevant_QK[query_J[among_best], rank_J[among_best] - 1] = -1
    count_QL, sum_QL = places_by_language(irrelevant_QK, len(languages_in_pool))
    number_Q = count_QL.sum(axis=1).astype(np.float64)
    return kruskal_wallis(count_QL, sum_QL, number_Q * (number_Q**2 - 1) / 12)  # no ties: ranks 1 to n
