"""Vectors in, score rows out: one matrix product per tile of queries, equal passages with equal scores.

Shape letters: Q queries, P passages, D dimensions, U passages that repeat an earlier one.

BLAS treats the last columns of a matrix by other kernels than the rest, and they round differently: the same passage
vector at two columns can get scores that differ in the last bit (seen with OpenBLAS 0.3.31 and MKL 2024.2, at 1,000 to
13,014 columns and 7 to 384 dimensions). A tie would then be broken by an accident of position instead of by row, so
every repeated vector gets the score of its first occurrence.
"""

from dataclasses import dataclass

import numpy as np

from cluster.errors import DataError, WorkError
from cluster.logs import get_logger
from retrieval.ranks import compiled

log = get_logger(__name__)

COLLAPSED = 1e-6
"""Vectors are all alike where no more than this share of the mean squared length is left without their mean."""

_FNV_OFFSET = np.uint64(14695981039346656037)
_FNV_PRIME = np.uint64(1099511628211)


@dataclass(frozen=True)
class VectorScores:
    """Inner products of queries with passages, a tile of queries at a time."""

    queries: np.ndarray
    """(Q, D) float32."""
    passages: np.ndarray
    """(P, D) float32."""
    repeated: np.ndarray
    """(U) rows of passages that are equal, number for number, to an earlier one."""
    original: np.ndarray
    """(U) the first row with the same vector."""

    def __call__(self, first: int, end: int, out: np.ndarray) -> np.ndarray:
        """Scores of queries `first` up to `end`, written to `out` (end - first, P)."""
        np.matmul(self.queries[first:end], self.passages.T, out=out)
        if len(self.repeated):
            out[:, self.repeated] = out[:, self.original]
        return out


def vector_scores(
    name: str, query_vectors: np.ndarray, passage_vectors: np.ndarray, num_queries: int, num_passages: int
) -> VectorScores:
    """Check the vectors of a collection and get them ready to be scored.

    Raises:
        DataError: the arrays do not hold one vector per query and passage, or differ in dimensions.
        WorkError: a vector holds NaN or an infinite number.
    """
    query_QD = np.ascontiguousarray(query_vectors, dtype=np.float32)
    passage_PD = np.ascontiguousarray(passage_vectors, dtype=np.float32)
    for role, vectors, number in (("query", query_QD, num_queries), ("passage", passage_PD, num_passages)):
        if vectors.ndim != 2 or len(vectors) != number:
            raise DataError(f"{name}: {role} vectors have shape {vectors.shape}; need one row for each of {number}")
        if not vectors.shape[1]:
            raise DataError(f"{name}: {role} vectors have no dimensions")
    if query_QD.shape[1] != passage_PD.shape[1]:
        raise DataError(
            f"{name}: query vectors have {query_QD.shape[1]} dimensions, passage vectors {passage_PD.shape[1]}; "
            "encode both with the same encoder"
        )
    for role, vectors in (("query", query_QD), ("passage", passage_PD)):
        _check_vectors(name, role, vectors)
    original_P = first_with_same_vector(passage_PD)
    repeated_U = np.flatnonzero(original_P != np.arange(len(original_P)))
    return VectorScores(query_QD, passage_PD, repeated_U, original_P[repeated_U])


def _check_vectors(name: str, role: str, vectors: np.ndarray) -> None:
    """Refuse what is not finite; warn about vectors that are all alike (a collapsed encoder ranks by row number)."""
    # A squared length that overflows is refused as well: by Cauchy and Schwarz no score can overflow after that.
    squared = np.einsum("nd,nd->n", vectors, vectors)
    bad = np.flatnonzero(~np.isfinite(squared))
    if len(bad):
        raise WorkError(
            f"{name}: {len(bad)} of {len(vectors)} {role} vectors hold NaN or infinite numbers (first: {bad[0]}); "
            "the encoder's weights are broken, train or load it again"
        )
    mean_squared = float(squared.mean(dtype=np.float64))
    spread = mean_squared - float(np.square(vectors.mean(axis=0, dtype=np.float64)).sum())
    if len(vectors) > 1 and spread <= COLLAPSED * mean_squared:
        log.warning(
            "%s: all %d %s vectors are alike: the encoder has collapsed and the figures say nothing about it",
            name, len(vectors), role,
        )  # fmt: skip


def first_with_same_vector(vectors: np.ndarray) -> np.ndarray:
    """First row that holds the same numbers, for every row; (N) int64. 0.0 and -0.0 count as the same number."""
    hashes = np.empty(len(vectors), np.uint64)
    _hash_rows((vectors + np.float32(0)).view(np.uint32), hashes)
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    original = first[group]
    suspects = np.flatnonzero(original != np.arange(len(vectors)))
    different = suspects[(vectors[suspects] != vectors[original[suspects]]).any(axis=1)]
    if len(different):  # rows that only share a hash; as good as never, so by the slow way
        _, first, group = np.unique(vectors + np.float32(0), axis=0, return_index=True, return_inverse=True)
        original = first[group.reshape(-1)]
    return original.astype(np.int64)


@compiled
def _hash_rows(word_NW: np.ndarray, hash_N: np.ndarray) -> None:
    """FNV-1a over 32-bit words, with the high bits folded down so that every bit of a word reaches every later one."""
    for row in range(len(word_NW)):
        value = _FNV_OFFSET
        for word in word_NW[row]:
            value = (value ^ np.uint64(word)) * _FNV_PRIME
            value ^= value >> np.uint64(32)
        hash_N[row] = value
