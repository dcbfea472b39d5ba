"""Analysis -> what a study shows and what it does not show, in plain sentences."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from retrieval.analysis.observations import Arm, arm_of
from retrieval.analysis.planning import seed_plan
from retrieval.analysis.study import MeasureAnalysis
from retrieval.measures.statistics import LEVEL
from retrieval.report.measures import number
from retrieval.report.study.inputs import FINISHED, Study
from retrieval.report.study.naming import (
    aim,
    arm_name,
    capitalised,
    fine,
    kinds_of,
    measure_of,
    p_text,
    share_text,
    size,
)
from retrieval.report.text import isolated, kinds_in_order, listed

_MOST_NAMED = 5


def summary(study: Study, axes: Mapping[str, Any]) -> list[str]:
    """Which mix for which aim, under one combination of the axes, and one mix for all aims."""
    found = study.headline_under(axes)
    sentences = [_best(one) for one in found]
    return sentences + _for_all_aims(found)


def _best(one: MeasureAnalysis) -> str:
    """The best mix of an aim, the mixes that may be the best, and how much the choice among them can matter."""
    measure = measure_of(one)
    mean = next(mean for mean in one.arms if mean.arm.label == one.best)
    lower = "" if one.higher_is_better else " (lower is better)"
    said = (
        f"For {aim(one)}{lower}: {isolated(arm_name(mean.arm))} has the best mean, {number(mean.mean, measure)} "
        f"(95 % interval {number(mean.low, measure)} to {number(mean.high, measure)})"
    )
    if len(one.arms) == 1:
        return f"{said}; there is no other mix to compare it with."
    if len(one.flat_region) == 1:
        return f"{said}; no other of the {len(one.arms)} mixes can be the best."
    if len(one.flat_region) == len(one.arms):
        return f"{said}, but the study tells none of the {len(one.arms)} mixes from it{_within(one)}."
    return f"{said}. The best may also be {_region(one)}{_within(one)}."


def _within(one: MeasureAnalysis) -> str:
    """How far behind the mixes of the flat region are at most."""
    inside = [
        each.result.low if one.higher_is_better else each.result.high
        for each in one.compared
        if each.role == "best" and each.arm in one.flat_region
    ]
    worst = (min if one.higher_is_better else max)(inside)
    subject = "these are" if len(inside) > 1 else "it is"
    return f"; {subject} behind by {size(worst, measure_of(one))} at most (95 % interval)"


def _region(one: MeasureAnalysis) -> str:
    """The other mixes of the flat region: by name, as a stretch of alphas, or by the range of each share."""
    others = [mean.arm for mean in one.arms if mean.arm.label in one.flat_region and mean.arm.label != one.best]
    if len(others) <= _MOST_NAMED:
        return listed([isolated(arm_name(arm)) for arm in others])
    inside = [mean.arm for mean in one.arms if mean.arm.label in one.flat_region]
    kinds = kinds_of(mean.arm for mean in one.arms)
    if len(kinds) == 2 and not any(mean.arm.schedule for mean in one.arms):
        in_order = sorted((mean.arm for mean in one.arms), key=lambda arm: arm.share(kinds[0]))
        places = [place for place, arm in enumerate(in_order) if arm in inside]
        if places == list(range(places[0], places[-1] + 1)):
            ends = f"{_share(in_order[places[0]], kinds[0])} to {_share(in_order[places[-1]], kinds[0])}"
            return f"any mix tried with a share of {kinds[0]} from {ends} ({len(inside)} of {len(one.arms)} mixes)"
    ranges = listed([f"{kind} {_range(inside, kind)}" for kind in kinds])
    return f"one of {len(others)} other mixes of {len(one.arms)}; among all of these the shares are {ranges}"


def _share(arm: Arm, kind: str) -> str:
    return str(dict(arm.mix).get(kind, 0))


def _range(arms: Sequence[Arm], kind: str) -> str:
    least, most = min(arms, key=lambda arm: arm.share(kind)), max(arms, key=lambda arm: arm.share(kind))
    ends = _share(least, kind), _share(most, kind)
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _for_all_aims(found: Sequence[MeasureAnalysis]) -> list[str]:
    """The mixes that no aim rules out."""
    if len(found) < 2:
        return []
    aims = listed([aim(one) for one in found])
    inside = [mean.arm for mean in found[0].arms if all(mean.arm.label in one.flat_region for one in found)]
    if not inside:
        return [
            f"One mix for all aims: no mix is among the candidates for the best in all of {aims}; choose by the aim."
        ]
    if len(inside) == 1:
        return [f"One mix for all aims: only {isolated(arm_name(inside[0]))} may be the best in all of {aims}."]
    names = listed([isolated(arm_name(arm)) for arm in inside[:_MOST_NAMED]])
    more = f" and {len(inside) - _MOST_NAMED} more" if len(inside) > _MOST_NAMED else ""
    return [f"One mix for all aims: {names}{more} may be the best in all of {aims}."]


def surfaces(found: Sequence[MeasureAnalysis]) -> list[str]:
    """What the fitted surfaces say about the best mix, and whether to believe them."""
    return [_surface(one) for one in found if one.mixture is not None]


def _surface(one: MeasureAnalysis) -> str:
    model = one.mixture
    assert model is not None
    kinds = kinds_in_order(model.kinds)
    # With two kinds one share says it all.
    parts = [
        f"{kind} {share_text(model.best[kind])} ({share_text(low)} to {share_text(high)})"
        for kind in (kinds[:1] if len(kinds) == 2 else kinds)
        for low, high in [model.best_intervals[kind]]
    ]
    what = "curve" if len(kinds) == 2 else "surface"
    said = f"{capitalised(aim(one))}: the fitted {what} ({model.model}) is best at {listed(parts)}"
    studied = [[mean.arm.share(kind) for mean in one.arms] for kind in model.kinds]
    wide = [
        high - low >= 0.9 * (max(shares) - min(shares))
        for shares, (low, high) in zip(studied, model.best_intervals.values(), strict=True)
    ]
    if model.lack_of_fit_p is not None and model.lack_of_fit_p < 1 - LEVEL:
        said += f". It misses the means by more than seeds explain ({p_text(model.lack_of_fit_p)}): go by the means"
    if all(wide):
        said += ". The interval is as wide as what was tried: the study does not locate the best mix"
    return f"{said}."


def axis_findings(study: Study, axis: str) -> list[str]:
    """Whether the leads over X-X and X-Y change along an axis, in the headline measures."""
    sentences = []
    for key in study.headline:
        found = [
            one
            for one in study.analysis.axis_effects
            if one.axis == axis and one.reference is not None and (one.setting, one.measure) == key
        ]
        # X-X minus X-Y is X-Y minus X-X with the other sign.
        found = list({frozenset((one.mix, one.reference)): one for one in reversed(found)}.values())[::-1]
        if not found:
            continue
        analysis = next(one for one in study.analysis.measures if (one.setting, one.measure) == key)
        name_of = {mean.arm.label.partition("; ")[0]: arm_name(mean.arm) for mean in analysis.arms}
        name_of |= {label.partition("; ")[0]: arm_name(arm) for label, arm in study.arms.items()}
        sure = [one for one in found if one.p_holm < 1 - LEVEL]
        said = [
            f"{isolated(name_of[one.mix])} minus {isolated(name_of[str(one.reference)])} "
            f"{fine(one.slope.estimate, measure_of(analysis))}"
            for one in sure[:_MOST_NAMED]
        ]
        more = f" and {len(sure) - _MOST_NAMED} more" if len(sure) > _MOST_NAMED else ""
        changes = (
            f"with every doubling these differences change: {listed(said)}{more}"
            if sure
            else f"none of the {len(found)} differences to X-X and X-Y changes distinguishably"
        )
        sentences.append(f"{capitalised(aim(analysis))}: {changes}.")
    return sentences or [
        "Its values are not all positive numbers, so nothing rises or falls along it; compare the parts."
    ]


def sensitivity(study: Study, axes: Mapping[str, Any]) -> list[str]:
    """The smallest differences that the study could find, and what more seeds would bring."""
    return [text for one in study.headline_under(axes) if (text := _sensitivity(study, one, axes))]


def _sensitivity(study: Study, one: MeasureAnalysis, axes: Mapping[str, Any]) -> str:
    measure = measure_of(one)
    if len(one.arms) < 2:
        return ""
    family = sum(len(other.compared) for other in study.analysis.measures)
    seeds = len(one.seeds)
    plan = seed_plan(study.panel((one.setting, one.measure), axes), family, (2 * seeds, 4 * seeds))
    if plan is None:
        found = [each.detectable for each in one.compared if each.role == "best" and each.detectable is not None]
        smallest = (
            f"differences to the best below about {size(median(found), measure)} would mostly be missed"
            if found
            else ""
        )
        return (
            f"{capitalised(aim(one))}: {smallest}; with one seed nothing is known of how much seeds would add to that."
        )
    later = listed([f"{size(value, measure)} with {number_} seeds" for number_, value in plan.with_seeds.items()])
    return (
        f"{capitalised(aim(one))}: differences to the best of {size(plan.now, measure)} and more would be found in 4 "
        f"of 5 such studies; {later}; never below {size(plan.at_most, measure)}, however many seeds, without more "
        f"queries. Seeds make {100 * plan.share_of_seeds:.0f} % of the variance of a difference now."
    )


def limits(study: Study) -> list[str]:
    """What the numbers do not show."""
    measures = study.analysis.measures
    sentences = []
    if any(len(one.seeds) == 1 for one in measures):
        sentences.append(
            "One seed: the intervals and tests cover the choice of queries only. Trained again with another seed, a "
            "mix may move by more than its interval, and this study does not measure by how much."
        )
    else:
        sentences.append(
            "Intervals and tests cover other queries and other seeds. They assume that all mixes vary about alike "
            "from seed to seed; the seed deviations in the table of means show whether they do."
        )
    sentences += [
        "Not distinguishable does not mean equal. The candidates for the best include the truly best of the mixes "
        "that were tried in 95 of 100 such studies; the others among them may be worse by as much as their intervals "
        "say.",
        "p-values against the best mix take it as given although the same values chose it; where several mixes are "
        "about as good they are somewhat too small.",
        "All values come from one collection, one data set to train on and one configuration; nothing here says how "
        "the order of the mixes carries over to others.",
    ]
    sentences += _missing(study)
    return sentences


def _missing(study: Study) -> list[str]:
    """Trials that were stopped, and trials that the analysis could not use."""
    sentences = []
    stopped = [row for row in study.cost_rows.values() if row["status"] != FINISHED]
    if stopped:
        sentences.append(
            f"{len(stopped)} of {study.num_trials} trials were stopped early and are not part of any figure but the "
            "costs: a mix that was stopped did worse at that time, which is not to say that it would have stayed "
            "behind."
        )
    left_out = dict.fromkeys(trial for one in study.analysis.measures for trial in one.left_out)
    if left_out:
        sentences.append(
            f"{len(left_out)} trials that were evaluated are left out, for their mix lacks a seed that others have, "
            "or their seed a mix; the table of trials names them."
        )
    known = study.names.short_of
    arms = {arm_name(arm_of(row)) for row in study.rows.values()}
    lost = sorted(arms - set(known))
    if lost:
        sentences.append(f"Without any value: {listed([isolated(name) for name in lost])}.")
    return sentences
