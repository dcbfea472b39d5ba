"""Two analyses -> one page: means of each mix side by side, their differences, and which conclusions differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cluster.errors import DataError
from retrieval.analysis.study import MeasureAnalysis, StudyAnalysis
from retrieval.analysis.two_studies import MeasurePair, StudyPair, compare_studies, mix_key
from retrieval.measures.statistics import LEVEL
from retrieval.report.charts import Panels
from retrieval.report.figures import Figure
from retrieval.report.results import Estimate
from retrieval.report.study.claims import VERDICTS, claims
from retrieval.report.study.naming import (
    Names,
    aim,
    arm_name,
    arm_order,
    capitalised,
    condition_name,
    conditions,
    find,
    fine,
    headline_keys,
    measure_of,
    names_of,
    share_text,
)
from retrieval.report.study.row_drawing import Pair, paired_dots
from retrieval.report.study.sheet import with_data
from retrieval.report.table import Cell, Column, Row, Table, estimate_cell, text_cell
from retrieval.report.text import isolated, listed, parts_of, slug


@dataclass(frozen=True)
class ComparedMeasure:
    """One measure of both studies."""

    heading: str
    anchor: str
    findings: list[str]
    """Conclusions that differ; one sentence where none does."""
    panels: Panels
    table: Table


@dataclass(frozen=True)
class ComparisonContents:
    """The page of two studies, not yet written."""

    names: tuple[str, str]
    summary: list[str]
    claims: Table | None
    measures: list[ComparedMeasure]
    alone: list[str]
    swatches: Mapping[str, str] = field(default_factory=dict)
    unseen: frozenset[str] = frozenset()

    def figures(self) -> Iterator[Figure]:
        """Every figure."""
        for one in self.measures:
            yield from one.panels.figures

    def named_tables(self) -> Iterator[tuple[str, Table]]:
        """File name without ending -> table."""
        for one in self.measures:
            yield one.anchor, one.table
        if self.claims:
            yield self.claims.name, self.claims


def gather_comparison(first: StudyAnalysis, second: StudyAnalysis, names: tuple[str, str]) -> ComparisonContents:
    """Make every table, figure and sentence.

    Raises:
        DataError: the studies have no measure in common.
    """
    pair = compare_studies(first, second)
    if not pair.measures:
        raise DataError(
            f"the studies have no measure in common: {names[0]} and {names[1]} have "
            f"{listed(list(pair.without_counterpart))}"
        )
    arms = names_of(mean.arm for study in (first, second) for one in study.measures for mean in one.arms)
    measures = [_measure(one, names, arms, place) for place, one in enumerate(pair.measures, start=1)]
    return ComparisonContents(
        names=names,
        summary=_summary(pair, measures),
        claims=_claims(first, second, names),
        measures=measures,
        alone=list(pair.without_counterpart),
    )


_SAME = "Both studies come to the same conclusions."


def _summary(pair: StudyPair, measures: list[ComparedMeasure]) -> list[str]:
    mixes = {mix_key(one.arm) for measure in pair.measures for one in measure.mixes}
    apart = [
        f"{one.heading} ({sum(mix.differs for mix in found.mixes)} of {len(found.mixes)})"
        for one, found in zip(measures, pair.measures, strict=True)
        if any(mix.differs for mix in found.mixes)
    ]
    other = [one.heading for one in measures if one.findings != [_SAME]]
    return [
        f"{len(mixes)} mixes and {len(measures)} measures are in both studies.",
        f"Means whose difference has an interval without 0: {listed(apart)}." if apart else "No mean differs for sure.",
        f"Conclusions differ in {listed(other)}." if other else "No conclusion about the mixes differs.",
    ]


def _measure(pair: MeasurePair, names: tuple[str, str], arms: Names, place: int) -> ComparedMeasure:
    one, other = pair.first, pair.second
    measure, axes = measure_of(one), _axes(pair)
    heading = f"{aim(one)}{f', {axes}' if axes else ''}"
    anchor = f"m{place}-{slug(one.setting, one.measure)}"
    columns = (*(Column(name) for name in names), Column("difference", meaning=f"{names[1]} minus {names[0]}"))
    rows, pairs, lines = [], [], []
    for mix in sorted(pair.mixes, key=lambda mix: arm_order(mix.arm)):
        difference = Estimate(mean=mix.estimate, low=mix.low, high=mix.high)
        ends = f"{fine(mix.low, measure)} to {fine(mix.high, measure)}"
        cells = [
            estimate_cell(
                Estimate(mean=mean.mean, low=mean.low, high=mean.high),
                "best" if mean.arm.label == of.best else "close" if mean.arm.label in of.flat_region else "",
                measure,
                "",
            )
            for of, mean in ((one, mix.first), (other, mix.second))
        ]
        cells.append(Cell(fine(mix.estimate, measure), mix.estimate, difference, ends))
        rows.append(Row(arm_name(mix.arm), tuple(cells)))
        both = [(mean.mean, mean.low, mean.high) for mean in (mix.first, mix.second)]
        pairs.append(Pair(arms.short(mix.arm), both[0], both[1]))
        lines.append([arm_name(mix.arm), *both[0], *both[1], mix.estimate, mix.low, mix.high])
    header = ["mix", *(f"{name} {what}".strip() for name in names for what in ("mean", "low", "high"))]
    header += ["difference", "difference low", "difference high"]
    said = f"{len(pairs)} mixes in both studies. {' '.join(_conclusions(pair, names))}"
    figure = paired_dots(anchor, capitalised(heading), "".join(parts_of(said)), names, pairs)
    caption = (
        "Means with 95 % intervals of both studies, and the second minus the first. The interval of a difference "
        "takes the studies as independent; where they share queries or seeds it is wider than it need be."
    )
    close = "it may be the best of the mixes of its study (95 % confidence)"
    return ComparedMeasure(
        heading=heading,
        anchor=anchor,
        findings=_conclusions(pair, names),
        panels=Panels(f"Means with 95 % intervals. {arms.caption}", (with_data(figure, header, lines),)),
        table=Table("means", caption, "mix", columns, tuple(rows), close_means=close),
    )


def _axes(pair: MeasurePair) -> str:
    one, other = (condition_name(of.axes) for of in (pair.first, pair.second))
    return one if one == other else " against ".join(text or "no axes" for text in (one, other))


def _conclusions(pair: MeasurePair, names: tuple[str, str]) -> list[str]:
    """What one study says about the mixes that both have and the other does not."""
    both = (pair.first, pair.second)
    sentences = []
    best = [arm_name(next(mean.arm for mean in one.arms if mean.arm.label == one.best)) for one in both]
    if best[0] != best[1]:
        regions = [_region(one) for one in both]
        open_ = best[0] in regions[1] and best[1] in regions[0]
        sure = "; each study leaves room for the other's" if open_ else ""
        sentences.append(
            f"Best mean: {isolated(best[0])} in {isolated(names[0])}, {isolated(best[1])} in "
            f"{isolated(names[1])}{sure}."
        )
    shared = {arm_name(mix.arm) for mix in pair.mixes}
    for one, other, name, rest in ((*both, *names), (both[1], both[0], names[1], names[0])):
        only = sorted((_region(one) - _region(other)) & shared)
        if only:
            sentences.append(
                f"May be the best in {isolated(name)} and not in {isolated(rest)}: "
                f"{listed([isolated(mix) for mix in only])}."
            )
    return sentences + _verdicts(pair, names, shared) + _surfaces(pair, names) or [_SAME]


def _region(one: MeasureAnalysis) -> set[str]:
    return {arm_name(mean.arm) for mean in one.arms if mean.arm.label in one.flat_region}


def _verdicts(pair: MeasurePair, names: tuple[str, str], shared: set[str]) -> list[str]:
    """Comparisons with X-X and X-Y whose verdicts differ."""
    found = []
    for one in (pair.first, pair.second):
        arms = {mean.arm.label: arm_name(mean.arm) for mean in one.arms}
        found.append(
            {
                (arms[each.arm], each.role): "not distinguishable"
                if each.p_holm >= 1 - LEVEL
                else "better"
                if (each.result.estimate > 0) == one.higher_is_better
                else "worse"
                for each in one.compared
                if each.role in ("X-X", "X-Y") and arms[each.arm] in shared
            }
        )
    return [
        f"{isolated(arm)} against {role}: {verdict} in {isolated(names[0])}, {found[1][arm, role]} in "
        f"{isolated(names[1])}."
        for (arm, role), verdict in found[0].items()
        if found[1].get((arm, role), verdict) != verdict
    ]


def _surfaces(pair: MeasurePair, names: tuple[str, str]) -> list[str]:
    """Kinds whose share in the best mix of the surfaces has intervals apart."""
    one, other = pair.first.mixture, pair.second.mixture
    if one is None or other is None:
        return []
    apart = []
    for kind in one.best:
        ours, theirs = one.best_intervals[kind], other.best_intervals.get(kind, one.best_intervals[kind])
        if ours[1] < theirs[0] or theirs[1] < ours[0]:
            texts = [f"{share_text(low)} to {share_text(high)}" for low, high in (ours, theirs)]
            apart.append(f"{kind} {texts[0]} in {isolated(names[0])}, {texts[1]} in {isolated(names[1])}")
    return [f"The best mix of the surface has another share: {listed(apart)}."] if apart else []


def _claims(first: StudyAnalysis, second: StudyAnalysis, names: tuple[str, str]) -> Table | None:
    """Whether the paper's order holds, study by study."""
    rows, found = [], [_claims_of(study) for study in (first, second)]
    for text in dict.fromkeys([*found[0], *found[1]]):
        cells = [text_cell(of.get(text, "–")) for of in found]
        rows.append(Row(text, tuple(cells)))
    if not rows:
        return None
    columns = tuple(Column(name, numeric=False) for name in names)
    return Table(
        "claims", "The order found in arXiv 2408.10536, study by study.", "claim", columns, tuple(rows), wraps=True
    )


def _claims_of(study: StudyAnalysis) -> dict[str, str]:
    made: dict[str, str] = {}
    for axes in conditions(study):
        found = [one for key in headline_keys(study) if (one := find(study, key, axes)) is not None]
        where = f"; {condition_name(axes)}" if axes else ""
        for claim in claims(found, axes):
            made[f"{claim.text}{where}"] = VERDICTS[claim.verdict]
    return made
