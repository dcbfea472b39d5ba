"""The tables of a study -> checked and arranged for its report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.errors import DataError
from retrieval.analysis.observations import Arm, Panel, arm_of, panel_of
from retrieval.analysis.study import MeasureAnalysis, StudyAnalysis
from retrieval.report.study.naming import Key, Names, arm_order, conditions, find, headline_keys, keys_of, names_of

PAIRS = ("trial", "query_language", "passage_language", "setting", "measure", "value")
COSTS = ("trial", "status", "steps", "train_seconds", "evaluate_seconds")
FINISHED = "finished"
PAIR_SETTINGS = ("mono", "cross", "multi")
POOL = ""
"""Passage language of the pool of all languages."""


@dataclass(frozen=True)
class Study:
    """A study that is to be reported."""

    trials: pa.Table
    values: pa.Table
    pairs: pa.Table
    costs: pa.Table
    analysis: StudyAnalysis

    @cached_property
    def names(self) -> Names:
        """Names of all arms."""
        return names_of(one.arm for measure in self.analysis.measures for one in measure.arms)

    @cached_property
    def conditions(self) -> list[dict[str, Any]]:
        """Combinations of the axes; one empty one where there are no axes."""
        return conditions(self.analysis)

    @cached_property
    def headline(self) -> list[Key]:
        """One measure for each setting."""
        return headline_keys(self.analysis)

    @cached_property
    def others(self) -> list[Key]:
        """All other measures."""
        return [key for key in keys_of(self.analysis) if key not in self.headline]

    @cached_property
    def rows(self) -> dict[str, dict[str, Any]]:
        """Row of each trial."""
        return {row["trial"]: row for row in self.trials.to_pylist()}

    @cached_property
    def cost_rows(self) -> dict[str, dict[str, Any]]:
        """Costs of each trial."""
        return {row["trial"]: row for row in self.costs.to_pylist()}

    def trials_in_order(self) -> list[tuple[str, dict[str, Any]]]:
        """Trials and their rows, by axes, mix and seed."""

        def order(one: tuple[str, dict[str, Any]]) -> Any:
            arm = arm_of(one[1])
            return [str(value) for _, value in arm.axes], arm_order(arm), one[1]["seed"]

        return sorted(self.rows.items(), key=order)

    @cached_property
    def num_trials(self) -> int:
        """Trials that were started: stopped ones may have costs alone."""
        return len(self.rows.keys() | self.cost_rows.keys())

    @property
    def costs_in_order(self) -> list[tuple[str, dict[str, Any]]]:
        """Trials and their costs, in the same order; trials that the table of trials does not have come last."""
        known = [name for name, _ in self.trials_in_order() if name in self.cost_rows]
        rest = [name for name in self.cost_rows if name not in self.rows]
        return [(name, self.cost_rows[name]) for name in (*known, *rest)]

    @cached_property
    def _panels(self) -> dict[Key, Panel]:
        return {key: panel_of(self.trials, self.values, *key) for key in keys_of(self.analysis)}

    def whole_panel(self, key: Key) -> Panel:
        """The values of a measure under all combinations of the axes."""
        return self._panels[key]

    @cached_property
    def arms(self) -> dict[str, Arm]:
        """Label of every arm in the analysis -> the arm."""
        return {mean.arm.label: mean.arm for one in self.analysis.measures for mean in one.arms}

    def panel(self, key: Key, axes: Mapping[str, Any]) -> Panel:
        """The values behind one analysis."""
        return self._panels[key].where(axes)

    def example(self, key: Key) -> MeasureAnalysis:
        """A measure under the first combination of the axes that it was analysed under."""
        return next(one for one in self.analysis.measures if (one.setting, one.measure) == key)

    def found(self, key: Key, axes: Mapping[str, Any]) -> MeasureAnalysis | None:
        """One measure under one combination of the axes."""
        return find(self.analysis, key, axes)

    def headline_under(self, axes: Mapping[str, Any]) -> list[MeasureAnalysis]:
        """The analyses of the headline measures under one combination of the axes."""
        found = (self.found(key, axes) for key in self.headline)
        return [one for one in found if one is not None]

    @cached_property
    def languages(self) -> list[str]:
        """Languages of queries and passages, sorted."""
        found = {*self.pairs["query_language"].to_pylist(), *self.pairs["passage_language"].to_pylist()}
        return sorted(language for language in found if language != POOL)

    def pair_means(self, measure: str, axes: Mapping[str, Any], key: Key) -> list[tuple[Arm, np.ndarray]]:
        """Each arm of a panel and its means over seeds, (L, L + 1): the pool of all languages last; NaN: not judged."""
        panel, shape = self.panel(key, axes), (len(self.languages), len(self.languages) + 1)
        by_trial = self._pair_matrices(measure)
        missing = np.full(shape, np.nan)
        return [
            (arm, np.mean([by_trial.get(trial, missing) for trial in names], axis=0))
            for arm, names in zip(panel.arms, panel.trials, strict=True)
        ]

    def _pair_matrices(self, measure: str) -> dict[str, np.ndarray]:
        place = {language: number for number, language in enumerate([*self.languages, POOL])}
        table = self.pairs
        wanted = pc.and_(pc.equal(table["measure"], measure), pc.is_in(table["setting"], pa.array(PAIR_SETTINGS)))
        found: dict[str, np.ndarray] = {}
        for row in table.filter(wanted).to_pylist():
            empty = np.full((len(self.languages), len(place)), np.nan)
            matrix = found.setdefault(row["trial"], empty)
            matrix[place[row["query_language"]], place[row["passage_language"]]] = row["value"]
        return found


def checked(trials: pa.Table, values: pa.Table, pairs: pa.Table, costs: pa.Table, analysis: StudyAnalysis) -> Study:
    """The study, if its tables have what a report needs.

    Raises:
        DataError: a table lacks a column, speaks of an unknown trial, or has no values of an analysed measure.
    """
    for name, table, wanted in (("pairs", pairs, PAIRS), ("costs", costs, COSTS)):
        _require(name, table, wanted)
    unknown = set(pairs["trial"].to_pylist()) - set(trials["trial"].to_pylist())
    if unknown:
        raise DataError(f"pairs: trial {min(unknown)} is not in the table of trials")
    if not analysis.measures:
        raise DataError("analysis: it has no measures, so there is nothing to report; analyse one measure or more")
    study = Study(trials, values, pairs, costs, analysis)
    for key in keys_of(analysis):
        for axes in study.conditions:
            found = study.found(key, axes)
            arms = tuple(one.arm for one in found.arms) if found else ()
            if found and arms != study.panel(key, axes).arms:
                what = f"{key[1]} in setting '{key[0]}'"
                raise DataError(f"analysis: its arms for {what} are not those of values; analyse these values")
    return study


def _require(name: str, table: pa.Table, wanted: Sequence[str]) -> None:
    missing = [column for column in wanted if column not in table.column_names]
    if missing:
        raise DataError(f"{name}: no column '{missing[0]}'; has {', '.join(table.column_names) or 'none'}")
