"""Values of many nights -> line charts, drawn as SVG by hand: their points are links, and they follow the page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup, escape

from retrieval.report.measures import Measure, interval, number
from retrieval.report.results import Estimate
from retrieval.report.svg import SERIES, VARIABLES
from retrieval.report.text import label, visible

WIDTH, HEIGHT = 348, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 12, 30, 26
_MOST_DATES = 5
_SMALL_MARKS_ABOVE = 40
_DASHES = ("", "6 2", "2 2", "7 2 2 2", "9 3", "4 1 1 1")


@dataclass(frozen=True)
class Point:
    """A night's value."""

    day: date
    estimate: Estimate
    worse: bool
    """Whether it was found worse than the night it was compared with."""
    link: str
    """Where the point leads; empty for nowhere."""


@dataclass(frozen=True)
class Series:
    """The values of one arm."""

    name: str
    place: int
    """Number of the arm: chooses colour and dashes."""
    points: Sequence[Point]

    @property
    def colour(self) -> str:
        """CSS variable of its colour."""
        return VARIABLES[SERIES[self.place % len(SERIES)]]

    @property
    def dashes(self) -> str:
        """Dashes of its line, so that colour is never the only difference; empty for a solid one."""
        return _DASHES[self.place % len(_DASHES)]


@dataclass(frozen=True)
class _Scale:
    """Days and values -> places in the chart."""

    first: date
    days: int
    low: float
    high: float

    def x(self, day: date) -> float:
        inner = WIDTH - _LEFT - _RIGHT
        return _LEFT + inner * ((day - self.first).days / self.days if self.days else 0.5)

    def y(self, value: float) -> float:
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (self.high - value) / (self.high - self.low)


def trend_chart(name: str, title: str, measure: Measure, series: Sequence[Series]) -> Markup | None:
    """One measure over nights: a line and a band of 95 % intervals an arm; nights that were worse are ringed.

    Args:
        name: prefix of its ids, unique on the page.
        title: what it shows, in a few words.
        measure: says how values are written.
        series: an arm each; those without values are left out.

    Returns:
        The SVG, or None where there is no value.
    """
    shown = [one for one in series if any(point.estimate.mean is not None for point in one.points)]
    if not shown:
        return None
    scale, ticks = _scale(shown)
    parts = [
        Markup(
            '<svg viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="group" aria-labelledby="{n}-title {n}-desc">'
            '<title id="{n}-title">{title}</title><desc id="{n}-desc">{desc}</desc>'
            '<text x="2" y="14" class="heading">{title}</text>'
        ).format(w=WIDTH, h=HEIGHT, n=name, title=visible(title), desc=_description(shown, measure))
    ]
    parts += [_grid(scale.y(tick), number(tick, measure)) for tick in ticks]
    parts += [_date(scale, day) for day in _dates(shown)]
    parts += [_band(scale, one) for one in shown]
    parts += [_line(scale, one) for one in shown]
    parts += [_marks(scale, one, measure) for one in shown]
    return Markup("").join([*parts, Markup("</svg>")])


def _scale(series: Sequence[Series]) -> tuple[_Scale, list[float]]:
    """Axes that hold every value and interval, and where their lines are."""
    days = [point.day for one in series for point in one.points]
    estimates = [point.estimate for one in series for point in one.points]
    ends = [end for one in estimates for end in (one.mean, one.low, one.high) if end is not None]
    ticks = nice_ticks(min(ends), max(ends))
    return _Scale(min(days), (max(days) - min(days)).days, ticks[0], ticks[-1]), ticks


def nice_ticks(low: float, high: float) -> list[float]:
    """Round numbers, 3 to 7 of them and evenly spaced, from at most `low` to at least `high`."""
    span = max(high - low, abs(high) * 1e-3, 1e-3)
    size = 10.0 ** math.floor(math.log10(span / 4))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor * 4 >= span)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 2)
    return [place * step for place in range(first, last + 1)]


