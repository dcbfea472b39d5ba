"""Which kind and source every step has, and how many came before: the counters that languages and rows run on."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from cluster.errors import ConfigError
from trainer.mixing.apportion import BLOCK, ExactSchedule, RandomSchedule
from trainer.mixing.config import MixingConfig, SourceShape
from trainer.mixing.permute import key_of
from trainer.mixing.ratios import KINDS, RunningTotals, exact_shares

Schedule = ExactSchedule | RandomSchedule
_MONO = 0
_ERA_BLOCKS = 1024
"""Blocks of an era: a million steps."""


@dataclass(frozen=True)
class Moment:
    """One step of the timeline."""

    source: int
    batch_number: int
    """How many batches this source gave before: its own batch number."""
    slots: np.ndarray
    """(K) slots of each kind in this batch."""
    slots_before: np.ndarray
    """(K) slots of each kind that this source gave before."""


@dataclass(frozen=True)
class _Counters:
    """What came before a step: what the schedules inside the schedules have to continue from."""

    mono_steps: int
    single_steps: int
    batches: np.ndarray
    """(S) batches of each source."""
    slots: np.ndarray
    """(S, K) slots of each source and kind."""


@dataclass(frozen=True)
class _Block:
    """BLOCK steps and the counters behind them."""

    source: np.ndarray
    batch_number: np.ndarray
    slots: np.ndarray
    slots_before: np.ndarray
    after: _Counters


class Timeline:
    """Kinds and sources of all steps, block by block.

    Exact schedules know how often each kind and each source came before any step, but not how often both together: that
    is counted along the way, from the beginning of the step's era. So a jump walks at most an era (microseconds a step)
    and memory stays the same however far it goes. Independent draws have to be counted from the first step.
    """

    def __init__(self, config: MixingConfig, sources: Sequence[SourceShape], seed: int) -> None:
        self._config, self._seed = config, seed
        self._schedule = ExactSchedule if config.sampling == "exact" else RandomSchedule
        several = [number for number, source in enumerate(sources) if len(source.languages) > 1]
        single = [number for number, source in enumerate(sources) if len(source.languages) == 1]
        weight = [float(source.num_groups) ** config.size_exponent for source in sources]
        self._several, self._single = np.array(several, dtype=np.int64), np.array(single, dtype=np.int64)
        self._several_order = self._over_sources("several", [weight[number] for number in several])
        self._single_order = self._over_sources("single", [weight[number] for number in single])
        single_share = _share_of_single([weight[n] for n in several], [weight[n] for n in single], config)
        self._is_single = self._make("is single", RunningTotals([(0, [1 - single_share, single_share])]))
        self._kinds, self._slot_kinds = self._kind_schedules(single_share)
        zero = _Counters(
            0, 0, np.zeros(len(sources), dtype=np.int64), np.zeros((len(sources), len(KINDS)), dtype=np.int64)
        )
        self._zero = zero
        self._era, self._starts = 0, [zero]
        self._cached: tuple[int, _Block] | None = None

    def moment(self, step: int) -> Moment:
        """What step number `step`, counted from 0, is made of."""
        block, place = self._block(step // BLOCK), step % BLOCK
        return Moment(
            source=int(block.source[place]),
            batch_number=int(block.batch_number[place]),
            slots=block.slots[place],
            slots_before=block.slots_before[place],
        )

    def _make(self, purpose: str, totals: RunningTotals) -> Schedule:
        return self._schedule(totals, seed=int(key_of(self._seed, purpose) >> np.uint64(1)))

    def _over_sources(self, purpose: str, weights: list[float]) -> Schedule | None:
        return self._make(purpose, RunningTotals([(0, exact_shares(weights))])) if weights else None

    def _kind_schedules(self, single: Fraction) -> tuple[Schedule, Schedule | None]:
        """The schedule of the steps' kinds, and with granularity `slot` that of the slots of the mixed steps."""
        knots = [(knot.step, list(knot.shares.values())) for knot in self._config.mix]
        if self._config.granularity == "batch":
            return self._make("kinds", RunningTotals(knots)), None
        if single and len(set(map(tuple, (shares for _, shares in knots)))) > 1:
            raise ConfigError(
                "mixing.granularity: 'slot' with a mix that changes needs sources of several languages only; "
                "use granularity: batch, or leave single-language sources out"
            )
        # Steps are either monolingual as a whole (a single-language source) or mixed inside.
        whole = [single * shares[_MONO] for _, shares in knots]
        steps = [(step, [mono, 1 - mono]) for (step, _), mono in zip(knots, whole, strict=True)]
        slots = [
            (
                step * self._config.batch,
                [(share - (mono if kind == _MONO else 0)) / (1 - mono) for kind, share in enumerate(shares)],
            )
            for (step, shares), mono in zip(knots, whole, strict=True)
            if mono < 1
        ]
        mixed = self._make("slots", RunningTotals(slots)) if slots else None
        return self._make("kinds", RunningTotals(steps)), mixed

    def _block(self, number: int) -> _Block:
        if self._cached is not None and self._cached[0] == number:
            return self._cached[1]
        era = number // _ERA_BLOCKS if self._schedule is ExactSchedule else 0
        if era != self._era:
            self._era, self._starts = era, [self._counters_of(era)]
        first = era * _ERA_BLOCKS
        while len(self._starts) <= number - first:
            self._starts.append(self._build(first + len(self._starts) - 1).after)
        block = self._build(number)
        self._cached = (number, block)
        return block

    def _counters_of(self, era: int) -> _Counters:
        """Where the counters of an era begin: exact ones of steps and sources; source and kind together in proportion.

        What hangs on the latter is where languages go on in their turns, so once in an era a turn may be cut short.
        """
        if not era:
            return self._zero
        steps = era * _ERA_BLOCKS * BLOCK
        kinds = _before(self._kinds, steps)
        mono = int(kinds[_MONO])
        slot = self._config.granularity == "slot"
        single = mono if slot else int(_before(self._is_single, mono)[1])
        batches = np.zeros_like(self._zero.batches)
        if self._single_order is not None:
            batches[self._single] = _before(self._single_order, single)
        if self._several_order is not None:
            batches[self._several] = _before(self._several_order, steps - single)
        slots = np.zeros_like(self._zero.slots)
        slots[self._single, _MONO] = batches[self._single] * self._config.batch
        mixed = self._mixed_before(kinds, single, steps - single)
        for source in self._several if steps > single else ():
            # In Python's integers: products of counts outgrow 64 bits.
            shares = [int(batches[source]) * int(count) // (steps - single) for count in mixed]
            slots[source] = np.array(shares, dtype=np.int64) * (1 if slot else self._config.batch)
        return _Counters(mono, single, batches, slots)

    def _mixed_before(self, kinds: np.ndarray, single: int, steps: int) -> np.ndarray:
        """(K) batches of each kind (slots, with granularity `slot`) in steps of sources of several languages."""
        if self._config.granularity == "slot":
            nothing = np.zeros_like(self._zero.slots[0])
            return _before(self._slot_kinds, steps * self._config.batch) if self._slot_kinds else nothing
        mixed = kinds.copy()
        mixed[_MONO] -= single
        return mixed

    def _build(self, number: int) -> _Block:
        before = self._starts[number - self._era * _ERA_BLOCKS]
        kinds = self._kinds.segment(number * BLOCK, BLOCK).astype(np.int64)
        single = self._single_steps(kinds, before)
        source = np.empty(BLOCK, dtype=np.int64)
        num_single = int(single.sum())
        if num_single:
            assert self._single_order is not None
            source[single] = self._single[self._single_order.segment(before.single_steps, num_single)]
        if num_single < BLOCK:
            assert self._several_order is not None
            first = number * BLOCK - before.single_steps
            source[~single] = self._several[self._several_order.segment(first, BLOCK - num_single)]
        slots = self._slots(kinds, single, number * BLOCK - before.single_steps)
        return self._count(before, kinds, single, source, slots)

    def _single_steps(self, kinds: np.ndarray, before: _Counters) -> np.ndarray:
        """(BLOCK) bool: the steps that a single-language source fills."""
        mono = kinds == _MONO
        if self._config.granularity == "slot":
            return mono
        single = np.zeros(BLOCK, dtype=bool)
        single[mono] = self._is_single.segment(before.mono_steps, int(mono.sum())) == 1
        return single

    def _slots(self, kinds: np.ndarray, single: np.ndarray, first_mixed: int) -> np.ndarray:
        """(BLOCK, K) slots of each kind."""
        batch = self._config.batch
        if self._config.granularity == "batch":
            return np.eye(len(KINDS), dtype=np.int64)[kinds] * batch
        slots = np.zeros((BLOCK, len(KINDS)), dtype=np.int64)
        slots[single, _MONO] = batch
        if not single.all():
            assert self._slot_kinds is not None
            num_mixed = BLOCK - int(single.sum())
            of_slot = self._slot_kinds.segment(first_mixed * batch, num_mixed * batch).reshape(num_mixed, batch)
            slots[~single] = np.stack([(of_slot == kind).sum(axis=1) for kind in range(len(KINDS))], axis=1)
        return slots

    def _count(
        self, before: _Counters, kinds: np.ndarray, single: np.ndarray, source: np.ndarray, slots: np.ndarray
    ) -> _Block:
        batch_number = np.empty(BLOCK, dtype=np.int64)
        slots_before = np.empty_like(slots)
        batches_after, slots_after = before.batches.copy(), before.slots.copy()
        for number in np.unique(source):
            steps = np.flatnonzero(source == number)
            batch_number[steps] = before.batches[number] + np.arange(len(steps))
            running = np.cumsum(slots[steps], axis=0)
            slots_before[steps] = before.slots[number] + running - slots[steps]
            batches_after[number] += len(steps)
            slots_after[number] += running[-1]
        mono_steps = before.mono_steps + int((kinds == _MONO).sum())
        after = _Counters(mono_steps, before.single_steps + int(single.sum()), batches_after, slots_after)
        return _Block(source, batch_number, slots, slots_before, after)


def _before(schedule: Schedule, unit: int) -> np.ndarray:
    """(K) how often each kind came up before a unit."""
    assert isinstance(schedule, ExactSchedule)
    return schedule.counts_before(unit)


def _share_of_single(several: list[float], single: list[float], config: MixingConfig) -> Fraction:
    """Share of the monolingual steps that single-language sources fill: their share by size, as far as it fits."""
    if not single:
        return Fraction(0)
    if not several:
        return Fraction(1)
    _, share = exact_shares([sum(several), sum(single)])
    most_mono = max(knot.mono for knot in config.mix)
    return min(Fraction(1), share / most_mono) if most_mono else Fraction(0)
