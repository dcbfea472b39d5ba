"""Token lists and images in, micro batches out: texts of like length go together, so that little is padding.

Texts and images never share a micro batch, for they go through different towers.
"""

from collections.abc import Sequence

import numpy as np


def cut_by_count(lengths: np.ndarray, count: int) -> list[np.ndarray]:
    """Cut texts into exactly `count` micro batches whose largest is as small as it can be.

    The size of a micro batch is the number of its texts times the length of its longest. With two texts of 100 tokens
    and ten of 10, two micro batches hold 300 padded tokens where one would hold 1,200.

    Args:
        lengths: (N) tokens of each text.
        count: micro batches, at most N; all ranks use the same number, since what happens in one is collective.

    Returns:
        Text numbers of each micro batch, longest texts first. Every text is in exactly one, none is empty.
    """
    assert len(lengths) >= count, f"{count} micro batches of {len(lengths)} texts"
    longest_first = np.argsort(-lengths, kind="stable")
    low, high = int(lengths.max()), int(lengths.max()) * len(lengths)
    while low < high:
        middle = (low + high) // 2
        if len(_fill(lengths[longest_first], middle)) <= count:
            high = middle
        else:
            low = middle + 1
    starts = _fill(lengths[longest_first], low)
    while len(starts) < count:  # the largest micro batch cannot shrink further, but others can be halved
        ends = [*starts[1:], len(lengths)]
        widest = max(range(len(starts)), key=lambda number: ends[number] - starts[number])
        starts.insert(widest + 1, (starts[widest] + ends[widest]) // 2)
    return np.split(longest_first, starts[1:])


def cut_evenly(number: int, count: int) -> list[np.ndarray]:
    """Cut `number` images, all of one size, into `count` micro batches that differ by one image at most.

    Where there are fewer images than micro batches, some are empty.
    """
    return np.array_split(np.arange(number), count)


def cut_by_budget(lengths: np.ndarray, max_tokens: int) -> list[np.ndarray]:
    """Cut texts into as few micro batches as keep each within `max_tokens` padded tokens (a longer text stands alone).

    Returns:
        Text numbers of each micro batch, longest texts first.
    """
    longest_first = np.argsort(-lengths, kind="stable")
    return np.split(longest_first, _fill(lengths[longest_first], max_tokens)[1:]) if len(lengths) else []


def _fill(falling: np.ndarray, max_tokens: int) -> list[int]:
    """Where each micro batch starts when each takes as many texts as fit; `falling` lengths, longest first."""
    starts, start = [], 0
    while start < len(falling):
        starts.append(start)
        start += max(1, max_tokens // int(falling[start]))
    return starts


def pad(texts: Sequence[np.ndarray], pad_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Put token lists into one array.

    Returns:
        (N, L) int64 ids, filled up with `pad_id`, and the (N, L) int64 mask that is 1 on tokens.
    """
    lengths = np.array([len(text) for text in texts])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, pad_id, dtype=np.int64)
    ids[mask] = np.concatenate(texts)
    return ids, mask.astype(np.int64)
