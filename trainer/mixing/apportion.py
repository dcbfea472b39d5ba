"""Exact schedules: a sequence in which, for every prefix of n units, each kind's count is within 1 of its share.

Rounding running totals does not give this (a kind's count could have to fall). We schedule instead: the i-th unit of
kind k has to stand where T_k lies between i - 1 and i, T_k(n) being its running total, and the earliest deadline goes
first. Such a schedule always exists (Tijdeman 1980, "The chairman assignment problem"; the windows are those of
Baruah et al. 1996, "Proportionate progress"). The sequence is then stirred: neighbours change places by keyed draws
wherever that keeps every prefix within 1, so that two schedules over the same steps (kinds and sources, say) do not
move in lockstep.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trainer.mixing.permute import key_of, uniform
from trainer.mixing.ratios import RunningTotals

# Units are produced in blocks. Once the shares no longer change the sequence repeats, and any block is found at once;
# before that (or where the period is too long) the counts at the start of each block are kept, and a jump walks there.
BLOCK = 1024
_STIRS = 8
_LONGEST_PERIOD = 1 << 16
_PERIODS_TRIED = 4


@dataclass(frozen=True)
class _Period:
    """A stretch of a schedule that repeats."""

    first: int
    """Unit that it begins with."""
    kinds: np.ndarray
    """(n) kinds of its units."""
    counts: np.ndarray
    """(n + 1, K) counts before each unit and after the last, the first time."""


class ExactSchedule:
    """A sequence of kinds 0..K-1 that follows running totals within 1 in every prefix.

    Args:
        totals: the running totals to follow.
        seed: changes the order, never how often a kind comes.
    """

    def __init__(self, totals: RunningTotals, seed: int) -> None:
        self._totals = totals
        self._seed = seed
        self._starts = [np.zeros(totals.num_kinds, dtype=np.int64)]
        self._cached: tuple[int, np.ndarray, np.ndarray] | None = None

    def segment(self, first: int, length: int) -> np.ndarray:
        """(length) int16 kinds of units first, first + 1, ..."""
        numbers = range(first // BLOCK, (first + max(length, 1) - 1) // BLOCK + 1)
        joined = np.concatenate([self.block(number)[0] for number in numbers])
        return joined[first % BLOCK :][:length]

    def block(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Kinds (BLOCK) int16 of units number * BLOCK ... and the counts (BLOCK + 1, K) before each of them."""
        if self._cached is None or self._cached[0] != number:
            start = self._start_of(number)
            kinds = self._walk(number * BLOCK, start, BLOCK)
            counts = _running_counts(start, kinds)
            kinds, counts = self._stir(number, kinds, counts)
            self._cached = (number, kinds.astype(np.int16), counts)
        return self._cached[1], self._cached[2]

    def counts_before(self, unit: int) -> np.ndarray:
        """(K) how often each kind came up in the units before one."""
        return self.block(unit // BLOCK)[1][unit % BLOCK]

    @cached_property
    def _period(self) -> _Period | None:
        """The part that repeats for ever once the shares no longer change; None where it would be long."""
        totals = self._totals
        first, length = totals.last_knot, totals.final_period
        if length > _LONGEST_PERIOD:
            return None
        counts = self._walked(first // BLOCK)
        counts = _running_counts(counts, self._edf(first - first % BLOCK, counts, first % BLOCK))[-1]
        for _ in range(_PERIODS_TRIED):
            kinds = self._edf(first, counts, length)
            running = _running_counts(counts, kinds)
            due = [totals.at(kind, first + length) - totals.at(kind, first) for kind in range(totals.num_kinds)]
            if [int(count) * totals.denominator for count in running[-1] - counts] == due:
                return _Period(first, kinds, running)
            first, counts = first + length, running[-1]
        return None

    def _period_at(self, unit: int) -> _Period | None:
        """The period where it holds and is shorter than the way there."""
        totals = self._totals
        if not totals.constant and unit - totals.last_knot <= _PERIODS_TRIED * totals.final_period:
            return None
        period = self._period
        return period if period and unit >= period.first else None

    def _start_of(self, number: int) -> np.ndarray:
        """Counts before a block (stirring never crosses its edges)."""
        period = self._period_at(number * BLOCK)
        if period is None:
            return self._walked(number)
        whole, rest = divmod(number * BLOCK - period.first, len(period.kinds))
        return whole * (period.counts[-1] - period.counts[0]) + period.counts[rest]

    def _walked(self, number: int) -> np.ndarray:
        """Counts before a block, found by walking there."""
        while len(self._starts) <= number:
            last = len(self._starts) - 1
            kinds = self._edf(last * BLOCK, self._starts[last], BLOCK)
            self._starts.append(self._starts[last] + np.bincount(kinds, minlength=self._totals.num_kinds))
        return self._starts[number]

    def _walk(self, first: int, start: np.ndarray, length: int) -> np.ndarray:
        period = self._period_at(first)
        if period is None:
            return self._edf(first, start, length)
        return period.kinds[(first - period.first + np.arange(length)) % len(period.kinds)]

    def _edf(self, first: int, start: np.ndarray, length: int) -> np.ndarray:
        """Earliest deadline first among the kinds whose running total has passed their count."""
        totals = self._totals
        counts = [int(count) for count in start]
        deadlines = [totals.deadline(kind, count + 1, first) for kind, count in enumerate(counts)]
        kinds = np.empty(length, dtype=np.int64)
        for offset in range(length):
            unit = first + offset + 1
            due = [k for k, count in enumerate(counts) if totals.at(k, unit) > count * totals.denominator]
            kind = min(due, key=deadlines.__getitem__)
            kinds[offset] = kind
            counts[kind] += 1
            deadlines[kind] = totals.deadline(kind, counts[kind] + 1, unit)
        return kinds

    def _stir(self, number: int, kinds: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Let neighbours change places where the one prefix between them stays within 1 for both kinds."""
        kinds, counts = kinds.copy(), counts.copy()
        totals, first = self._totals, number * BLOCK
        begin = [totals.at(kind, first) - int(count) * totals.denominator for kind, count in enumerate(counts[0])]
        # Behind (> 0) or ahead (< 0) of the target, in units; exact integers until only their sign matters.
        ahead = totals.since(first, BLOCK)
        ahead = ahead - (counts - counts[0]).astype(ahead.dtype) * totals.denominator
        lag = ((ahead + np.array(begin, dtype=ahead.dtype)) / totals.denominator).astype(np.float64)
        key = key_of(self._seed, "stir", number)
        for round_number in range(_STIRS):
            left = np.arange(round_number % 2, BLOCK - 1, 2)
            a, b, between = kinds[left], kinds[left + 1], left + 1
            swap = (a != b) & (uniform(key, left + round_number * BLOCK) < 0.5)
            swap &= (lag[between, a] < 0) & (lag[between, b] > 0)
            left, a, b, between = left[swap], a[swap], b[swap], between[swap]
            kinds[left], kinds[left + 1] = b, a
            counts[between, a] -= 1
            counts[between, b] += 1
            lag[between, a] += 1
            lag[between, b] -= 1
        return kinds, counts


class RandomSchedule:
    """Independent draws with the shares as probabilities, each a function of (seed, unit): the paper's own sampling."""

    def __init__(self, totals: RunningTotals, seed: int) -> None:
        self._totals, self._key = totals, key_of(seed, "random")

    def segment(self, first: int, length: int) -> np.ndarray:
        """(length) int16 kinds of units first, first + 1, ..."""
        totals, units = self._totals, np.arange(first, first + length)
        upper = np.empty((length, totals.num_kinds))
        for place, unit in enumerate(units[: 1 if totals.constant else length].tolist()):
            shares = [totals.at(kind, unit + 1) - totals.at(kind, unit) for kind in range(totals.num_kinds)]
            upper[place] = np.cumsum(shares) / totals.denominator
        if totals.constant and length:
            upper[:] = upper[0]
        return (uniform(self._key, units)[:, None] >= upper).sum(axis=1).astype(np.int16)


def _running_counts(start: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """(n + 1, K) counts before each unit and after the last."""
    one_hot = np.eye(len(start), dtype=np.int64)[kinds]
    return np.concatenate([start[None], start + np.cumsum(one_hot, axis=0)])
