"""Results -> everything a report holds, made once: the page, the summary and the files are written from it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from cluster.logs import mask_secrets
from retrieval.report import (
    charts,
    findings,
    pair_charts,
    robustness_tables,
    speed_table,
    tables,
    training_charts,
    training_tables,
)
from retrieval.report.charts import Panels
from retrieval.report.figures import Figure
from retrieval.report.inputs import collections_of
from retrieval.report.results import ArmResults, Summary
from retrieval.report.svg import VARIABLES
from retrieval.report.table import Table
from retrieval.report.text import slug

BIAS_CAPTION = (
    "Rank distance: the highest minus the lowest rank of a query's parallel answers in the pool of all languages, as "
    "a mean over queries, then over query languages. Brightest is the largest of the trained arms; baselines may lie "
    "beyond. Own language: its share of the first ten passages, relevant or not."
)
HEADINGS = {
    "per-language": "Languages",
    "worst-pairs": "Weakest pairs",
    "by-training-data": "Languages by training data",
    "perturbations": "Queries in other words",
    "speed": "Speed",
}
"""Table of a collection -> heading over it."""


@dataclass(frozen=True)
class CollectionPart:
    """What is said about one collection."""

    name: str
    anchor: str
    """Unique prefix of its files and of its elements on the page."""
    summary: Summary
    findings: list[str]
    headline: Table
    bars: Panels | None
    pairs: Panels | None
    differences: Panels | None
    bias: Panels | None
    shares: Panels | None
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class TrainingPart:
    """What is said about how the arms were trained."""

    panels: tuple[Panels, ...]
    tables: tuple[Table, ...]
    drawn_pairs: Panels | None


@dataclass(frozen=True)
class Contents:
    """A report, not yet written."""

    title: str
    notes: tuple[str, ...]
    collections: tuple[CollectionPart, ...]
    training: TrainingPart
    arms: Table | None
    facts: Mapping[str, str]
    config: str
    """YAML."""
    limits: list[str]
    gaps: list[str]
    unseen: frozenset[str]
    """Languages that are evaluated and that no arm was trained on."""
    swatches: Mapping[str, str]
    """Arm -> name of its colour's CSS variable."""
    pairs_csv: str
    perturbations_csv: str
    """Empty where no queries were perturbed."""

    def figures(self) -> Iterator[Figure]:
        """Every figure, in the order of the page."""
        for part in self.collections:
            for panels in (part.bars, part.bias, part.shares, part.pairs, part.differences):
                yield from panels.figures if panels else ()
        for panels in (*self.training.panels, self.training.drawn_pairs):
            yield from panels.figures if panels else ()

    def named_tables(self) -> Iterator[tuple[str, Table]]:
        """File name without ending -> table, for every table."""
        for part in self.collections:
            for table in (part.headline, *part.tables):
                yield f"{part.anchor}-{table.name}", table
        for table in (*self.training.tables, *([self.arms] if self.arms else [])):
            yield table.name, table


def gather(
    title: str, config: Mapping[str, Any], results: Sequence[ArmResults], notes: Sequence[str], facts: Mapping[str, str]
) -> Contents:
    """Make every table, figure and sentence of a report."""
    names = collections_of(results)
    return Contents(
        title=title,
        notes=tuple(notes),
        collections=tuple(_collection(results, name, place) for place, name in enumerate(names, start=1)),
        training=_training(results),
        arms=training_tables.arm_facts(results),
        facts=dict(facts),
        config=mask_secrets(yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True, width=100)),
        limits=findings.limits(results),
        gaps=[gap for result in results for gap in result.gaps],
        unseen=frozenset(findings.unseen_languages(results)),
        swatches={name: VARIABLES[colour] for name, colour in charts.colours(results).items()},
        pairs_csv=tables.pairs_csv(results),
        perturbations_csv=robustness_tables.perturbations_csv(results),
    )


def _collection(results: Sequence[ArmResults], name: str, place: int) -> CollectionPart:
    anchor = f"c{place}-{slug(name)}"
    bias = tuple(
        figure
        for figure in (
            charts.rank_distance_bars(results, name, anchor),
            pair_charts.rank_distance_by_language(results, name, anchor),
            pair_charts.own_language_share(results, name, anchor),
        )
        if figure
    )
    more = (
        tables.bias(results, name),
        tables.per_language(results, name),
        tables.worst_pairs(results, name),
        robustness_tables.by_training_data(results, name),
        robustness_tables.perturbations(results, name),
        speed_table.speed(results, name),
    )
    return CollectionPart(
        name=name,
        anchor=anchor,
        summary=next(result.summaries[name] for result in results if name in result.summaries),
        findings=findings.of_collection(results, name),
        headline=tables.headline(results, name),
        bars=charts.settings_bars(results, name, anchor),
        pairs=pair_charts.pairs(results, name, anchor),
        differences=pair_charts.differences(results, name, anchor),
        bias=Panels(BIAS_CAPTION, bias) if bias else None,
        shares=pair_charts.language_shares(results, name, anchor),
        tables=tuple(table for table in more if table),
    )


def _training(results: Sequence[ArmResults]) -> TrainingPart:
    panels = (training_charts.loss_curves(results), training_charts.validation_curves(results))
    made = (
        training_tables.realised_mix(results),
        training_tables.drawn_sources(results),
        training_tables.drawn_languages(results),
    )
    return TrainingPart(
        panels=tuple(one for one in panels if one),
        tables=tuple(table for table in made if table),
        drawn_pairs=training_charts.drawn_pairs(results),
    )


def plain(value: Any) -> Any:
    """Mappings, lists, numbers and text as they are; anything else (a path, a fraction) as its text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, (str, bool, int, float)) else str(value)
