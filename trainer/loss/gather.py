"""Rows of all ranks to every rank, and sums of gradients back, where ranks may hold different numbers of rows.

Collective: every rank calls each function, in the same order. Without a process group there is one rank.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist

from trainer.ranks import rank, world_size


def row_counts(number: int, device: torch.device) -> list[int]:
    """How many rows each rank holds."""
    if world_size() == 1:
        return [number]
    counts = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(world_size())]
    dist.all_gather(counts, torch.tensor([number], dtype=torch.int64, device=device))
    return [int(count) for count in counts]


def gather_rows(rows: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
    """The rows of all ranks, in rank order: (counts[rank], ...) -> (sum(counts), ...). No gradient flows through."""
    if world_size() == 1:
        return rows
    # Collectives want one shape on all ranks; the filling is cut off again.
    parts = [rows.new_empty(max(counts), *rows.shape[1:]) for _ in counts]
    dist.all_gather(parts, _filled(rows, max(counts)))
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def scatter_sum(rows: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
    """Sum over ranks of what each has for all rows, every rank its own: (sum(counts), ...) -> (counts[rank], ...)."""
    if world_size() == 1:
        return rows
    mine = rows.new_empty(max(counts), *rows.shape[1:])
    dist.reduce_scatter(mine, [_filled(part, max(counts)) for part in rows.split(list(counts))])
    return mine[: counts[rank()]]


def sum_over_ranks(values: torch.Tensor) -> torch.Tensor:
    """Element-wise sum over ranks, on every rank."""
    if world_size() > 1:
        values = values.clone()
        dist.all_reduce(values)
    return values


def largest_over_ranks(number: int, device: torch.device) -> int:
    """The largest of one number per rank, on every rank."""
    return max(row_counts(number, device))


def _filled(rows: torch.Tensor, number: int) -> torch.Tensor:
    if len(rows) == number:
        return rows.contiguous()
    return torch.cat([rows, rows.new_zeros(number - len(rows), *rows.shape[1:])])
