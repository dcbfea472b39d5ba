"""When a night counts as worse: worked out by hand, as properties, and from per-query records to a verdict."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from end_to_end.small_results import GOOD, nightly_config, write_night, write_run
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import ConfigError
from cluster.storage import open_store
from jobs.catalogue import nights, read_night
from jobs.comparison import Compared
from jobs.nightly.config import ThresholdsConfig, check_nightly
from jobs.nightly.verdict import baseline_of, judge, outcome_of
from jobs.nightly.words import headline, markdown, sentence
from jobs.records import Night, RunRecord
from retrieval.measures.comparison import Comparison


def compared(difference: float, p_holm: float, measure: str = "mAP", setting: str = "mono") -> Compared:
    """A comparison of tonight with a night at 0.5."""
    comparison = Comparison(
        measure=measure,
        setting=setting,
        first="tonight",
        second="before",
        mean_first=0.5 + difference,
        mean_second=0.5,
        difference=difference,
        low=difference - 0.01,
        high=difference + 0.01,
        p_value=p_holm,
        p_holm=p_holm,
        effect_size=0.0,
        num_ids=100,
    )
    return Compared("hybrid", "test", comparison)


@pytest.mark.parametrize(
    ("difference", "p_holm", "measure", "outcome"),
    [
        (-0.03, 0.01, "mAP", "regression"),
        (-0.03, 0.05, "mAP", "same"),  # not below the level
        (-0.02, 0.01, "mAP", "same"),  # not more than min_drop
        (+0.03, 0.01, "mAP", "improvement"),
        (+0.03, 0.20, "mAP", "same"),
        (+7.0, 0.01, "rank_distance", "regression"),  # lower is better
        (-7.0, 0.01, "rank_distance", "improvement"),
        (+5.0, 0.01, "rank_distance", "same"),
    ],
)
def test_worse_is_significant_and_larger_than_its_threshold(
    difference: float, p_holm: float, measure: str, outcome: str
) -> None:
    thresholds = ThresholdsConfig(min_drop={"mAP": 0.02, "rank_distance": 5.0}, level=0.05)
    (finding,) = judge([compared(difference, p_holm, measure)], thresholds)
    assert finding.outcome == outcome
    assert finding.min_drop == thresholds.min_drop[measure]


@given(
    st.lists(
        st.tuples(
            st.floats(-0.5, 0.5), st.floats(0, 1), st.sampled_from(["mAP", "rank_distance"]),
            st.sampled_from(["mono", "cross", "multi"]),
        ),
        max_size=12,
    ),
    st.floats(0, 0.2),
    st.floats(0.001, 0.5),
)  # fmt: skip
def test_of_any_comparisons(made: list[tuple[float, float, str, str]], min_drop: float, level: float) -> None:
    thresholds = ThresholdsConfig(min_drop={"mAP": min_drop, "rank_distance": min_drop}, level=level)
    given_ones = [compared(*one) for one in made]
    findings = judge(given_ones, thresholds)
    assert sorted((f.difference, f.p_holm, f.measure, f.setting) for f in findings) == sorted(made)
    for finding in findings:
        counts = finding.p_holm < level and abs(finding.difference) > min_drop
        assert (finding.outcome == "same") == (not counts)
    order = [("regression", "improvement", "same").index(finding.outcome) for finding in findings]
    assert order == sorted(order)
    # Whoever calls everything the other way round gets the opposite verdict.
    turned = judge([compared(-difference, *rest) for difference, *rest in made], thresholds)
    names = {"regression": "improvement", "improvement": "regression", "same": "same"}
    assert sorted(names[one.outcome] for one in turned) == sorted(one.outcome for one in findings)
    worst = "regression" if "regression" in [one.outcome for one in findings] else "good"
    assert outcome_of(findings) == (worst if findings else "first")


def night(day: int, outcome: str) -> Night:
    moment = datetime(2026, 1, day, tzinfo=UTC)
    run = RunRecord(name=f"runs/{day}", title="x", collections={}, arms=())
    fields = {"baseline": None, "unchanged": False, "commit": None, "started": moment, "finished": moment}
    more = {"level": 0.05, "history": 9, "findings": (), "not_compared": ()}
    return Night.model_validate({"date": moment.date(), "outcome": outcome, "run": run, **fields, **more})


def test_a_regressed_night_is_nobodys_baseline_until_it_is_accepted() -> None:
    there = [night(1, "first"), night(2, "good"), night(4, "regression"), night(5, "regression")]
    third, sixth = date(2026, 1, 3), date(2026, 1, 6)

    def base(day: date, **options: object) -> int | None:
        found = baseline_of(day, there, **options)
        return found.date.day if found else None

    assert base(date(2026, 1, 1)) is None, "its own night, or a later one, is no baseline"
    assert base(third) == base(sixth) == 2
    assert base(sixth, accepted=[date(2026, 1, 4)]) == 4
    assert base(sixth, pinned=date(2026, 1, 5)) == 5
    with pytest.raises(
        ConfigError, match="baseline: there is no night of 2026-01-03 before 2026-01-06; there are 2026"
    ):
        base(sixth, pinned=third)
    with pytest.raises(ConfigError, match="no night of 2026-01-04 before 2026-01-03"):
        base(third, pinned=date(2026, 1, 4))


def test_so_many_tests_that_none_could_be_significant_are_refused() -> None:
    check_nightly(nightly_config(thresholds={"min_drop": {"mAP": 0.01}, "level": 0.01}))
    with pytest.raises(ConfigError, match="thresholds: 6 tests a night.*judge fewer measures, arms or collections"):
        check_nightly(nightly_config(thresholds={"min_drop": {"mAP": 0.01, "R@1": 0.01}, "level": 0.0005}))
    with pytest.raises(ConfigError, match="thresholds.min_drop: unknown measure 'map'; known: mAP"):
        check_nightly(nightly_config(thresholds={"min_drop": {"map": 0.01}}))


def test_from_records_to_a_verdict_that_names_what_is_worse(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    thresholds = {"thresholds": {"min_drop": {"mAP": 0.02, "rank_distance": 3.0}}}
    days = [date(2026, 1, day) for day in range(1, 7)]
    first = write_night(store, days[0], write_run(store, "a", {"hybrid": GOOD, "X-X": GOOD}), **thresholds)
    assert (first.outcome, first.baseline, first.findings) == ("first", None, ())
    assert "there is nothing to compare with" in headline(first)

    same = write_night(store, days[1], write_run(store, "b", {"hybrid": GOOD, "X-X": GOOD}), **thresholds)
    assert same.outcome == "good" and not same.unchanged
    assert len(same.findings) == 2 * (3 + 1) and {finding.p_holm for finding in same.findings} == {1.0}

    worse = GOOD | {"multi": 0.42}
    run = write_run(store, "c", {"hybrid": worse, "X-X": GOOD})
    third = write_night(store, days[2], run, **thresholds)
    (finding,) = third.having("regression")
    assert (finding.arm, finding.collection, finding.setting, finding.measure) == ("hybrid", "test", "multi", "mAP")
    # The noise is the same in both, so the difference is what was planted (but where values were cut off at 1).
    assert finding.difference == pytest.approx(-0.08, abs=0.005) and finding.low < -0.02 and finding.high < 0
    assert finding.p_holm == pytest.approx(8e-4), "the smallest p of 9,999 rounds, times Holm's 8 tests"
    assert third.outcome == "regression" and third.baseline == days[1]
    text = markdown(third)
    assert "REGRESSION; 1 worse than on 2026-01-02, 0 better" in text
    assert f"| hybrid | test | multi | mAP | {finding.before:.4f} | {finding.tonight:.4f} |" in text
    assert sentence(finding).startswith("hybrid on test, multi mAP: 0.")

    small = write_night(
        store, days[3], write_run(store, "d", {"hybrid": GOOD | {"multi": 0.485}, "X-X": GOOD}), **thresholds
    )
    (shifted,) = [one for one in small.findings if one.difference]
    assert shifted.p_holm < 0.05 and shifted.outcome == "same", "significant, and too small to care about"
    assert small.baseline == days[1], "the regressed night did not become the baseline"

    far = write_night(store, days[4], write_run(store, "e", {"hybrid": GOOD, "X-X": GOOD}, distance=60.0), **thresholds)
    assert {(one.arm, one.setting, one.measure) for one in far.having("regression")} == {
        ("hybrid", "bias", "rank_distance"),
        ("X-X", "bias", "rank_distance"),
    }
    again = write_night(
        store, days[5], write_run(store, "d", {"hybrid": GOOD | {"multi": 0.485}, "X-X": GOOD}), **thresholds
    )
    assert again.unchanged and "nothing has changed since 2026-01-04" in headline(again)
    assert [one.date for one in nights(store)] == days
    assert read_night(store, days[2]) == third


def test_what_does_not_compare_is_said(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    write_night(store, date(2026, 1, 1), write_run(store, "a", {"hybrid": GOOD, "old": GOOD}))
    second = write_night(store, date(2026, 1, 2), write_run(store, "b", {"hybrid": GOOD, "new": GOOD}))
    assert second.outcome == "good"
    assert {(one.arm, one.reason) for one in second.not_compared} == {
        ("new", "2026-01-01 has none"),
        ("old", "tonight has none"),
    }
    third = write_night(store, date(2026, 1, 3), write_run(store, "c", {"hybrid": GOOD}, content="other"))
    assert third.outcome == "first", "other data: nothing to compare with"
    assert "2026-01-02 searched another content under this name" in markdown(third)
    assert "nothing compares with 2026-01-02" in headline(third)
