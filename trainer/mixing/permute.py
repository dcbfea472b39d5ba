"""Keyed permutations and draws that are computed, never stored, and equal on every machine and numpy version.

A permutation of [0, n) is a Feistel network over the smallest even number of bits that holds n, walked along its
cycle until it falls below n (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). Round function and
draws are splitmix64 (Steele, Lea and Flood 2014). This is for shuffling, not for secrecy.
"""

import hashlib

import numpy as np

_ROUNDS = 6
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def key_of(*labels: str | int) -> np.uint64:
    """A 64-bit key for a purpose, e.g. `key_of(seed, "row groups", source, epoch)`."""
    text = "\0".join(f"{type(label).__name__}:{label}" for label in labels)
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big"))


def mix64(values: np.ndarray | np.uint64) -> np.ndarray:
    """The splitmix64 finaliser: every input bit changes about half of the output bits."""
    # At least one dimension: of arrays, unlike of single numbers, numpy does not say that they overflow.
    z = np.array(values, dtype=np.uint64, ndmin=1)
    z += _GOLDEN
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z.reshape(np.shape(values))


def draws(key: np.uint64, counters: np.ndarray) -> np.ndarray:
    """Independent 64-bit draws, one per counter."""
    return mix64(mix64(np.asarray(counters, dtype=np.uint64)) ^ np.uint64(key))


def uniform(key: np.uint64, counters: np.ndarray) -> np.ndarray:
    """Independent draws from [0, 1), one per counter, float64."""
    return (draws(key, counters) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permute(index: np.ndarray, size: int, key: np.ndarray | np.uint64, inverse: bool = False) -> np.ndarray:
    """Where a keyed permutation of [0, size) sends each index.

    Args:
        index: positions in [0, size), any shape.
        size: length of the permuted range, >= 1.
        key: one key, or one per index (then each index is sent by its own permutation).
        inverse: the way back.

    Returns:
        int64 positions, same shape.
    """
    half_bits = np.uint64(max((max(size - 1, 1).bit_length() + 1) // 2, 1))
    values = np.atleast_1d(np.asarray(index, dtype=np.uint64)).copy()
    keys = np.asarray(key, dtype=np.uint64)
    assert not len(values) or values.max() < size, "an index outside the range would walk its cycle for ever"
    pending = np.ones(values.shape, dtype=bool)
    while pending.any():
        values[pending] = _feistel(values[pending], keys[pending] if keys.ndim else keys, half_bits, inverse)
        pending &= values >= np.uint64(size)
    return values.astype(np.int64).reshape(np.shape(index))


def _feistel(values: np.ndarray, keys: np.ndarray, half_bits: np.uint64, inverse: bool) -> np.ndarray:
    mask = (np.uint64(1) << half_bits) - np.uint64(1)
    left, right = values >> half_bits, values & mask
    for number in range(_ROUNDS):
        if inverse:
            number = _ROUNDS - 1 - number
            left, right = right ^ (_round(left, keys, number) & mask), left
        else:
            left, right = right, left ^ (_round(right, keys, number) & mask)
    return (left << half_bits) | right


def _round(half: np.ndarray, keys: np.ndarray, number: int) -> np.ndarray:
    return mix64(half ^ mix64(keys ^ np.uint64(number)))
