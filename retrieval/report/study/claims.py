"""Analysis -> whether the order that the paper found holds here, claim by claim, with the evidence.

The claims are those of arXiv 2408.10536: monolingual batches (X-X) are best within a language, cross-lingual ones (X-Y)
across two, and hybrid batches are at least as good over all languages at once, with less language bias than X-X.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from retrieval.analysis.contrasts import Compared
from retrieval.analysis.observations import XX, XY, Arm
from retrieval.analysis.study import MeasureAnalysis
from retrieval.measures.statistics import LEVEL
from retrieval.report.study.naming import aim, arm_name, fine, measure_of, p_text, size
from retrieval.report.text import isolated

Verdict = Literal["holds", "open", "fails"]
VERDICTS: Mapping[Verdict, str] = {"holds": "holds", "open": "neither shown nor refuted", "fails": "does not hold"}
_HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Claim:
    """A claim of the paper under one combination of the axes."""

    text: str
    axes: Mapping[str, Any]
    verdict: Verdict
    evidence: str


def claims(found: Sequence[MeasureAnalysis], axes: Mapping[str, Any]) -> list[Claim]:
    """The claims that a study can say something about.

    "Best or equal" holds where the mix has the best mean, unless the study tells no mix from it, and fails where the
    flat region leaves it out; otherwise its difference to the best is not distinguishable from 0, which is not to say
    that it is 0. "At least equal" holds where the 95 % interval of the difference has no loss in it, and fails where
    the corrected test finds one; "lower" asks for the corrected test.

    Args:
        found: the headline measures under these axes.
        axes: one combination.
    """
    by_setting = {one.setting: one for one in found}
    made: list[Claim] = []
    for setting, mix, name in (("mono", XX, "X-X"), ("cross", XY, "X-Y")):
        one = by_setting.get(setting)
        arm = next(
            (mean.arm for mean in (one.arms if one else ()) if mean.arm.mix == mix and not mean.arm.schedule), None
        )
        if one is not None and arm is not None and len(one.arms) > 1:
            made.append(_best_or_equal(one, arm, f"{name} is best or equal in {aim(one)}", axes))
    multi, bias = by_setting.get("multi"), by_setting.get("bias")
    hybrid = _hybrid(multi or bias)
    if multi is not None and hybrid is not None:
        text = f"Hybrid ({arm_name(hybrid)}) is at least equal to X-X and X-Y in {aim(multi)}"
        made += _at_least_equal(multi, hybrid, text, axes)
    if bias is not None and bias.measure == "rank_distance" and hybrid is not None:
        made += _lower(bias, hybrid, f"Hybrid ({arm_name(hybrid)}) has a lower {aim(bias)} than X-X", axes)
    return made


def _hybrid(one: MeasureAnalysis | None) -> Arm | None:
    """Mono and cross half and half, as in the paper; or the constant mix of those two nearest to it."""
    mixed = [mean.arm for mean in (one.arms if one else ()) if {kind for kind, _ in mean.arm.mix} == {"mono", "cross"}]
    mixed = [arm for arm in mixed if not arm.schedule]
    return min(mixed, key=lambda arm: abs(dict(arm.mix)["mono"] - _HALF), default=None)


def _best_or_equal(one: MeasureAnalysis, arm: Arm, text: str, axes: Mapping[str, Any]) -> Claim:
    measure = measure_of(one)
    if one.best == arm.label:
        rest = [each for each in one.compared if each.role == "best" and each.arm in one.flat_region]
        if not rest:
            return Claim(text, axes, "holds", "It has the best mean; no other mix can be the best.")
        ahead = max(each.result.high if one.higher_is_better else -each.result.low for each in rest)
        others = f"{len(rest)} other mixes" if len(rest) > 1 else "one other mix"
        said = f"{others} cannot be told from it and may be better by {size(ahead, measure)} at most"
        verdict: Verdict = "open" if len(rest) == len(one.arms) - 1 else "holds"
        return Claim(text, axes, verdict, f"It has the best mean; {said}.")
    against = next(each for each in one.compared if each.role == "best" and each.arm == arm.label)
    best = next(mean.arm for mean in one.arms if mean.arm.label == one.best)
    gap = f"{isolated(arm_name(best))} has the best mean; the difference to it is {_difference(against, one)}"
    if arm.label in one.flat_region:
        bound = against.result.high if not one.higher_is_better else against.result.low
        return Claim(text, axes, "open", f"{gap}: it may be the best, and is behind by at most {size(bound, measure)}.")
    return Claim(text, axes, "fails", f"{gap}: it cannot be the best.")


def _at_least_equal(one: MeasureAnalysis, hybrid: Arm, text: str, axes: Mapping[str, Any]) -> list[Claim]:
    against = _against(one, hybrid)
    if not against:
        return []
    verdicts: list[Verdict] = []
    for each in against:
        gain_low, gain = _gain(each, one)
        lost = gain < 0 and each.p_holm < 1 - LEVEL
        verdicts.append("fails" if lost else "holds" if gain_low >= 0 else "open")
    verdict: Verdict = "fails" if "fails" in verdicts else "open" if "open" in verdicts else "holds"
    said = "; ".join(f"minus {_role(each)} {_difference(each, one)}, {p_text(each.p_holm)}" for each in against)
    return [Claim(text, axes, verdict, f"{said[:1].upper()}{said[1:]}.")]


def _lower(one: MeasureAnalysis, hybrid: Arm, text: str, axes: Mapping[str, Any]) -> list[Claim]:
    found = [each for each in _against(one, hybrid) if each.role == "X-X"]
    made = []
    for each in found:
        differs = each.p_holm < 1 - LEVEL
        verdict: Verdict = "open" if not differs else "holds" if each.result.estimate < 0 else "fails"
        made.append(Claim(text, axes, verdict, f"Minus X-X {_difference(each, one)}, {p_text(each.p_holm)}."))
    return made


def _against(one: MeasureAnalysis, arm: Arm) -> list[Compared]:
    return [each for each in one.compared if each.arm == arm.label and each.role in ("X-X", "X-Y")]


def _gain(each: Compared, one: MeasureAnalysis) -> tuple[float, float]:
    """Least gain of the interval, and the gain: positive is better."""
    if one.higher_is_better:
        return each.result.low, each.result.estimate
    return -each.result.high, -each.result.estimate


def _role(each: Compared) -> str:
    return each.role


def _difference(each: Compared, one: MeasureAnalysis) -> str:
    measure = measure_of(one)
    result = each.result
    ends = f"{fine(result.low, measure)} to {fine(result.high, measure)}"
    return f"{fine(result.estimate, measure)} ({ends})"
