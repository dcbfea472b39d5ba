"""Exact schedules: a sequence in which, for every prefix of n units, each kind's count is within 1 of its share.

Rounding running totals does not give this (a kind's count could have to fall). We schedule instead: the i-th unit of
kind k has to stand where T_k lies between i - 1 and i, T_k(n) being its running total, and the earliest deadline goes
first. Such a schedule always exists (Tijdeman 1980, "The chairman assignment problem"; the windows are those of
Baruah et al. 1996, "Proportionate progress"). The sequence is then stirred: neighbours change places by keyed draws
wherever that keeps every prefix within 1, so that two schedules over the same steps (kinds and sources, say) do not
move in lockstep.
"""

import numpy as np

from trainer.mixing.permute import key_of, uniform
from trainer.mixing.ratios import RunningTotals

# Units are produced in blocks; the counts at the start of each block are kept, so memory grows by a few numbers per
# block and the cost of a jump is the walk to it, once.
BLOCK = 1024
_STIRS = 8
_LONGEST_PERIOD = 1 << 16


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
        self._period = self._find_period()
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

    def _find_period(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Kinds and counts of one period: with constant shares all counts are exact again after `denominator` units."""
        if not self._totals.constant or self._totals.denominator > _LONGEST_PERIOD:
            return None
        kinds = self._edf(0, np.zeros(self._totals.num_kinds, dtype=np.int64), self._totals.denominator)
        return kinds, _running_counts(np.zeros(self._totals.num_kinds, dtype=np.int64), kinds)

    def _start_of(self, number: int) -> np.ndarray:
        """Counts before a block (stirring never crosses its edges)."""
        if self._period is not None:
            kinds, counts = self._period
            whole, rest = divmod(number * BLOCK, len(kinds))
            return whole * counts[-1] + counts[rest]
        while len(self._starts) <= number:
            last = len(self._starts) - 1
            kinds = self._edf(last * BLOCK, self._starts[last], BLOCK)
            self._starts.append(self._starts[last] + np.bincount(kinds, minlength=self._totals.num_kinds))
        return self._starts[number]

    def _walk(self, first: int, start: np.ndarray, length: int) -> np.ndarray:
        if self._period is not None:
            kinds = self._period[0]
            return kinds[(first + np.arange(length)) % len(kinds)]
        return self._edf(first, start, length)

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
        totals, units = self._totals, range(number * BLOCK, (number + 1) * BLOCK + 1)
        targets = np.array(
            [[totals.at(kind, unit) for kind in range(totals.num_kinds)] for unit in units], dtype=object
        )
        # Behind (> 0) or ahead (< 0) of the target, in units; exact integers until only their sign matters.
        lag = ((targets - counts.astype(object) * totals.denominator) / totals.denominator).astype(np.float64)
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
