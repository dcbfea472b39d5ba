"""Rankings of several shards -> one ranking: the same whatever order they come in.

Shape letters: S shards, Q queries, K places.
"""

from collections.abc import Sequence

import numpy as np

from retrieval.ranks import compiled, in_threads


def merged(scores: Sequence[np.ndarray], rows: Sequence[np.ndarray], keep: int) -> tuple[np.ndarray, np.ndarray]:
    """The best `keep` of several rankings, equal scores by row.

    Args:
        scores: S arrays (Q, K) float32, falling; minus infinity where a ranking has ended.
        rows: S arrays (Q, K) int64 rows of the whole set, each in one shard only; -1 where a ranking has ended.

    Returns:
        (Q, keep) float32 scores and int64 rows, filled up by minus infinity and -1.
    """
    score_QSK = np.stack(scores, axis=1)
    row_QSK = np.stack(rows, axis=1)
    best_score = np.full((len(score_QSK), keep), -np.inf, np.float32)
    best_row = np.full((len(score_QSK), keep), -1, np.int64)
    in_threads(np.arange(len(score_QSK)), _merge, score_QSK, row_QSK, best_score, best_row)
    return best_score, best_row


@compiled
def _merge(
    queries: np.ndarray, score_QSK: np.ndarray, row_QSK: np.ndarray, best_score: np.ndarray, best_row: np.ndarray
) -> None:
    """Take the best head of all rankings, again and again."""
    num_shards, length = score_QSK.shape[1], score_QSK.shape[2]
    head = np.zeros(num_shards, np.int64)
    for query in queries:
        head[:] = 0
        for place in range(best_score.shape[1]):
            chosen = -1
            for shard in range(num_shards):
                if head[shard] == length or row_QSK[query, shard, head[shard]] < 0:
                    continue
                if chosen < 0:
                    chosen = shard
                    continue
                score, best = score_QSK[query, shard, head[shard]], score_QSK[query, chosen, head[chosen]]
                if score > best or (
                    score == best and row_QSK[query, shard, head[shard]] < row_QSK[query, chosen, head[chosen]]
                ):
                    chosen = shard
            if chosen < 0:
                break
            best_score[query, place] = score_QSK[query, chosen, head[chosen]]
            best_row[query, place] = row_QSK[query, chosen, head[chosen]]
            head[chosen] += 1
