"""The measures a report shows, how values are written, and which are best or not distinguishable from the best."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from retrieval.report.results import ArmResults, Estimate

Mark = Literal["", "best", "close"]
"""best: no arm is better. close: not best, but its interval overlaps that of the best, so the two are not
distinguishable by these intervals."""

MISSING = "–"
SETTINGS = {
    "mono": "monolingual",
    "cross": "cross-lingual",
    "multi": "multilingual",
}
SETTING_MEANING = {
    "mono": "query and passages in one language",
    "cross": "query in one language, passages in one other",
    "multi": "query in one language, passages of all languages in one pool",
}


@dataclass(frozen=True)
class Measure:
    """A measure as it stands in `summary.json`, and how to show it."""

    key: str
    label: str
    meaning: str
    higher_is_better: bool = True


RANK_DISTANCE = Measure(
    "rank_distance",
    "rank distance",
    "highest minus lowest rank of a query's parallel answers in the multilingual pool; 0 is no language bias",
    higher_is_better=False,
)
MAP = Measure("mAP", "mAP", "mean average precision over the whole ranking")
HEADLINE = (
    MAP,
    Measure("R@1", "R@1", "share of a query's answers found at rank 1"),
    Measure("R@10", "R@10", "share of a query's answers found in the first 10"),
    Measure("nDCG@10", "nDCG@10", "normalised discounted cumulative gain of the first 10"),
    Measure("MRR", "MRR", "mean reciprocal rank of the first answer"),
)


def number(value: float | None, measure: Measure | None = None) -> str:
    """A value as the report writes it: shares with three decimals and no leading zero, ranks as whole numbers."""
    if value is None or not math.isfinite(value):
        return MISSING
    if measure is RANK_DISTANCE or abs(value) > 10:
        return signed(f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}")
    return signed(without_zero(f"{value:.3f}"))


def without_zero(text: str) -> str:
    """0.798 -> .798, -0.012 -> -.012, 1.000 stays."""
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def signed(text: str) -> str:
    """A hyphen before a number becomes a true minus sign; minus zero becomes zero."""
    if text.startswith("-"):
        return text[1:] if not text.strip("-0.,") else f"\N{MINUS SIGN}{text[1:]}"
    return text


def interval(estimate: Estimate, measure: Measure | None = None) -> str:
    """`.781–.812`, or nothing where there is no interval."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{number(estimate.low, measure)}–{number(estimate.high, measure)}"


def estimates(
    results: Sequence[ArmResults], collection: str, setting: str, measure: Measure
) -> dict[str, Estimate | None]:
    """Arm -> estimate of a measure; None where the arm has no value."""
    return {
        result.name: result.summaries[collection].estimate(setting, measure.key)
        if collection in result.summaries
        else None
        for result in results
    }


def means(results: Sequence[ArmResults], collection: str, setting: str, measure: Measure) -> dict[str, float]:
    """Arm -> mean of a measure, for the arms that have one."""
    found = estimates(results, collection, setting, measure)
    return {name: one.mean for name, one in found.items() if one is not None and one.mean is not None}


def marks(values: Mapping[str, Estimate | None], measure: Measure) -> dict[str, Mark]:
    """Which arms are best in a column, and which the intervals do not tell apart from the best.

    Intervals that overlap are a cautious sign: the arms answered the same queries, so a paired test may still
    find a difference; intervals that do not overlap leave little doubt about these queries.
    """
    known = {name: estimate for name, estimate in values.items() if estimate is not None and estimate.mean is not None}
    result: dict[str, Mark] = dict.fromkeys(values, "")
    if len(known) < 2:
        return result
    means = {name: float(estimate.mean or 0.0) for name, estimate in known.items()}
    top = max(means.values()) if measure.higher_is_better else min(means.values())
    best = [name for name in means if means[name] == top]
    for name in known:
        if name in best:
            result[name] = "best"
        elif any(_overlap(known[name], known[other]) for other in best):
            result[name] = "close"
    return result


def _overlap(one: Estimate, other: Estimate) -> bool:
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    return one.low <= other.high and other.low <= one.high
