"""The scores that decide an exact ranking, and the proof that no row was missed.

A matrix product rounds by the shape of its tiles: the same vector at another place, or in another shard, can get a
score that differs in the last bits, and with it another rank. So candidates are scored again, one by one, in float64
and rounded once: the same number wherever a row lies. FAISS's own score of a row differs from it by no more than the
rounding of a float32 sum, so a row that FAISS left out below that margin cannot belong to the answer.

Shape letters: Q queries, P rows, K best rows, C candidates (-1 fills up), D dimensions.
"""

import numpy as np

from retrieval.ranks import compiled, in_threads

UNIT = 2.0**-24
"""Largest relative error of one rounding to float32."""


def rounding_margin(queries: np.ndarray, longest: float) -> np.ndarray:
    """(Q) by how much a float32 inner product can differ from the true one, whatever the order of the sum.

    |fl(x . y) - x . y| <= D u / (1 - D u) * sum |x_d y_d| (Higham, Accuracy and Stability of Numerical Algorithms,
    section 3.1), and the sum is at most |x| |y|.

    Args:
        longest: length of the longest row.
    """
    dimension = queries.shape[1] + 1  # one more for the rounding of the deciding score itself
    share = dimension * UNIT / (1 - dimension * UNIT)
    return share * np.linalg.norm(queries.astype(np.float64), axis=1) * longest


def rescored(queries: np.ndarray, vectors: np.ndarray, candidate_QC: np.ndarray) -> np.ndarray:
    """(Q, C) float32 scores that decide, of rows of `vectors`; minus infinity where a candidate is -1."""
    score_QC = np.empty(candidate_QC.shape, np.float32)
    in_threads(np.arange(len(queries)), _rescore, queries, vectors, candidate_QC, score_QC)
    return score_QC


@compiled
def _rescore(
    rows: np.ndarray, query_QD: np.ndarray, vector_PD: np.ndarray, candidate_QC: np.ndarray, score_QC: np.ndarray
) -> None:
    for query in rows:
        for place in range(candidate_QC.shape[1]):
            candidate = candidate_QC[query, place]
            if candidate < 0:
                score_QC[query, place] = -np.inf
                continue
            total = 0.0
            for number in range(query_QD.shape[1]):
                total += np.float64(query_QD[query, number]) * np.float64(vector_PD[candidate, number])
            score_QC[query, place] = np.float32(total)


def ordered(score_QC: np.ndarray, row_QC: np.ndarray, keep: int) -> tuple[np.ndarray, np.ndarray]:
    """The best `keep` of each line by falling score, equal scores by row; lines that have fewer end in -inf and -1."""
    last = np.where(row_QC < 0, np.iinfo(np.int64).max, row_QC)
    order = np.lexsort((last, -score_QC), axis=-1)[:, :keep]
    score_QK = np.take_along_axis(score_QC, order, axis=1)
    row_QK = np.take_along_axis(row_QC, order, axis=1)
    if order.shape[1] < keep:
        missing = ((0, 0), (0, keep - order.shape[1]))
        score_QK = np.pad(score_QK, missing, constant_values=-np.inf)
        row_QK = np.pad(row_QK, missing, constant_values=-1)
    return score_QK, row_QK


def rows_at_least(query: np.ndarray, vectors: np.ndarray, threshold: float, rows_at_once: int = 65_536) -> np.ndarray:
    """All rows whose product with one query is at least `threshold`, by row, one block of rows after another."""
    found = [
        first + np.flatnonzero(vectors[first : first + rows_at_once] @ query >= threshold)
        for first in range(0, len(vectors), rows_at_once)
    ]
    return np.concatenate(found).astype(np.int64)
