"""Texts in a row -> buckets that go through attention together, each padded to its longest text.

One bucket for each length needs no padding but many small operations; one for all, much padding. The cuts chosen here
cost least, with a bucket priced in tokens.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

BUCKET_COST = 128
"""Tokens that go through a layer in about the time that the operations of one more bucket take on a CPU."""


@dataclass(frozen=True)
class Bucket:
    """Texts beside each other, padded at their ends to one length."""

    lengths: np.ndarray
    """(n) tokens of each text."""

    @cached_property
    def mask(self) -> torch.Tensor:
        """Bool (n, L), true where a token stands."""
        return torch.from_numpy(np.arange(self.lengths.max()) < self.lengths[:, None])

    @cached_property
    def bias(self) -> torch.Tensor | None:
        """float32 (n, 1, 1, L): -inf where padding stands, to be added to scores of attention; None without any."""
        padding = ~self.mask[:, None, None]
        return torch.zeros(padding.shape).masked_fill_(padding, -torch.inf) if padding.any() else None


def cut_into_buckets(lengths: Sequence[int], bucket_cost: int = BUCKET_COST) -> list[Bucket]:
    """Cut texts, in the order they are given, so that padded tokens plus `bucket_cost` for each bucket are fewest.

    Args:
        lengths: tokens of each text; texts of like lengths should be neighbours.
    """
    of_run, num_texts = np.array([(length, len(list(run))) for length, run in itertools.groupby(lengths)]).T
    before = np.concatenate([[0], np.cumsum(num_texts)])
    cheapest, cut = np.zeros(len(before)), np.zeros(len(before), np.int64)
    for end in range(1, len(before)):
        widest = np.maximum.accumulate(of_run[:end][::-1])[::-1]  # of the runs from each possible start on
        costs = cheapest[:end] + widest * (before[end] - before[:end]) + bucket_cost
        cut[end] = costs.argmin()
        cheapest[end] = costs[cut[end]]
    cuts, end = [], len(of_run)
    while end:
        cuts.append(int(before[end]))
        end = int(cut[end])
    starts = sorted(cuts)[:-1]
    return [Bucket(part) for part in np.split(np.asarray(lengths), starts)]
