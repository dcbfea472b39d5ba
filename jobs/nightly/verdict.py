"""Paired comparisons in, findings and an outcome out. No store, no clock: the rules, to be read in one go."""

from collections.abc import Collection, Sequence
from datetime import date

from cluster.errors import ConfigError
from jobs.comparison import RANK_DISTANCE, Compared
from jobs.nightly.config import ThresholdsConfig
from jobs.records import Finding, Night, Outcome

_ORDER = ("regression", "improvement", "same")


def judge(compared: Sequence[Compared], thresholds: ThresholdsConfig) -> list[Finding]:
    """What each comparison of tonight (first) with the night before (second) comes to.

    A mean regressed if its change for the worse exceeds `min_drop` *and* is significant after Holm's correction. The
    one alone is noise on a small collection; the other alone is a difference too small to care about on a large one.

    Returns:
        Regressions first, then improvements, the largest change (as a multiple of its `min_drop`) first; then the rest
        in the order given.
    """
    findings = [_finding(one, thresholds) for one in compared]
    return sorted(findings, key=lambda one: (_ORDER.index(one.outcome), -_size(one)))


def _finding(one: Compared, thresholds: ThresholdsConfig) -> Finding:
    result, min_drop = one.result, thresholds.min_drop[one.result.measure]
    gain = -result.difference if result.measure == RANK_DISTANCE else result.difference
    significant = result.p_holm < thresholds.level
    return Finding(
        arm=one.arm,
        collection=one.collection,
        setting=result.setting,
        measure=result.measure,
        tonight=result.mean_first,
        before=result.mean_second,
        difference=result.difference,
        low=result.low,
        high=result.high,
        p_value=result.p_value,
        p_holm=result.p_holm,
        num_ids=result.num_ids,
        min_drop=min_drop,
        outcome="regression"
        if significant and -gain > min_drop
        else "improvement"
        if significant and gain > min_drop
        else "same",
    )


def _size(finding: Finding) -> float:
    """How large a change that counts is; 0 for others, which keep their order."""
    return 0.0 if finding.outcome == "same" else abs(finding.difference) / max(finding.min_drop, 1e-9)


def outcome_of(findings: Sequence[Finding]) -> Outcome:
    """What a night comes to: one regression is enough; without any comparison it is a first one."""
    if not findings:
        return "first"
    return "regression" if any(finding.outcome == "regression" for finding in findings) else "good"


def is_good(night: Night, accepted: Collection[date]) -> bool:
    """Whether later nights may be compared with it."""
    return night.outcome != "regression" or night.date in accepted


def baseline_of(
    day: date, nights: Sequence[Night], pinned: date | None = None, accepted: Collection[date] = ()
) -> Night | None:
    """The night to compare with: the pinned one, or the last good one before; None where there is none.

    Raises:
        ConfigError: the pinned night is not there, or not earlier.
    """
    if pinned is None:
        good = [night for night in nights if night.date < day and is_good(night, accepted)]
        return max(good, key=lambda night: night.date, default=None)
    found = next((night for night in nights if night.date == pinned), None)
    if found is None or pinned >= day:
        there = ", ".join(str(night.date) for night in nights if night.date < day) or "none"
        raise ConfigError(f"baseline: there is no night of {pinned} before {day}; there are {there}")
    return found
