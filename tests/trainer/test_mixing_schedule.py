"""Exact schedules: every prefix within 1 of its share, whatever the shares."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.config import build_config
from cluster.errors import ConfigError
from trainer.mixing.apportion import BLOCK, ExactSchedule, RandomSchedule
from trainer.mixing.config import MixingConfig, SourceShape
from trainer.mixing.plan import Plan
from trainer.mixing.ratios import RunningTotals, exact_shares
from trainer.mixing.timeline import Timeline


@st.composite
def shares(draw: st.DrawFn, kinds: int | None = None) -> list[Fraction]:
    number = kinds or draw(st.integers(1, 6))
    parts = draw(st.lists(st.integers(0, 1000), min_size=number, max_size=number).filter(sum))
    return [Fraction(part, sum(parts)) for part in parts]


def largest_deviation(totals: RunningTotals, kinds: np.ndarray) -> Fraction:
    counts, worst = [0] * totals.num_kinds, Fraction(0)
    for unit, kind in enumerate(kinds.tolist(), start=1):
        counts[kind] += 1
        for number, count in enumerate(counts):
            worst = max(worst, abs(count - Fraction(totals.at(number, unit), totals.denominator)))
    return worst


@settings(max_examples=60, deadline=None)
@given(shares=shares(), seed=st.integers(0, 2**63 - 1), first=st.sampled_from([0, 1, BLOCK - 7, 5 * BLOCK + 3]))
def test_every_prefix_is_within_one_of_its_share(shares: list[Fraction], seed: int, first: int) -> None:
    schedule = ExactSchedule(RunningTotals([(0, shares)]), seed)
    everything = schedule.segment(0, first + 600)
    assert largest_deviation(RunningTotals([(0, shares)]), everything) < 1
    # Random access gives what walking gives, in a process that never walked.
    fresh = ExactSchedule(RunningTotals([(0, shares)]), seed)
    np.testing.assert_array_equal(fresh.segment(first, 600), everything[first:])


@settings(max_examples=40, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_a_mix_that_changes_is_followed_within_one(data: st.DataObject, seed: int) -> None:
    steps = sorted(data.draw(st.sets(st.integers(0, 1500), min_size=2, max_size=4)))
    totals = RunningTotals([(step, data.draw(shares(3))) for step in steps])
    assert largest_deviation(totals, ExactSchedule(totals, seed).segment(0, 1800)) < 1


@settings(max_examples=30, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_after_its_last_change_a_mix_is_found_at_once(data: st.DataObject, seed: int) -> None:
    steps = sorted(data.draw(st.sets(st.integers(0, 1500), min_size=2, max_size=4)))
    few = st.lists(st.integers(0, 12), min_size=3, max_size=3).filter(sum)
    totals = RunningTotals([(step, [Fraction(p, sum(of)) for p in of]) for step in steps for of in [data.draw(few)]])
    walked, jumped = ExactSchedule(totals, seed), ExactSchedule(totals, seed)
    walked._period_at = lambda unit: None  # type: ignore[method-assign]
    first = steps[-1] + 4 * totals.final_period + data.draw(st.integers(0, 3000))
    np.testing.assert_array_equal(jumped.segment(first, 700), walked.segment(first, 700))
    np.testing.assert_array_equal(jumped.counts_before(first + 700), walked.counts_before(first + 700))
    assert largest_deviation(totals, walked.segment(0, first + 700)) < 1
    far = 10**15
    counts = ExactSchedule(totals, seed).counts_before(far)
    assert all(
        abs(count - Fraction(totals.at(k, far), totals.denominator)) < 1 for k, count in enumerate(counts.tolist())
    )


@settings(max_examples=60, deadline=None)
@given(data=st.data(), first=st.sampled_from([0, 3, 700, 1499, 2000, 10**12]), length=st.sampled_from([1, 50, BLOCK]))
def test_stretches_of_running_totals_are_exact(data: st.DataObject, first: int, length: int) -> None:
    steps = sorted(data.draw(st.sets(st.integers(0, 1500), min_size=1, max_size=4)))
    totals = RunningTotals([(step, data.draw(shares(3))) for step in steps])
    expected = [[totals.at(k, first + i) - totals.at(k, first) for k in range(3)] for i in range(length + 1)]
    assert totals.since(first, length).tolist() == expected


def test_running_totals_of_a_ramp_by_hand() -> None:
    # Shares of kind 0 at steps 0..5: 1, 3/4, 1/2, 1/4, 0, 0.
    totals = RunningTotals([(0, [Fraction(1), Fraction(0)]), (4, [Fraction(0), Fraction(1)])])
    values = [Fraction(totals.at(0, unit), totals.denominator) for unit in range(7)]
    assert values == [0, 1, Fraction(7, 4), Fraction(9, 4), Fraction(5, 2), Fraction(5, 2), Fraction(5, 2)]


SOURCES = (
    SourceShape("a", ("de", "en", "es"), 500, 32),
    SourceShape("b", ("de",), 90, 32),
    SourceShape("c", ("de", "en"), 200, 32),
)
THREE = {"mono": "1/2", "cross": "1/3", "multi": "1/6"}


@pytest.mark.parametrize(
    "fields",
    [
        {"mix": THREE},
        {"mix": THREE, "granularity": "slot"},
        {"mix": [{"step": 0, "mono": 1}, {"step": 700, **THREE}]},
        {"mix": {"mono": 1}},
    ],
)
def test_a_new_era_changes_only_where_languages_go_on(
    fields: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = build_config(MixingConfig, {"batch": 8, **fields})
    whole = Timeline(config, SOURCES, 5)
    expected = [whole.moment(step) for step in range(5 * BLOCK)]
    monkeypatch.setattr("trainer.mixing.timeline._ERA_BLOCKS", 2)
    eras = Timeline(config, SOURCES, 5)
    eras.moment(4 * BLOCK)  # a jump, then back, then along
    for era in range(3):
        steps = range(era * 2 * BLOCK, min((era + 1) * 2 * BLOCK, 5 * BLOCK))
        found = [eras.moment(step) for step in steps]
        for one, other in zip(found, expected[steps.start :], strict=False):
            assert (one.source, one.batch_number) == (other.source, other.batch_number)
            np.testing.assert_array_equal(one.slots, other.slots)
        for source in range(3):
            shift = {
                tuple(one.slots_before - other.slots_before)
                for one, other in zip(found, expected[steps.start :], strict=False)
                if one.source == source
            }
            assert len(shift) == 1 and (era or shift == {(0,) * 4})
            assert max(map(abs, *shift)) <= 0.02 * steps.start * 8
        assert len(eras._starts) <= 2


def test_any_step_is_near_and_memory_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.mixing.timeline._ERA_BLOCKS", 4)
    config = build_config(MixingConfig, {"mix": [{"step": 0, "mono": 1}, {"step": 90, **THREE}], "batch": 8})
    far = 10**12 + 1
    plan = Plan(config, SOURCES, 3)
    batches = [plan.batch(step) for step in range(far, far + 200)]
    again = Plan(config, SOURCES, 3)
    again.batch(0)
    for batch in batches[::37]:
        np.testing.assert_array_equal(again.batch(batch.step).row, batch.row)
        np.testing.assert_array_equal(again.batch(batch.step).passage_language, batch.passage_language)
    assert len(plan.timeline._starts) <= 4
    kinds = np.bincount([int(batch.kind[0]) for batch in batches], minlength=4)
    assert np.abs(kinds / 200 - [1 / 2, 1 / 3, 1 / 6, 0]).max() < 0.011


def test_two_schedules_do_not_move_in_lockstep() -> None:
    half = RunningTotals([(0, [Fraction(1, 2), Fraction(1, 2)])])
    together = ExactSchedule(half, 1).segment(0, 4000) == ExactSchedule(half, 2).segment(0, 4000)
    assert 0.42 < together.mean() < 0.58


def test_random_draws_follow_the_shares_and_nothing_else() -> None:
    totals = RunningTotals([(0, [Fraction(1, 5), Fraction(4, 5)])])
    kinds = RandomSchedule(totals, 3).segment(0, 20_000)
    assert abs((kinds == 0).mean() - 0.2) < 0.01
    runs = np.diff(np.flatnonzero(np.diff(kinds)))
    assert runs.max() > 12  # an exact schedule would never leave kind 0 out for so long
    np.testing.assert_array_equal(RandomSchedule(totals, 3).segment(700, 50), kinds[700:750])


@given(st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=30))
def test_shares_by_size_add_up_exactly(weights: list[float]) -> None:
    found = exact_shares(weights)
    assert sum(found) == 1
    assert min(found) > 0
    for share, weight in zip(found, weights, strict=True):
        assert abs(float(share) - weight / sum(weights)) <= 1e-4 * len(weights)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            {"mix": {"mono": 0.6, "cross": 0.5}},
            "mix.0: the shares of a mix must add up to 1, these add up to 1.1: mono=0.6",
        ),
        ({"mix": {"mono": 1.5, "cross": -0.5}}, "must not be negative"),
        ({"mix": {"mono": "1/0"}}, "mix.0.mono: must be a number such as 0.5 or 1/2 (found '1/0')"),
        ({"mix": {"mono": 0.1234567, "cross": 0.8765433}}, "common denominator"),
        ({"mix": {"monolingual": 1}}, "unknown key"),
        ({"mix": []}, "mix"),
        ({"batchsize": 3}, "did you mean 'batch'?"),
    ],
)
def test_a_wrong_mix_is_one_line_that_names_the_field(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        build_config(MixingConfig, fields)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_decimal_shares_are_exact() -> None:
    config = build_config(MixingConfig, {"mix": {"mono": 0.1, "cross": 0.2, "multi": 0.7}})
    assert list(config.mix[0].shares.values()) == [Fraction(1, 10), Fraction(1, 5), Fraction(7, 10), Fraction(0)]
