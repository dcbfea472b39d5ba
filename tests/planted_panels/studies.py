"""Whole studies with planted truths: the tables that an ablation writes, and their analysis."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from planted_panels.panels import planted

from retrieval.analysis.observations import Arm
from retrieval.analysis.study import StudyAnalysis, analyse_study

KINDS = ("mono", "cross", "multi", "code_switched")
LANGUAGES = ("de", "en", "th")
KEYS = (("mono", "mAP"), ("cross", "mAP"), ("multi", "mAP"), ("bias", "rank_distance"))
SMALL = {"seed": 0.004, "arm_seed": 0.003, "unit": 0.15, "arm_unit": 0.02, "noise": 0.03}


@dataclass(frozen=True)
class PlantedStudy:
    """The tables of a study, and the truth behind them."""

    trials: pa.Table
    values: pa.Table
    pairs: pa.Table
    costs: pa.Table
    truth: dict[tuple[str, str], dict[str, float]]
    """Key -> label of each arm -> its true mean."""

    def analysis(self, **more: Any) -> StudyAnalysis:
        keys = list(self.truth)
        options: dict[str, Any] = {"resamples": 200, "costs": {"queries_per_second": True}}
        return analyse_study(
            self.trials,
            self.values,
            keys,
            [key for key in keys if key[1] in ("mAP", "rank_distance")],
            **options | more,
        )

    def arguments(self, **more: Any) -> dict[str, Any]:
        """What `write_study_report` takes, but for folder, title and configuration."""
        tables = {name: getattr(self, name) for name in ("trials", "values", "pairs", "costs")}
        return tables | {"analysis": self.analysis(**more)}


def true_means(arm: Arm, setting: str) -> float:
    """The paper's order: mono best within, cross across, a mix of both (and a little multi) over all languages at once."""
    mono, cross, multi = (arm.share(kind) for kind in ("mono", "cross", "multi"))
    if setting == "mono":
        return 0.70 + 0.12 * mono - 0.05 * cross - 0.02 * multi
    if setting == "cross":
        return 0.35 + 0.25 * cross + 0.10 * multi + 0.15 * mono * cross
    if setting == "multi":
        return 0.30 + 0.05 * mono + 0.05 * cross + 0.05 * multi + 0.45 * mono * cross + 0.25 * cross * multi
    return 400 * mono + 120 * cross + 150 * multi - 300 * mono * cross  # rank distance


def planted_study(
    arms: Sequence[Arm],
    seeds: int = 3,
    units: int = 40,
    axes: Mapping[str, Sequence[Any]] | None = None,
    stopped: int = 0,
    random: int = 0,
    keys: Sequence[tuple[str, str]] = KEYS,
    shift: float = 0.0,
) -> PlantedStudy:
    """A study of these arms.

    Args:
        arms: mixes.
        seeds, units: how many.
        axes: at most one path and its values; the higher of two numbers gains .02 a doubling, and X-X .04 in mono.
        stopped: trials at the end without values, which were stopped.
        random: seed.
        keys: settings and measures.
        shift: added to every truth.
    """
    rng = np.random.default_rng(random)
    (path, levels), *_ = [*(axes or {}).items(), ("", [None])]
    full = [replace(arm, axes=((path, level),)) if path else arm for level in levels for arm in arms]
    trials, values, pairs, costs = [], [], [], []
    truth: dict[tuple[str, str], dict[str, float]] = {}
    panels = {}
    for key in keys:
        scale = 1000.0 if key[0] == "bias" else 1.0
        mean_M = np.array([_truth(arm, key, levels) for arm in full]) + shift * scale
        truth[key] = {arm.label: float(mean) for arm, mean in zip(full, mean_M, strict=True)}
        effects = {name: size * scale for name, size in SMALL.items()}
        panels[key] = planted(rng, full, mean_M, seeds=seeds, units=units, **effects)
    for seed in range(seeds):
        for number, arm in enumerate(full):
            name = f"t{number:02}s{seed}"
            row: dict[str, Any] = {"trial": name, "seed": seed, "schedule": arm.schedule}
            row |= {f"mix:{kind}": str(dict(arm.mix).get(kind, 0)) for kind in KINDS}
            row |= {f"axis:{path}": json.dumps(dict(arm.axes)[path])} if path else {}
            trials.append(row | {"cost:queries_per_second": 1000.0 + 10 * number})
            ends = seed == seeds - 1 and number >= len(full) - stopped
            cost = {"trial": name, "status": "stopped" if ends else "finished", "steps": 100 if ends else 500}
            costs.append(cost | {"train_seconds": 20.0 + number + seed, "evaluate_seconds": 0.0 if ends else 5.0})
            if ends:
                continue
            for key, panel in panels.items():
                fixed = {"trial": name, "setting": key[0], "measure": key[1]}
                of = panel.values[number, seed].tolist()
                values += [fixed | {"unit": unit, "value": value} for unit, value in zip(panel.units, of, strict=True)]
            pairs += _pairs(name, number, seed)
    tables = [pa.Table.from_pylist(rows) for rows in (trials, values, pairs, costs)]
    return PlantedStudy(*tables, truth)


def _truth(arm: Arm, key: tuple[str, str], levels: Sequence[Any]) -> float:
    level = dict(arm.axes).get(next(iter(dict(arm.axes)), ""), None)
    base = true_means(arm, key[0])
    if level is None:
        return base
    doublings = float(np.log2(level / levels[0])) if isinstance(level, int) else float(levels.index(level))
    gain = 0.04 if key[0] == "mono" and arm.share("mono") == 1 else 0.02
    return base + doublings * (-20.0 if key[0] == "bias" else gain)


def pair_value(number: int, query: int, passage: int, seed: int) -> float:
    """mAP of an arm between two languages; `passage` is 3 for the pool of all. The mean over seeds 0 to 2 is at seed 1."""
    return 0.3 + 0.01 * number + 0.1 * (query == passage) + 0.02 * query + 0.005 * passage + 0.001 * (seed - 1)


def _pairs(name: str, number: int, seed: int) -> list[dict[str, Any]]:
    rows = []
    for q, query in enumerate(LANGUAGES):
        for p, passage in enumerate([*LANGUAGES, ""]):
            setting = "multi" if not passage else "mono" if p == q else "cross"
            fixed = {"trial": name, "query_language": query, "passage_language": passage, "setting": setting}
            rows.append(fixed | {"measure": "mAP", "value": pair_value(number, q, p, seed)})
    return rows