def _description(series: Sequence[Series], measure: Measure) -> str:
    said = []
    for one in series:
        values = [(point.day, point.estimate.mean) for point in one.points if point.estimate.mean is not None]
        (first, start), (last, end) = values[0], values[-1]
        until = f", {number(end, measure)} on {last}" if last != first else ""
        said.append(f"{label(one.name)}: {number(start, measure)} on {first}{until}")
    return f"{'; '.join(said)}."


def _grid(y: float, text: str) -> Markup:
    return Markup(
        '<path d="M{left} {y:.1f}H{right}" class="grid"/><text x="{at}" y="{below:.1f}" class="value">{text}</text>'
    ).format(left=_LEFT, y=y, right=WIDTH - _RIGHT, at=_LEFT - 6, below=y + 3.2, text=text)


def _dates(series: Sequence[Series]) -> list[date]:
    """A few of the nights, evenly among them, the first and the last included."""
    days = sorted({point.day for one in series for point in one.points})
    number_shown = min(len(days), _MOST_DATES)
    steps = max(number_shown - 1, 1)
    return [days[round(place * (len(days) - 1) / steps)] for place in range(number_shown)]


def _date(scale: _Scale, day: date) -> Markup:
    x = scale.x(day)
    anchor = "start" if x < _LEFT + 10 else "end" if x > WIDTH - _RIGHT - 10 else "middle"
    if not scale.days:
        anchor = "middle"
    return Markup('<text x="{x:.1f}" y="{y}" class="day" text-anchor="{anchor}">{text}</text>').format(
        x=x, y=HEIGHT - 8, anchor=anchor, text=f"{day.day} {day:%b}"
    )


def _band(scale: _Scale, series: Series) -> Markup:
    """The intervals of neighbouring nights, joined; a single night's is a line."""
    found = [
        (scale.x(point.day), scale.y(point.estimate.high), scale.y(point.estimate.low))
        for point in series.points
        if point.estimate.low is not None and point.estimate.high is not None
    ]
    if len(found) == 1:
        x, top, bottom = found[0]
        return Markup('<path d="M{:.1f} {:.1f}V{:.1f}" class="whisker" style="stroke:var(--{})"/>').format(
            x, top, bottom, series.colour
        )
    corners = [(x, top) for x, top, _ in found] + [(x, bottom) for x, _, bottom in reversed(found)]
    if not corners:
        return Markup("")
    return Markup('<path d="M{}z" class="band" style="fill:var(--{})"/>').format(_path(corners), series.colour)


def _line(scale: _Scale, series: Series) -> Markup:
    places = [
        (scale.x(point.day), scale.y(point.estimate.mean)) for point in series.points if point.estimate.mean is not None
    ]
    return Markup('<path d="M{}" class="line" style="stroke:var(--{});stroke-dasharray:{}"/>').format(
        _path(places), series.colour, series.dashes or "none"
    )


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def _marks(scale: _Scale, series: Series, measure: Measure) -> Markup:
    radius = 2.8 if len(series.points) <= _SMALL_MARKS_ABOVE else 1.6
    return Markup("").join(_mark(scale, series, point, measure, radius) for point in series.points)


def _mark(scale: _Scale, series: Series, point: Point, measure: Measure, radius: float) -> Markup:
    if point.estimate.mean is None:
        return Markup("")
    x, y = f"{scale.x(point.day):.1f}", f"{scale.y(point.estimate.mean):.1f}"
    ends = interval(point.estimate, measure)
    said = f"{point.day}, {label(series.name)}: {number(point.estimate.mean, measure)}"
    said += (f" ({ends})" if ends else "") + (", worse than before" if point.worse else "")
    ring = Markup('<circle cx="{}" cy="{}" r="6" class="worse"/>').format(x, y) if point.worse else ""
    dot = Markup('<circle cx="{}" cy="{}" r="{}" style="fill:var(--{})"><title>{}</title></circle>').format(
        x, y, radius, series.colour, said
    )
    mark = escape(ring) + dot
    return Markup('<a href="{}">{}</a>').format(point.link, mark) if point.link else mark
