"""A study -> everything its page holds, made once: the page, the summary and the files are written from it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from cluster.logs import mask_secrets
from retrieval.report.charts import Panels
from retrieval.report.contents import plain
from retrieval.report.figures import Figure
from retrieval.report.study import claims, findings, model_tables, tables
from retrieval.report.study.charts import axis_panels, distributions, pareto
from retrieval.report.study.inputs import FINISHED, Study
from retrieval.report.study.naming import Key, aim, capitalised, condition_name
from retrieval.report.study.pair_maps import pair_maps
from retrieval.report.study.surface_charts import surface_figure
from retrieval.report.table import Table
from retrieval.report.text import listed, slug

SURFACE_CAPTIONS = {
    "map": "Discs are the mixes that were trained, in the colour of their mean; the surface is fitted to them. "
    "Brighter is better. A thick ring: may be the best of these mixes. The four strokes point at the best of the "
    "surface. ",
    "curve": "Discs are means, with 95 % intervals over queries and seeds; strokes are single seeds; filled: may be "
    "the best of these mixes. The curve is fitted to the means, with its 95 % band. The diamond marks its best "
    "share, the bar beside it the interval of that. ",
    "rows": "Means with 95 % intervals over queries and seeds; strokes are single seeds; filled: may be the best of "
    "these mixes. ",
}


@dataclass(frozen=True)
class Part:
    """What is shown under one combination of the axes."""

    name: str
    """The combination in words; empty where there are no axes."""
    anchor: str
    summary: list[str]
    means: Table
    surfaces: Panels
    surface_findings: list[str]
    front: Table | None
    pareto: Panels | None
    bias: Panels | None
    pairs: Panels | None
    more_pairs: Panels | None
    sensitivity: list[str]
    other_means: Table | None
    other_surfaces: Panels | None
    comparisons: list[tuple[str, Table]]
    """Heading -> table."""
    coefficients: list[tuple[str, Table]]


@dataclass(frozen=True)
class AxisPart:
    """What is shown about one axis."""

    name: str
    findings: list[str]
    panels: Panels | None
    slopes: Table | None


@dataclass(frozen=True)
class StudyContents:
    """The page of a study, not yet written."""

    title: str
    counts: str
    claims: Table | None
    parts: list[Part]
    models: Table | None
    axes: list[AxisPart]
    best: Table | None
    """The best mix under each combination of the axes; None where there is one combination."""
    limits: list[str]
    trials: Table
    config: str
    """YAML."""
    swatches: Mapping[str, str] = field(default_factory=dict)
    unseen: frozenset[str] = frozenset()

    def figures(self) -> Iterator[Figure]:
        """Every figure."""
        of_parts = [
            panels
            for part in self.parts
            for panels in (part.surfaces, part.other_surfaces, part.pareto, part.bias, part.pairs, part.more_pairs)
        ]
        for panels in (*of_parts, *(axis.panels for axis in self.axes)):
            yield from panels.figures if panels else ()

    def named_tables(self) -> Iterator[tuple[str, Table]]:
        """File name without ending -> table."""
        for part in self.parts:
            for table in (part.means, part.other_means, part.front):
                if table:
                    yield f"{part.anchor}-{table.name}", table
            for heading, table in (*part.comparisons, *part.coefficients):
                yield f"{part.anchor}-{table.name}-{slug(heading)}", table
        for table in (self.best, self.claims, self.models, *(axis.slopes for axis in self.axes), self.trials):
            if table:
                yield table.name, table


def gather(title: str, config: Mapping[str, Any], study: Study) -> StudyContents:
    """Make every table, figure and sentence."""
    with_axes = len(study.conditions) > 1
    found = [claim for axes in study.conditions for claim in claims.claims(study.headline_under(axes), axes)]
    axes = list(dict.fromkeys(path for one in study.conditions for path in one))
    varying = [path for path in axes if len({repr(one.get(path)) for one in study.conditions}) > 1]
    return StudyContents(
        title=title,
        counts=_counts(study),
        claims=tables.claims(found, with_axes),
        best=tables.best_by_condition(study) if with_axes else None,
        parts=[_part(study, axes, f"p{place}", with_axes) for place, axes in enumerate(study.conditions, start=1)],
        models=model_tables.models(study.analysis.measures, with_axes),
        axes=[
            AxisPart(
                name=path,
                findings=findings.axis_findings(study, path),
                panels=axis_panels(study, path, f"axis-{place}-{slug(path)}"),
                slopes=model_tables.axis_slopes(study.analysis, path),
            )
            for place, path in enumerate(varying, start=1)
        ],
        limits=findings.limits(study),
        trials=tables.trials(study),
        config=mask_secrets(yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True, width=100)),
    )


def _counts(study: Study) -> str:
    seeds = sorted({row["seed"] for row in study.rows.values()})
    units = max(one.num_units for one in study.analysis.measures)
    stopped = sum(row["status"] != FINISHED for row in study.cost_rows.values())
    counts = [
        f"{len(study.names.short_of)} mixes of {listed(list(study.names.kinds))}",
        f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}",
        *([f"{len(study.conditions)} combinations of other settings"] if len(study.conditions) > 1 else []),
        f"{study.num_trials} trials{f', {stopped} of them stopped early' if stopped else ''}",
        f"{units:,} queries",
    ]
    return " · ".join(counts)


def _part(study: Study, axes: Mapping[str, Any], anchor: str, with_axes: bool) -> Part:
    found = study.headline_under(axes)
    others = [one for key in study.others if (one := study.found(key, axes)) is not None]
    everything = [*found, *others]
    front = next((one for one in study.analysis.fronts if one.axes == axes and not one.with_costs), None)
    bias = ("bias", "rank_distance")
    spread = distributions(study, bias, axes, f"{anchor}-distribution") if bias in study.headline else None
    pairs, more_pairs = pair_maps(study, axes, anchor)
    compared = [(aim(one), tables.comparisons(one)) for one in everything]
    fitted = [(aim(one), model_tables.coefficients(one)) for one in found]
    return Part(
        name=condition_name(axes) if with_axes else "",
        anchor=anchor,
        summary=findings.summary(study, axes),
        means=tables.means(found, _MEANS),
        surfaces=_surfaces(study, [(one.setting, one.measure) for one in found], axes, anchor),
        surface_findings=findings.surfaces(found),
        front=tables.front(study, axes, with_costs=False),
        pareto=pareto(front, study.arms, study.names, anchor) if front else None,
        bias=Panels(f"{_DISTRIBUTION} {study.names.caption}", (spread,)) if spread else None,
        pairs=pairs,
        more_pairs=more_pairs,
        sensitivity=findings.sensitivity(study, axes),
        other_means=tables.means(others, _MEANS, "other-means") if others else None,
        other_surfaces=_surfaces(study, study.others, axes, anchor) if others else None,
        comparisons=[(heading, table) for heading, table in compared if table],
        coefficients=[(heading, table) for heading, table in fitted if table],
    )


_MEANS = "Means of every mix with 95 % intervals over queries and seeds."
_DISTRIBUTION = (
    "How far apart the parallel answers of single queries are ranked, means over seeds: the line holds 90 % of the "
    "queries, the box the middle half, the stroke is the median and the disc the mean. Less is better."
)


def _surfaces(study: Study, keys: list[Key], axes: Mapping[str, Any], anchor: str) -> Panels:
    figures, forms = [], []
    for key in keys:
        one = study.found(key, axes)
        if one is not None:
            title = f"{capitalised(aim(one))}{'' if one.higher_is_better else ' (less is better)'}"
            figures.append(surface_figure(one, study.names, f"{anchor}-surface-{slug(*key)}", title))
            forms.append(form_of(figures[-1]))
    said = "".join(SURFACE_CAPTIONS[form] for form in dict.fromkeys(forms))
    return Panels(f"{said}{study.names.caption if 'rows' in forms else ''}".strip(), tuple(figures))


def form_of(figure: Figure) -> str:
    """map, curve or rows: what kind of figure a surface was drawn as, by the numbers in it."""
    header, _, rest = figure.csv.partition("\n")
    if not header.startswith("what"):
        return "rows"
    return "map" if rest.startswith("surface") else "curve"
