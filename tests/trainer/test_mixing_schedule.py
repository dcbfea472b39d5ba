"""Exact schedules: every prefix within 1 of its share, whatever the shares."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.config import build_config
from cluster.errors import ConfigError
from trainer.mixing.apportion import BLOCK, ExactSchedule, RandomSchedule
from trainer.mixing.config import MixingConfig
from trainer.mixing.ratios import RunningTotals, exact_shares


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


def test_running_totals_of_a_ramp_by_hand() -> None:
    # Shares of kind 0 at steps 0..5: 1, 3/4, 1/2, 1/4, 0, 0.
    totals = RunningTotals([(0, [Fraction(1), Fraction(0)]), (4, [Fraction(0), Fraction(1)])])
    values = [Fraction(totals.at(0, unit), totals.denominator) for unit in range(7)]
    assert values == [0, 1, Fraction(7, 4), Fraction(9, 4), Fraction(5, 2), Fraction(5, 2), Fraction(5, 2)]


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
