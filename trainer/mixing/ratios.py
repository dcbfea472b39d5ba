"""Shares of the kinds of batches, as exact fractions, constant or piecewise linear over training."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from math import lcm
from typing import Annotated, Any, Literal, get_args

import numpy as np
from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from cluster.config import Config, Share

Kind = Literal["mono", "cross", "multi", "code_switched"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MAX_DENOMINATOR = 1_000_000


class Knot(Config):
    """The mix at one step; between knots the shares change linearly, before the first and after the last they stay."""

    step: int = Field(default=0, ge=0)
    """Optimiser step, counted from 0."""
    mono: Share = Fraction(0)
    """Share of monolingual batches: query and passage in the batch's one language."""
    cross: Share = Fraction(0)
    """Share of cross-lingual batches: query and passage of every pair in different languages."""
    multi: Share = Fraction(0)
    """Share of multilingual batches: passages in several languages at once for each query."""
    code_switched: Share = Fraction(0)
    """Share of code-switched batches: monolingual ones with words of their texts in other languages."""

    @model_validator(mode="after")
    def _shares_add_up(self) -> "Knot":
        shares = self.shares
        given = ", ".join(f"{kind}={_decimal(share)}" for kind, share in shares.items() if share)
        if any(share < 0 for share in shares.values()):
            raise ValueError(f"shares of a mix must not be negative: {given}")
        total = sum(shares.values())
        if total != 1:
            raise ValueError(
                f"the shares of a mix must add up to 1, these add up to {_decimal(Fraction(total))}: "
                f"{given or 'none given'}; for example mono: 0.5, cross: 0.5"
            )
        if lcm(*(share.denominator for share in shares.values())) > MAX_DENOMINATOR:
            raise ValueError(
                f"shares need a common denominator up to {MAX_DENOMINATOR}: {given}; round them or write 1/3"
            )
        return self

    @property
    def shares(self) -> dict[Kind, Fraction]:
        """Share of each kind, in the order of `KINDS`."""
        return {kind: getattr(self, kind) for kind in KINDS}


def _decimal(share: Fraction) -> str:
    return f"{float(share):g}"


def _knots(value: Any) -> Any:
    """A single mapping is a mix that never changes."""
    return [value] if isinstance(value, (Mapping, Knot)) else value


def _plain(knots: tuple[Knot, ...]) -> Any:
    plain = [{"step": knot.step} | {kind: str(share) for kind, share in knot.shares.items() if share} for knot in knots]
    if len(plain) == 1:
        plain[0].pop("step")
        return plain[0]
    return plain


Mix = Annotated[tuple[Knot, ...], BeforeValidator(_knots), PlainSerializer(_plain), Field(min_length=1)]
"""`{mono: 0.5, cross: 0.5}`, or a list of those with `step:` where the mix changes over training."""


class RunningTotals:
    """T_k(n): how many of the first n units should be of kind k, as exact integers over one denominator.

    Args:
        knots: (start unit, share of each kind) in rising order of start; between two knots the share of unit t is
            interpolated linearly at t, before the first and after the last it stays.
    """

    def __init__(self, knots: Sequence[tuple[int, Sequence[Fraction]]]) -> None:
        self.num_kinds = len(knots[0][1])
        first, last = knots[0], knots[-1]
        points = ([] if first[0] == 0 else [(0, first[1])]) + list(knots)
        slopes = [
            [(b - a) / (end - start) for a, b in zip(shares, following, strict=True)]
            for (start, shares), (end, following) in pairwise(points)
        ] + [[Fraction(0)] * self.num_kinds]
        self.denominator = lcm(
            *(share.denominator for _, shares in points for share in shares),
            *(2 * slope.denominator for row in slopes for slope in row if slope),
        )
        self.constant = all(shares == first[1] for _, shares in points)
        self.last_knot = 0 if self.constant else last[0]
        self.final_period = lcm(*(share.denominator for share in last[1]))
        """Units after which the shares of the end give whole numbers again."""
        self._starts = [start for start, _ in points]
        self._shares = [[int(share * self.denominator) for share in shares] for _, shares in points]
        self._half_slopes = [[int(slope * self.denominator) // 2 for slope in row] for row in slopes]
        self._before = [[0] * self.num_kinds]
        for number, start in enumerate(self._starts[1:]):
            self._before.append([self._within(number, kind, start) for kind in range(self.num_kinds)])

    def _within(self, number: int, kind: int, unit: int) -> int:
        """Total up to `unit`, which lies in segment `number`: an arithmetic series on top of the segments before."""
        length = unit - self._starts[number]
        series = length * self._shares[number][kind] + self._half_slopes[number][kind] * length * (length - 1)
        return self._before[number][kind] + series

    def at(self, kind: int, unit: int) -> int:
        """T_kind(unit) times `denominator`."""
        return self._within(bisect_right(self._starts, unit) - 1, kind, unit)

    def since(self, first: int, length: int) -> np.ndarray:
        """(length + 1, K) T(first + i) - T(first), times `denominator`, for i = 0, 1, ..., length; exact integers."""
        number = bisect_right(self._starts, first) - 1
        ends = self._starts[number + 1] if number + 1 < len(self._starts) else first + length
        # Up to 2 ** 53 every integer is a float64 too, so that whoever divides them rounds as exact arithmetic does.
        if first + length > ends or self.denominator * (length + 1) >= 1 << 53:
            units = range(first, first + length + 1)
            rows = [[self.at(kind, unit) - self.at(kind, first) for kind in range(self.num_kinds)] for unit in units]
            return np.array(rows, dtype=object)
        i = np.arange(length + 1)[:, None]
        slopes = np.array(self._half_slopes[number], dtype=np.int64)
        shares = [
            share + 2 * half_slope * (first - self._starts[number])
            for share, half_slope in zip(self._shares[number], self._half_slopes[number], strict=True)
        ]
        return i * np.array(shares, dtype=np.int64) + slopes * i * (i - 1)

    def deadline(self, kind: int, count: int, after: int) -> float:
        """The first n > after with T_kind(n) >= count; infinite where the kind never gets there."""
        goal = count * self.denominator
        final, total = self._shares[-1][kind], self.at(kind, self._starts[-1])
        if goal > total or self.constant:
            return self._starts[-1] + -(-(goal - total) // final) if final else float("inf")
        low, high = after, self._starts[-1]
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.at(kind, middle) < goal else (low, middle)
        return high


def exact_shares(weights: Sequence[float], denominator: int = 10_000) -> tuple[Fraction, ...]:
    """Weights as fractions that add up to exactly 1 (largest remainder over one denominator, none below one part)."""
    total = sum(weights)
    ideal = [weight / total * denominator for weight in weights]
    parts = [max(int(value), 1) for value in ideal]
    # What rounding left over goes to the largest remainders; what the floor of one part took comes from the largest.
    for number in sorted(range(len(parts)), key=lambda n: parts[n] - ideal[n])[: max(denominator - sum(parts), 0)]:
        parts[number] += 1
    while sum(parts) > denominator:
        parts[max(range(len(parts)), key=lambda n: parts[n] - ideal[n] if parts[n] > 1 else float("-inf"))] -= 1
    return tuple(Fraction(part, denominator) for part in parts)
