"""Tables of trials and of their values per query -> a panel: arms x seeds x units, complete and in order.

Shape letters of this package: M arms (a mix under one combination of the axes), S seeds, I units (query ids, or
language pairs), B resamples, K kinds of batches, P points of the simplex, T terms of a model.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.documents import parse_json
from cluster.errors import DataError
from retrieval.measures.comparison import keyed_values, strata_and_ids
from retrieval.measures.statistics import Design, contributions, stratum_means

MIX, AXIS, COST = "mix:", "axis:", "cost:"
LOWER_IS_BETTER = ("rank_distance",)
XX, XY = (("mono", Fraction(1)),), (("cross", Fraction(1)),)


@dataclass(frozen=True)
class Arm:
    """What trials with different seeds have in common."""

    mix: tuple[tuple[str, Fraction], ...]
    """Kinds with a share, and their shares over the whole training."""
    axes: tuple[tuple[str, Any], ...] = ()
    """Path of each axis and its value."""
    schedule: str = ""
    """The mix as a list of steps where it changes over training, else nothing."""

    @property
    def label(self) -> str:
        """`mono 1/2, cross 1/2; training.steps 500`; a mix that changes names its steps, and so is told from others."""
        mix = ", ".join(f"{kind} {share}" for kind, share in self.mix)
        changing = f"{mix}, changing ({schedule_text(self.schedule)})"
        return "; ".join([changing if self.schedule else mix, *(f"{path} {v}" for path, v in self.axes)])

    def share(self, kind: str) -> float:
        """Share of a kind of batches."""
        return float(dict(self.mix).get(kind, 0))


@dataclass(frozen=True)
class Panel:
    """Values of one measure in one setting: every arm with every seed on every unit."""

    setting: str
    measure: str
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    units: tuple[str, ...]
    values: np.ndarray
    """(M, S, I); their mean over units is the macro mean."""
    trials: tuple[tuple[str, ...], ...]
    """Names of the trials, by arm and seed."""
    left_out: tuple[str, ...] = ()
    """Trials that are not in the panel, for their arm lacks a seed or their seed an arm."""

    @property
    def higher_is_better(self) -> bool:
        """False for rank distance."""
        return self.measure not in LOWER_IS_BETTER

    @property
    def means(self) -> np.ndarray:
        """Mean of each arm over seeds and units, (M)."""
        return self.values.mean(axis=(1, 2))

    @property
    def best(self) -> int:
        """Number of the arm with the best mean."""
        return int(np.argmax(self.means if self.higher_is_better else -self.means))

    @property
    def axes(self) -> dict[str, list[Any]]:
        """Path of each axis -> its values, in order of appearance."""
        found: dict[str, dict[str, Any]] = defaultdict(dict)
        for arm in self.arms:
            for path, value in arm.axes:
                found[path].setdefault(json.dumps(value, sort_keys=True), value)
        return {path: list(values.values()) for path, values in found.items()}

    def where(self, axes: Mapping[str, Any]) -> "Panel":
        """The arms whose axes have these values."""
        return self.only(
            number
            for number, arm in enumerate(self.arms)
            if all(dict(arm.axes).get(path) == value for path, value in axes.items())
        )

    def only(self, numbers: Iterable[int]) -> "Panel":
        """The arms with these numbers, in this order."""
        chosen = list(numbers)
        return replace(
            self,
            arms=tuple(self.arms[number] for number in chosen),
            values=self.values[chosen],
            trials=tuple(self.trials[number] for number in chosen),
        )


def schedule_text(schedule: str) -> str:
    """A schedule in words: `step 0 mono 1, step 500 mono 1/2 cross 1/2`.

    Args:
        schedule: a JSON list of objects with a `step` and the shares from there on; or any other text, kept as it is.
    """
    try:
        knots = [dict(knot) for knot in parse_json(schedule)]
    except (TypeError, ValueError):
        return schedule
    return ", ".join(
        " ".join(["step", str(knot.pop("step", 0)), *(f"{kind} {s}" for kind, s in knot.items() if str(s) != "0")])
        for knot in knots
    )


def query_values(per_query: pa.Table, measures: Iterable[str], setting: str) -> pa.Table:
    """The per-query table of one evaluation as rows (setting, measure, unit, value), one for each query id.

    A query id has values in several (query language, pool). It counts with its influence on the macro mean m (Hampel
    1974): m + I * the sum over its values of (value - mean of the stratum) / (values in the stratum * strata). So the
    mean over the I ids is the macro mean, and resampling them is resampling queries. With the same ids in all strata it
    is the mean of the id's values.

    Raises:
        DataError: no such measure or setting.
    """
    parts = []
    for measure in measures:
        value_n, keys = keyed_values(per_query, measure, setting, "evaluation")
        names = keys["query_id"].combine_chunks().dictionary_encode().dictionary
        value_I = influence(value_n, strata_and_ids(keys))
        fixed = {"setting": setting, "measure": measure}
        parts.append(
            pa.table({name: pa.array([text] * len(value_I)) for name, text in fixed.items()})
            .append_column("unit", names)
            .append_column("value", pa.array(value_I))
        )
    return pa.concat_tables(parts)


def influence(value_n: np.ndarray, design: Design) -> np.ndarray:
    """Influence of each id on the macro mean, plus the macro mean; (I) float64."""
    mean_S = stratum_means(value_n, design)
    return contributions(value_n - mean_S[design.stratum_n], design) + mean_S.mean()


def panel_of(trials: pa.Table, values: pa.Table, setting: str, measure: str) -> Panel:
    """Arrange the values of one measure in one setting.

    Args:
        trials: one row per trial: `trial`, `seed`, `mix:<kind>` (exact shares as text, "1/3"), perhaps `schedule`,
            `axis:<path>` (JSON text) and `cost:<name>` (numbers).
        values: one row per trial and unit: `trial`, `setting`, `measure`, `unit`, `value`.
        setting: "mono", "cross", "multi" or "bias".
        measure: such as "mAP".

    Returns:
        The largest complete part: arms that have all of a set of seeds, with the most trials (of those, the most arms).

    Raises:
        DataError: no values, a trial without a row, a trial that was judged on other units, a value twice or not
            finite.
    """
    chosen = values.filter(pc.and_(pc.equal(values["setting"], setting), pc.equal(values["measure"], measure)))
    if not chosen.num_rows:
        raise DataError(f"values: none of {measure} in setting '{setting}'")
    value_TI, names, units = _matrix(chosen, f"{measure} in setting '{setting}'")
    row_of = {row["trial"]: row for row in trials.to_pylist()}
    by_arm: dict[str, tuple[Arm, dict[int, int]]] = {}
    for number, name in enumerate(names):
        if name not in row_of:
            raise DataError(f"values: trial {name} is not in the table of trials")
        arm = arm_of(row_of[name])
        known = by_arm.setdefault(repr(arm), (arm, {}))[1]
        if row_of[name]["seed"] in known:
            raise DataError(f"trials: {name} and {names[known[row_of[name]['seed']]]} have the same arm and seed")
        known[row_of[name]["seed"]] = number
    seeds, kept = _largest_complete([known for _, known in by_arm.values()])
    numbers = [[known[seed] for seed in seeds] for arm, known in by_arm.values() if set(seeds) <= known.keys()]
    used = {number for row in numbers for number in row}
    return Panel(
        setting=setting,
        measure=measure,
        arms=tuple(arm for (arm, _), keep in zip(by_arm.values(), kept, strict=True) if keep),
        seeds=tuple(seeds),
        units=tuple(units),
        values=value_TI[np.array(numbers)],
        trials=tuple(tuple(names[number] for number in row) for row in numbers),
        left_out=tuple(name for number, name in enumerate(names) if number not in used),
    )


def _matrix(rows: pa.Table, what: str) -> tuple[np.ndarray, list[str], list[str]]:
    """Values by trial (as they come) and unit (sorted)."""
    trial, unit = (rows[name].combine_chunks().dictionary_encode() for name in ("trial", "unit"))
    names, units = trial.dictionary.to_pylist(), unit.dictionary.to_pylist()
    value_TI = np.full((len(names), len(units)), np.nan)
    cell = trial.indices.to_numpy() * len(units) + unit.indices.to_numpy()
    if len(np.unique(cell)) < len(cell):
        raise DataError(f"values: {what} stands twice for the same trial and unit")
    value_TI.reshape(-1)[cell] = rows["value"].to_numpy()
    bad = ~np.isfinite(value_TI)
    if bad.any():
        number, place = np.argwhere(bad)[0]
        raise DataError(
            f"values: trial {names[number]} has no finite {what} for unit '{units[place]}' and others have; "
            "judge all trials on the same collection"
        )
    order = np.argsort(np.array(units, dtype=object))
    return value_TI[:, order], names, [units[place] for place in order]


def arm_of(row: Mapping[str, Any]) -> Arm:
    """The arm of a trial, from its row in the table of trials."""
    shares = {name.removeprefix(MIX): Fraction(text) for name, text in row.items() if name.startswith(MIX) and text}
    axes = {name.removeprefix(AXIS): parse_json(text) for name, text in row.items() if name.startswith(AXIS) and text}
    mix = tuple((kind, share) for kind, share in shares.items() if share)
    return Arm(mix, tuple(axes.items()), row.get("schedule") or "")


def _largest_complete(seeds_of: list[dict[int, int]]) -> tuple[list[int], list[bool]]:
    """The set of seeds, held by some arm, that makes the most trials with the arms that have all of them."""
    candidates = {tuple(sorted(known)) for known in seeds_of}
    # An intersection can be better than any arm's own set.
    candidates |= {tuple(sorted(set(one) & set(other))) for one in candidates for other in candidates} - {()}

    def worth(seeds: tuple[int, ...]) -> tuple[int, int, tuple[int, ...]]:
        arms = sum(set(seeds) <= known.keys() for known in seeds_of)
        return len(seeds) * arms, arms, tuple(-seed for seed in seeds)

    best = max(candidates, key=worth)
    return list(best), [set(best) <= known.keys() for known in seeds_of]


def mean_costs(trials: pa.Table, panel: Panel) -> dict[str, list[float | None]]:
    """Name of each cost -> its mean over the trials of each arm; None where a trial has none."""
    row_of = {row["trial"]: row for row in trials.to_pylist()}
    costs = [name for name in trials.column_names if name.startswith(COST)]
    found: dict[str, list[float | None]] = {}
    for name in costs:
        of_arms = [[row_of[trial][name] for trial in of_arm] for of_arm in panel.trials]
        found[name.removeprefix(COST)] = [None if None in of else float(np.mean(of)) for of in of_arms]
    return found
