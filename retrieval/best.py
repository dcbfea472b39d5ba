"""Scores of a tile of queries in, the best rows of each query out, in order: equal scores by row, the smaller first.

Shape letters: Q queries of the tile, P passages, K best passages kept, L languages.
"""

import numpy as np

from retrieval.ranks import compiled, count_above, count_at_least, in_threads

FEW_KEPT = 32
"""Up to here each row is inserted where it belongs; beyond, candidates are picked out first and sorted once."""

SKIPPED_COLUMNS = 32
SAMPLE = 2048
DIGIT_BITS, DIGITS = 11, 3
POSITIVE = np.uint32(0x7FFFFFFF)
MINUS_ZERO = np.uint32(0x80000000)


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
    """Guess a threshold from a sample, take every score from there up, sort those; take all if they are too few."""
    num_columns, keep = score_QP.shape[1], row_QK.shape[1]
    step = max(1, num_columns // SAMPLE)
    wanted = min(keep, num_columns) / step
    worst = int(wanted + 4 * np.sqrt(wanted)) + 1  # place in the sample: four standard deviations to be safe
    key_C, spare_C = np.empty(num_columns, np.uint64), np.empty(num_columns, np.uint64)
    for query in queries:
        score_P = score_QP[query]
        sample = score_P[::step].copy()
        threshold = np.partition(sample, len(sample) - worst)[len(sample) - worst] if worst < len(sample) else -np.inf
        number = _take(score_P, threshold, key_C)
        if number < min(keep, num_columns) and threshold > -np.inf:
            number = _take(score_P, -np.inf, key_C)
        _sort_by_upper_half(key_C, spare_C, number)
        for place in range(min(keep, number)):
            row_QK[query, place] = np.int64(spare_C[place] & np.uint64(0xFFFFFFFF))


@compiled
def _take(score_P: np.ndarray, threshold: float, key_C: np.ndarray) -> np.int64:
    """Keys (falling score, row) of all finite scores from `threshold` up, by row; how many they are."""
    bits_P = score_P.view(np.uint32)
    number = np.uint64(0)
    for first in range(0, len(score_P), SKIPPED_COLUMNS):
        end = min(first + SKIPPED_COLUMNS, len(score_P))
        if count_at_least(score_P, first, end, threshold) == 0:
            continue
        for column in range(np.uint64(first), np.uint64(end)):
            key_C[number] = (np.uint64(_falling(bits_P[column])) << np.uint64(32)) | column
            number += np.uint64((score_P[column] >= threshold) & (score_P[column] > -np.inf))
    return np.int64(number)


@compiled
def _sort_by_upper_half(key_C: np.ndarray, spare_C: np.ndarray, number: int) -> None:
    """Sort the first keys by their upper 32 bits into `spare_C`; stable, so equal scores keep the order of rows.

    Radix sort by 11 bits at a time: 5 us for 1,300 keys where a comparing sort takes 10 to 60.
    """
    keys_in = np.zeros((DIGITS, 1 << DIGIT_BITS), np.uint32)
    low, mask = np.uint64(32), np.uint64((1 << DIGIT_BITS) - 1)
    for place in range(number):
        for digit in range(DIGITS):
            keys_in[digit, (key_C[place] >> (low + np.uint64(digit * DIGIT_BITS))) & mask] += np.uint32(1)
    source, target = key_C, spare_C
    for digit in range(DIGITS):
        shift = low + np.uint64(digit * DIGIT_BITS)
        before = np.uint32(0)
        for value in range(1 << DIGIT_BITS):
            before, keys_in[digit, value] = np.uint32(before + keys_in[digit, value]), before
        for place in range(number):
            value = (source[place] >> shift) & mask
            target[keys_in[digit, value]] = source[place]
            keys_in[digit, value] += np.uint32(1)
        source, target = target, source


@compiled
def _add_places(queries: np.ndarray, language_QK: np.ndarray, count_QL: np.ndarray, sum_QL: np.ndarray) -> None:
    for query in queries:
        place = 0
        for language in language_QK[query]:
            if language >= 0:
                place += 1
                count_QL[query, language] += 1
                sum_QL[query, language] += place
