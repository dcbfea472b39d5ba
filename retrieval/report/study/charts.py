"""Analysis -> Pareto plots, distributions of rank distance, and what an axis does; each with its numbers."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from retrieval.analysis.axis_effect import is_numeric
from retrieval.analysis.observations import COST, Arm
from retrieval.analysis.study import Front, MeasureAnalysis, Objective
from retrieval.report.charts import Panels
from retrieval.report.figures import Figure
from retrieval.report.measures import number
from retrieval.report.study.inputs import Study
from retrieval.report.study.naming import (
    Key,
    Names,
    aim,
    arm_name,
    capitalised,
    condition_name,
    level_text,
    measure_of,
    objective_name,
)
from retrieval.report.study.plot_drawing import LevelLine, Spot, level_curves, scatter
from retrieval.report.study.row_drawing import Box, boxes
from retrieval.report.study.sheet import with_data
from retrieval.report.svg import BASELINES, SERIES
from retrieval.report.text import label, listed, slug

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MOST_LINES = 6
_MOST_NAMED = 8


def is_cost(objective: Objective) -> bool:
    """Whether an objective is a measured cost."""
    return objective.name.startswith(COST)


def pareto(front: Front, arms: Mapping[str, Arm], names: Names, prefix: str) -> Panels | None:
    """Every pair of objectives of a front, one panel each; the front is that of all objectives together."""
    known = [place for place in range(len(front.arms)) if all(np.isfinite(o.values[place]) for o in front.objectives)]
    costs = front.with_costs
    pairs = [pair for pair in combinations(front.objectives, 2) if not costs or any(is_cost(one) for one in pair)]
    if not pairs or not known:
        return None
    on_front = [arm_name(arms[front.arms[place]]) for place in known if front.on_front[place]]
    best = {int(np.argmax(one.values) if one.higher_is_better else np.argmin(one.values)) for one in front.objectives}
    figures = []
    for number_, (one, other) in enumerate(pairs, start=1):
        spots, rows = [], []
        for place in known:
            arm = arms[front.arms[place]]
            special, member = arm_name(arm) in ("X-X", "X-Y"), front.on_front[place]
            colour = names.colour(arm) if special or member else BASELINES[0]
            named = special or (member and len(on_front) <= _MOST_NAMED) or place in best
            spots.append(Spot(names.short(arm), one.values[place], other.values[place], colour, member, named))
            rows.append(
                [
                    arm_name(arm),
                    one.values[place],
                    other.values[place],
                    "yes" if member else "no",
                    front.frequency[place],
                ]
            )
        labels = [objective_name(o.name) for o in (one, other)]
        shown = [
            text if o.higher_is_better else f"{text} (reversed: less is better)"
            for text, o in zip(labels, (one, other), strict=True)
        ]
        figure = scatter(
            f"{prefix}-pareto-{number_}",
            f"{capitalised(labels[1])} against {labels[0]}",
            f"{len(known)} mixes. On the front of all objectives: {listed(on_front)}.",
            shown[0],
            shown[1],
            spots,
            (not one.higher_is_better, not other.higher_is_better),
        )
        figures.append(
            with_data(figure, ["mix", *(o.name for o in (one, other)), "on front", "frequency on front"], rows)
        )
    caption = (
        "Each panel shows two of the objectives, the better always to the right and up. Discs are on the front: no "
        f"other mix is at least as good in all of {listed([objective_name(o.name) for o in front.objectives])} and "
        f"better in one. Hollow squares are not. {names.caption}"
    )
    return Panels(caption, tuple(figures))


def distributions(study: Study, key: Key, axes: Mapping[str, Any], name: str) -> Figure | None:
    """How the values of single queries are distributed, mix by mix; means over seeds."""
    one = study.found(key, axes)
    if one is None:
        return None
    panel, measure = study.panel(key, axes), measure_of(one)
    value_MI = panel.values.mean(axis=1)
    order = np.argsort(value_MI.mean(axis=1) * (-1 if one.higher_is_better else 1), kind="stable")
    rows, lines = [], []
    for place in order:
        arm, value_I = panel.arms[place], value_MI[place]
        quantiles = np.quantile(value_I, QUANTILES).tolist()
        rows.append(Box(study.names.short(arm), study.names.colour(arm), tuple(quantiles), float(value_I.mean())))
        lines.append([arm_name(arm), *quantiles, float(value_I.mean())])
    median = {row.name: row.quantiles[2] for row in rows}
    lowest, highest = min(median, key=median.__getitem__), max(median, key=median.__getitem__)
    said = (
        f"{len(panel.units):,} queries. Lowest median: {lowest} {number(median[lowest], measure)}; "
        f"highest: {highest} {number(median[highest], measure)}."
    )
    figure = boxes(name, _titled(f"{capitalised(aim(one))} of single queries", axes), said, rows)
    return with_data(figure, ["mix", *(f"quantile {q:g}" for q in QUANTILES), "mean"], lines)


def axis_panels(study: Study, axis: str, prefix: str) -> Panels | None:
    """Means of the mixes that matter over the levels of an axis, for each headline measure and each setting of "
    "other axes."""
    figures = []
    others = {
        repr(rest): rest
        for axes in study.conditions
        if axis in axes
        for rest in [{p: v for p, v in axes.items() if p != axis}]
    }
    for place, rest in enumerate(others.values(), start=1):
        for key in study.headline:
            found = [
                one
                for axes in study.conditions
                if {**axes, axis: None} == {**rest, axis: None} and (one := study.found(key, axes))
            ]
            if len(found) > 1:
                figures.append(_axis_figure(found, axis, study.names, f"{prefix}-{place}-{slug(*key)}", rest))
    if not figures:
        return None
    caption = (
        f"Means with 95 % intervals over the values of {label(axis)}: X-X, X-Y, and the mixes that are best at some "
        f"value. {study.names.caption}"
    )
    return Panels(caption, tuple(figures))


def _axis_figure(
    found: Sequence[MeasureAnalysis], axis: str, names: Names, name: str, rest: Mapping[str, Any]
) -> Figure:
    levels = [one.axes[axis] for one in found]
    if is_numeric(levels):
        found = sorted(found, key=lambda one: one.axes[axis])
        levels = [one.axes[axis] for one in found]
        places = np.log2(np.asarray(levels, dtype=np.float64)).tolist()
    else:
        places = list(map(float, range(len(levels))))
    best = dict.fromkeys(arm_name(mean.arm) for one in found for mean in one.arms if mean.arm.label == one.best)
    wanted = list(dict.fromkeys(["X-X", "X-Y", *best]))[:_MOST_LINES]
    lines, rows = [], []
    for number_, which in enumerate(wanted):
        means = [(level, mean) for level, one in enumerate(found) for mean in one.arms if arm_name(mean.arm) == which]
        if means:
            points = [(level, mean.mean, mean.low, mean.high) for level, mean in means]
            lines.append(LevelLine(names.short(means[0][1].arm), SERIES[number_], points))
            rows += [[which, level_text(levels[level]), *ends] for level, *ends in points]
    measure = measure_of(found[0])
    said = "; ".join(f"{line.name} {', '.join(number(mean, measure) for _, mean, *_ in line.points)}" for line in lines)
    figure = level_curves(
        name, _titled(capitalised(aim(found[0])), rest), f"From the first level to the last: {said}.", axis, places,
        [level_text(level) for level in levels], lines,
    )  # fmt: skip
    return with_data(figure, ["mix", axis, "mean", "low", "high"], rows)


def _titled(title: str, axes: Mapping[str, Any]) -> str:
    return f"{title}, {condition_name(axes)}" if axes else title
