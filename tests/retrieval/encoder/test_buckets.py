"""Buckets for attention: the cheapest of all cuts, texts in their order."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrieval.encoder.buckets import cut_into_buckets


def cost(parts: list[list[int]], bucket_cost: int) -> int:
    return sum(len(part) * max(part) + bucket_cost for part in parts)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=9), st.integers(0, 60))
def test_no_other_cut_is_cheaper(lengths: list[int], bucket_cost: int) -> None:
    parts = [bucket.lengths.tolist() for bucket in cut_into_buckets(lengths, bucket_cost)]
    assert [length for part in parts for length in part] == lengths
    others = (
        [lengths[a:b] for a, b in itertools.pairwise([0, *cuts, len(lengths)])]
        for number in range(len(lengths))
        for cuts in itertools.combinations(range(1, len(lengths)), number)
    )
    assert cost(parts, bucket_cost) == min(cost(other, bucket_cost) for other in others)


@pytest.mark.parametrize(
    ("bucket_cost", "expected"),
    # Together 9 x 5 = 45 tokens; cut before the first of 4, 20 + 20 = 40; at every length, 20 + 16 + 3 = 39.
    [(7, [[5, 5, 5, 5, 4, 4, 4, 4, 3]]), (2, [[5, 5, 5, 5], [4, 4, 4, 4, 3]]), (0, [[5] * 4, [4] * 4, [3]])],
)
def test_by_hand(bucket_cost: int, expected: list[list[int]]) -> None:
    found = cut_into_buckets([5, 5, 5, 5, 4, 4, 4, 4, 3], bucket_cost)
    assert [bucket.lengths.tolist() for bucket in found] == expected


def test_mask_and_bias_say_where_padding_stands() -> None:
    padded, full = cut_into_buckets([3, 1, 7, 7], 2)
    assert padded.mask.tolist() == [[True, True, True], [True, False, False]]
    assert padded.bias is not None and padded.bias.shape == (2, 1, 1, 3)
    torch.testing.assert_close(padded.bias[1, 0, 0], torch.tensor([0.0, -np.inf, -np.inf]))
    assert full.bias is None and full.mask.all() and full.mask.shape == (2, 7)
