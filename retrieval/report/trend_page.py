"""Nights -> one page over all of them: the last verdict, the trend of every arm and setting, and a table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup

from retrieval.report.measures import MAP, RANK_DISTANCE, SETTINGS, Measure, interval, number
from retrieval.report.page import environment, template_file
from retrieval.report.results import Estimate
from retrieval.report.text import slug
from retrieval.report.trend import Point, Series, trend_chart

OUTCOMES = {"first": "first", "good": "good", "regression": "regression"}
Place = tuple[str, str, str]
"""Collection, arm, setting; the setting of rank distance is "bias"."""


@dataclass(frozen=True)
class TrendNight:
    """What the page shows of a night."""

    day: date
    outcome: str
    """first, good or regression."""
    headline: str
    baseline: date | None
    worse: tuple[str, ...]
    """A sentence for each mean that regressed."""
    better: tuple[str, ...]
    missing: tuple[str, ...]
    """What could not be compared."""
    worse_places: frozenset[Place]
    figures: Mapping[Place, Mapping[str, Estimate]]
    """Measure -> estimate, of trained arms and baselines."""
    trained: tuple[str, ...]
    code: str
    """Commit or revision."""
    verdict_link: str
    report_link: str


@dataclass(frozen=True)
class _Part:
    """A collection: its charts, and the figures of the last night."""

    name: str
    anchor: str
    charts: list[Markup]
    columns: list[tuple[str, str]]
    """Heading and what it means."""
    rows: list[tuple[str, list[tuple[str, str]]]]
    """Arm -> number and interval of each column."""


def render_trend(title: str, nights: Sequence[TrendNight]) -> str:
    """The page, complete in itself and without scripts. The same nights give the same bytes.

    Args:
        title: heading of the page.
        nights: the oldest first; at least one.
    """
    arms = _in_order(arm for night in reversed(nights) for arm in night.trained)
    series = [Series(arm, place, ()) for place, arm in enumerate(arms)]
    collections = _in_order(place[0] for night in reversed(nights) for place in night.figures)
    return (
        environment()
        .get_template("trend.html.j2")
        .render(
            title=title,
            nights=list(reversed(nights)),
            last=nights[-1],
            arms=series,
            parts=[_part(name, number_, nights, arms) for number_, name in enumerate(collections, start=1)],
            style=Markup(f"{template_file('report.css')}\n{template_file('trend.css')}"),
            outcomes=OUTCOMES,
        )
    )


def _part(collection: str, number_: int, nights: Sequence[TrendNight], arms: Sequence[str]) -> _Part:
    anchor = f"c{number_}-{slug(collection)}"
    wanted = [(setting, MAP, f"mAP, {name}") for setting, name in SETTINGS.items()]
    wanted.append(("bias", RANK_DISTANCE, "Rank distance (lower is better)"))
    charts, columns = [], []
    for setting, measure, title in wanted:
        series = [
            Series(arm, place, _points((collection, arm, setting), measure, nights)) for place, arm in enumerate(arms)
        ]
        chart = trend_chart(f"{anchor}-{setting}", title, measure, series)
        if chart is not None:
            charts.append(chart)
            heading = measure.label if setting == "bias" else f"{setting} {measure.label}"
            columns.append((setting, measure, heading))
    last = nights[-1]
    names = _in_order(arm for held, arm, _ in last.figures if held == collection)
    return _Part(
        name=collection,
        anchor=anchor,
        charts=charts,
        columns=[(heading, measure.meaning) for _, measure, heading in columns],
        rows=[
            (arm, [_cell(last.figures.get((collection, arm, setting), {}), measure) for setting, measure, _ in columns])
            for arm in names
        ],
    )


def _points(place: Place, measure: Measure, nights: Sequence[TrendNight]) -> list[Point]:
    return [
        Point(night.day, estimate, place in night.worse_places, night.report_link)
        for night in nights
        if (estimate := night.figures.get(place, {}).get(measure.key)) is not None and estimate.mean is not None
    ]


def _cell(figures: Mapping[str, Estimate], measure: Measure) -> tuple[str, str]:
    estimate = figures.get(measure.key, Estimate())
    return number(estimate.mean, measure), interval(estimate, measure)


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
