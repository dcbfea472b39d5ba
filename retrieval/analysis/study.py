"""The whole analysis of a study: every collection's settings and measures, differences, surfaces, front and axes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, is_dataclass, replace
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa

from retrieval.analysis.axis_effect import AxisEffect, axis_effects, is_numeric
from retrieval.analysis.contrasts import Compared, compare_with, corrected, references_of
from retrieval.analysis.flat_region import flat_region
from retrieval.analysis.observations import COST, Arm, Panel, mean_costs, panel_of
from retrieval.analysis.optimum import MixtureModel, mixture_model
from retrieval.analysis.pareto import front_frequency, pareto_front
from retrieval.analysis.spread import RESAMPLES, ArmMean, arm_means, joint_draws


@dataclass(frozen=True)
class MeasureAnalysis:
    """One measure in one setting, under one combination of the axes."""

    setting: str
    measure: str
    higher_is_better: bool
    axes: dict[str, Any]
    seeds: tuple[int, ...]
    num_units: int
    left_out: tuple[str, ...]
    """Trials that are not part of it, for their arm lacks a seed or their seed an arm."""
    arms: tuple[ArmMean, ...]
    best: str
    flat_region: tuple[str, ...]
    """Arms that are not distinguishable from the best."""
    compared: tuple[Compared, ...]
    mixture: MixtureModel | None
    """None where there are too few constant mixes."""


@dataclass(frozen=True)
class Objective:
    """An axis of the Pareto plot."""

    name: str
    higher_is_better: bool
    values: tuple[float, ...]


@dataclass(frozen=True)
class Front:
    """Which arms no other beats, under one combination of the axes."""

    axes: dict[str, Any]
    arms: tuple[str, ...]
    objectives: tuple[Objective, ...]
    on_front: tuple[bool, ...]
    frequency: tuple[float, ...]
    """Share of the joint draws in which each arm is on the front; costs are taken as known exactly."""

    @property
    def with_costs(self) -> bool:
        """Whether measured costs are among the objectives, so that the front differs from machine to machine."""
        return any(objective.name.startswith(COST) for objective in self.objectives)


@dataclass(frozen=True)
class StudyAnalysis:
    """What a study shows."""

    measures: tuple[MeasureAnalysis, ...]
    fronts: tuple[Front, ...]
    axis_effects: tuple[AxisEffect, ...]


def analyse_study(
    trials: pa.Table,
    values: pa.Table,
    measures: Sequence[tuple[str, str]],
    objectives: Sequence[tuple[str, str]] = (),
    costs: dict[str, bool] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> StudyAnalysis:
    """Analyse the finished trials of a study on one collection.

    Args:
        trials, values: see `observations.panel_of`.
        measures: (setting, measure) pairs to analyse. All their comparisons are one family for Holm's correction.
        objectives: those of them that span the Pareto front.
        costs: name of a `cost:` column -> whether more of it is better (throughput: True). They make a second front,
            over objectives and costs; the first, over the objectives alone, does not depend on the machine.
        resamples: joint draws of units and seeds.
        seed: of the draws.

    Raises:
        DataError: see `panel_of`.
    """
    panels = {key: panel_of(trials, values, *key) for key in measures}
    analyses: list[MeasureAnalysis] = []
    effects: list[AxisEffect] = []
    for panel in panels.values():
        analyses += [_analysis(part, axes, resamples, seed) for axes, part in _by_axes(panel)]
        effects += _effects(panel)
    family = corrected([one for analysis in analyses for one in analysis.compared])
    rest = iter(family)
    analyses = [replace(one, compared=tuple(next(rest) for _ in one.compared)) for one in analyses]
    fronts: list[Front] = []
    for known in ({}, costs) if costs else ({},):
        if objectives:
            fronts += _fronts(trials, [panels[key] for key in objectives], known, resamples, seed)
    return StudyAnalysis(tuple(analyses), tuple(fronts), tuple(effects))


def _by_axes(panel: Panel) -> list[tuple[dict[str, Any], Panel]]:
    """The panel under each combination of the axes that has arms."""
    combinations = [dict(zip(panel.axes, values, strict=True)) for values in product(*panel.axes.values())]
    parts = [(axes, panel.where(axes)) for axes in combinations]
    return [(axes, part) for axes, part in parts if part.arms]


def _analysis(panel: Panel, axes: dict[str, Any], resamples: int, seed: int) -> MeasureAnalysis:
    draw_MB = joint_draws(panel, resamples, seed)
    constant = [number for number, arm in enumerate(panel.arms) if not arm.schedule]
    return MeasureAnalysis(
        setting=panel.setting,
        measure=panel.measure,
        higher_is_better=panel.higher_is_better,
        axes=axes,
        seeds=panel.seeds,
        num_units=len(panel.units),
        left_out=panel.left_out,
        arms=tuple(arm_means(panel, draw_MB)),
        best=panel.arms[panel.best].label,
        flat_region=tuple(panel.arms[number].label for number in flat_region(panel, draw_MB)),
        compared=tuple(compare_with(panel, references_of(panel))),
        mixture=mixture_model(panel.only(constant), draw_MB[constant]) if constant else None,
    )


def _effects(panel: Panel) -> list[AxisEffect]:
    """Effects of every numeric axis, under each combination of the others."""
    found = []
    for axis, levels in panel.axes.items():
        if not is_numeric(levels):
            continue
        others = {path: values for path, values in panel.axes.items() if path != axis}
        for values in product(*others.values()):
            found += axis_effects(panel.where(dict(zip(others, values, strict=True))), axis)
    return found


def _fronts(
    trials: pa.Table, panels: Sequence[Panel], costs: dict[str, bool], resamples: int, seed: int
) -> list[Front]:
    fronts = []
    for axes, first in _by_axes(panels[0]):
        parts = [panel.where(axes) for panel in panels]
        common = [arm for arm in first.arms if all(arm in part.arms for part in parts)]
        parts = [part.only(part.arms.index(arm) for arm in common) for part in parts]
        objectives = [
            Objective(f"{part.setting} {part.measure}", part.higher_is_better, tuple(part.means.tolist()))
            for part in parts
        ]
        draws = [joint_draws(part, resamples, seed) for part in parts]
        known = mean_costs(trials, parts[0])
        for name, higher in costs.items():
            value_M = [np.nan if value is None else value for value in known.get(name, [None] * len(common))]
            objectives.append(Objective(f"{COST}{name}", higher, tuple(value_M)))
            draws.append(np.repeat(np.array(value_M)[:, None], resamples, axis=1))
        higher_is_better = [objective.higher_is_better for objective in objectives]
        value_MO = np.array([objective.values for objective in objectives]).T
        fronts.append(
            Front(
                axes=axes,
                arms=tuple(arm.label for arm in common),
                objectives=tuple(objectives),
                on_front=tuple(pareto_front(value_MO, higher_is_better).tolist()),
                frequency=tuple(front_frequency(np.stack(draws), higher_is_better).tolist()),
            )
        )
    return fronts


def to_plain(analysis: Any) -> Any:
    """The analysis as what JSON can hold: exact shares as text, arrays as lists, what is not finite as None."""
    if isinstance(analysis, Arm):
        fields = {"mix": dict(analysis.mix), "axes": dict(analysis.axes), "schedule": analysis.schedule}
        return to_plain({"label": analysis.label} | fields)
    if is_dataclass(analysis) and not isinstance(analysis, type):
        return {name: to_plain(getattr(analysis, name)) for name in analysis.__dataclass_fields__}
    if isinstance(analysis, dict):
        return {str(key): to_plain(value) for key, value in analysis.items()}
    if isinstance(analysis, (list, tuple)):
        return [to_plain(value) for value in analysis]
    if isinstance(analysis, np.ndarray):
        return to_plain(analysis.tolist())
    if isinstance(analysis, Fraction):
        return str(analysis)
    if isinstance(analysis, float):
        return analysis if np.isfinite(analysis) else None
    return analysis


def as_json(analysis: StudyAnalysis) -> str:
    """The analysis as JSON; the same study gives the same bytes."""
    return json.dumps(to_plain(analysis), ensure_ascii=False, indent=1, allow_nan=False)
