"""Scores of a tile of queries in, the best rows of each query out, in order: equal scores by row, the smaller first.

Shape letters: Q queries of the tile, P passages, K best passages kept, L languages.
"""

import numpy as np

from retrieval.ranks import compiled, count_above, in_threads

FEW_KEPT = 32
"""Up to here each row is inserted where it belongs; beyond, candidates are picked out first and sorted once."""

SKIPPED_COLUMNS = 128
NUM_BINS = 1 << 16
POSITIVE = np.uint32(0x7FFFFFFF)
MINUS_ZERO = np.uint32(0x80000000)
MINUS_INFINITY = np.uint32(0xFF800000)


def best_rows(score_QP: np.ndarray, keep: int) -> np.ndarray:
    """Rows of each query's `keep` best passages, best first, equal scores by row; (Q, keep) int64, -1 = no more.

    A passage with a score of minus infinity is never among them.
    """
    row_QK = np.full((len(score_QP), keep), -1, np.int64)
    in_threads(np.arange(len(score_QP)), _insert if keep <= FEW_KEPT else _pick_and_sort, score_QP, row_QK)
    return row_QK


def places_by_language(language_QK: np.ndarray, num_languages: int) -> tuple[np.ndarray, np.ndarray]:
    """How many passages of each language a ranking holds, and the sum of their places, from 1.

    Args:
        language_QK: languages in order of rank; what is -1 is left out and takes no place.
        num_languages: L.

    Returns:
        Numbers and sums of places, both (Q, L) int64.
    """
    count_QL = np.zeros((len(language_QK), num_languages), np.int64)
    sum_QL = np.zeros_like(count_QL)
    in_threads(np.arange(len(language_QK)), _add_places, language_QK, count_QL, sum_QL)
    return count_QL, sum_QL


@compiled
def _insert(queries: np.ndarray, score_QP: np.ndarray, row_QK: np.ndarray) -> None:
    """Fill `row_QK` by insertion; a stretch of columns without a score above the worst kept one is skipped at once."""
    num_columns, keep = score_QP.shape[1], row_QK.shape[1]
    kept = np.empty(keep, np.float32)
    for query in queries:
        score_P = score_QP[query]
        kept[:] = -np.inf
        for first in range(0, num_columns, SKIPPED_COLUMNS):
            end = min(first + SKIPPED_COLUMNS, num_columns)
            if count_above(score_P, first, end, kept[keep - 1]) == 0:
                continue
            for column in range(first, end):
                score = score_P[column]
                if score > kept[keep - 1]:
                    place = keep - 1
                    while place > 0 and kept[place - 1] < score:
                        kept[place], row_QK[query, place] = kept[place - 1], row_QK[query, place - 1]
                        place -= 1
                    kept[place], row_QK[query, place] = score, column


@compiled
def _falling(bits: np.uint32) -> np.uint32:
    """The bits of a float32 as a number that rises as the float falls; the two zeros are one."""
    if bits <= POSITIVE:
        return np.uint32(POSITIVE - bits)
    return POSITIVE if bits == MINUS_ZERO else bits


@compiled
def _pick_and_sort(queries: np.ndarray, score_QP: np.ndarray, row_QK: np.ndarray) -> None:
    """Histogram of the upper 16 bits, every score down to the bin that completes the wanted number, then a sort."""
    num_columns, keep = score_QP.shape[1], row_QK.shape[1]
    all_columns = np.uint64(num_columns)  # unsigned, so that no index is checked for a wrap-around
    scores_in = np.empty(NUM_BINS, np.uint32)
    key_C = np.empty(num_columns, np.uint64)
    for query in queries:
        bits_P = score_QP[query].view(np.uint32)
        scores_in[:] = 0
        for column in range(all_columns):
            scores_in[_falling(bits_P[column]) >> np.uint32(16)] += np.uint32(1)
        last_bin, found = 0, np.int64(scores_in[0])
        while found < min(keep, num_columns):
            last_bin += 1
            found += np.int64(scores_in[last_bin])
        number = np.uint64(0)
        for column in range(all_columns):
            falling = _falling(bits_P[column])
            key_C[number] = (np.uint64(falling) << np.uint64(32)) | column
            number += np.uint64((falling >> np.uint32(16)) <= np.uint32(last_bin))
        best_C = np.sort(key_C[:number])
        for place in range(min(keep, num_columns)):
            if best_C[place] >> np.uint64(32) >= np.uint64(MINUS_INFINITY):
                break
            row_QK[query, place] = np.int64(best_C[place] & np.uint64(0xFFFFFFFF))


@compiled
def _add_places(queries: np.ndarray, language_QK: np.ndarray, count_QL: np.ndarray, sum_QL: np.ndarray) -> None:
    for query in queries:
        place = 0
        for language in language_QK[query]:
            if language >= 0:
                place += 1
                count_QL[query, language] += 1
                sum_QL[query, language] += place
