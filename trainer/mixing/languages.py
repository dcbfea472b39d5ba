"""Counters -> languages: every run of n units in step with the count uses each of n choices once, in keyed order."""

import numpy as np

from trainer.mixing.permute import draws, mix64, permute

# Up to this many choices a cycle's order comes from sorting draws, above from a computed permutation.
_SORTED_CHOICES = 1024


def balanced(counters: np.ndarray, choices: int, key: np.uint64) -> np.ndarray:
    """One of [0, choices) per counter; counters c * choices ... (c + 1) * choices - 1 use each choice exactly once.

    So after any number of units counted from 0 each choice has come up within 1 of its equal share.
    """
    cycle, place = np.divmod(np.asarray(counters, dtype=np.int64), choices)
    if choices > _SORTED_CHOICES:
        return permute(place, choices, mix64(np.uint64(key) ^ mix64(cycle.astype(np.uint64))))
    distinct, inverse = np.unique(cycle, return_inverse=True)
    order = np.argsort(draws(key, distinct[:, None] * choices + np.arange(choices)), axis=1, kind="stable")
    return order[inverse, place]


def ordered_pairs(pair: np.ndarray, num_languages: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers in [0, L (L - 1)) -> ordered pairs (a, b) of different languages."""
    first, other = np.divmod(pair, num_languages - 1)
    return first, other + (other >= first)


def parallel_languages(counters: np.ndarray, num_languages: int, positives: int, key: np.uint64) -> np.ndarray:
    """(n, positives) distinct languages per counter; over each cycle of L counters every language comes up equally."""
    cycle, place = np.divmod(np.asarray(counters, dtype=np.int64), num_languages)
    position = (place[:, None] * positives + np.arange(positives)) % num_languages
    return balanced(cycle[:, None] * num_languages + position, num_languages, key)
