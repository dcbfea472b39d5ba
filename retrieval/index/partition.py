"""Which rows each shard holds: an equal slice of every language, so that a search in one language keeps all busy."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Segment:
    """Neighbouring rows of one language."""

    language: int
    """Index into the vectors' languages."""
    first: int
    """Row of the whole set."""
    end: int

    def __len__(self) -> int:
        return self.end - self.first


def shard_segments(bounds: Sequence[int], shard: int, num_shards: int) -> tuple[Segment, ...]:
    """The slices of one shard, one per language that has rows for it; all shards together hold every row once.

    Args:
        bounds: (L + 1), rows of language l are bounds[l] up to bounds[l + 1].
    """
    assert 0 <= shard < num_shards
    segments = []
    for language, (first, end) in enumerate(pairwise(bounds)):
        begin = first + (end - first) * shard // num_shards
        stop = first + (end - first) * (shard + 1) // num_shards
        if begin < stop:
            segments.append(Segment(language, begin, stop))
    return tuple(segments)


def training_rows(num_rows: int, number: int, seed: int) -> np.ndarray:
    """Rows to learn clusters and codes from: a sorted draw without repeats, the same for any number of shards."""
    if number >= num_rows:
        return np.arange(num_rows)
    return np.sort(np.random.default_rng(seed).choice(num_rows, number, replace=False))
