"""Numbers -> figures with a row for each mix or trial: means, distributions, times."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from retrieval.report.figures import WIDTH, Figure, blank_axes, finished, styled
from retrieval.report.svg import INK, MUTED, PAPER, RULE, SERIES
from retrieval.report.text import columns, label

_MOST_NAME = 20


@dataclass(frozen=True)
class Dot:
    """A mean with its interval and its seeds."""

    name: str
    colour: str
    mean: float
    low: float
    high: float
    by_seed: Sequence[float]
    flat: bool
    """Whether it is not distinguishable from the best."""


@styled
def dots(name: str, title: str, description: str, rows: Sequence[Dot]) -> Figure:
    """Means with 95 % intervals, filled where not distinguishable from the best; strokes are seeds."""
    canvas, axes = _axes_with_rows(title, [row.name for row in rows], 18)
    for place, row in enumerate(rows):
        axes.plot([row.low, row.high], [place, place], color=row.colour, linewidth=1.4)
        axes.plot(row.by_seed, [place] * len(row.by_seed), "|", color=MUTED, markersize=8, markeredgewidth=1)
        face = row.colour if row.flat else PAPER
        axes.plot(
            [row.mean],
            [place],
            "o",
            color=row.colour,
            markersize=6,
            markeredgewidth=1.3,
            markerfacecolor=face,
            zorder=3,
        )
    return finished(canvas, name, title, description)


@dataclass(frozen=True)
class Box:
    """A distribution."""

    name: str
    colour: str
    quantiles: tuple[float, float, float, float, float]
    """5, 25, 50, 75 and 95 %."""
    mean: float


@styled
def boxes(name: str, title: str, description: str, rows: Sequence[Box]) -> Figure:
    """Distributions: a line from 5 to 95 %, a box over the middle half with the median, a disc at the mean."""
    canvas, axes = _axes_with_rows(title, [row.name for row in rows], 22)
    for place, row in enumerate(rows):
        q05, q25, q50, q75, q95 = row.quantiles
        axes.plot([q05, q95], [place, place], color=row.colour, linewidth=1.3)
        axes.barh(place, q75 - q25, left=q25, height=0.56, color=PAPER, edgecolor=row.colour, linewidth=1.3, zorder=2)
        axes.plot([q50, q50], [place - 0.28, place + 0.28], color=row.colour, linewidth=2.2, zorder=3)
        axes.plot([row.mean], [place], "o", color=row.colour, markersize=4.6, zorder=4)
    return finished(canvas, name, title, description)


@dataclass(frozen=True)
class Parts:
    """A bar made of parts."""

    name: str
    values: Sequence[float]
    text: str
    pale: bool
    """Whether it is drawn faint: a trial that was stopped."""


@styled
def stacked_bars(name: str, title: str, description: str, parts: Sequence[str], rows: Sequence[Parts]) -> Figure:
    """Bars of parts, with a legend above and the sum beside each."""
    canvas, axes = _axes_with_rows(title, [row.name for row in rows], 18, top=50)
    handles = [axes.barh([0], [0], color=SERIES[number]) for number in range(len(parts))]
    widest = max([sum(row.values) for row in rows if row.values], default=1.0) or 1.0
    for place, row in enumerate(rows):
        start = 0.0
        for number, value in enumerate(row.values):
            axes.barh(
                place, value, left=start, height=0.66, color=SERIES[number], linewidth=0, alpha=0.45 if row.pale else 1
            )
            start += value
        axes.annotate(row.text, (start, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_xlim(0, widest * 1.24)
    axes.legend(handles, parts, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, frameon=False, fontsize=9.5,
                handlelength=1.1, handletextpad=0.5, borderaxespad=0.1, borderpad=0.1)  # fmt: skip
    return finished(canvas, name, title, description)


def _axes_with_rows(title: str, names: Sequence[str], row_height: float, top: float = 30) -> tuple[Canvas, Axes]:
    """A row for each name, the first on top, and a grid across them."""
    shown = [label(name, _MOST_NAME) for name in names]
    left = min(124, 12 + 6 * max(map(columns, shown)))
    inner = row_height * len(names)
    canvas, axes = blank_axes(WIDTH, top + inner + 24, left, top, WIDTH - left - 14, inner, title)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), shown)
    axes.tick_params(axis="y", labelcolor=INK, pad=6)
    axes.grid(axis="x", color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.margins(x=0.05)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    return canvas, axes


@dataclass(frozen=True)
class Pair:
    """A mix in two studies: means and ends of their intervals."""

    name: str
    first: tuple[float, float, float]
    second: tuple[float, float, float]


@styled
def paired_dots(name: str, title: str, description: str, studies: Sequence[str], rows: Sequence[Pair]) -> Figure:
    """Means of two studies with 95 % intervals, one above the other in each row."""
    canvas, axes = _axes_with_rows(title, [row.name for row in rows], 26, top=50)
    handles = []
    for number, (colour, mark) in enumerate(((SERIES[0], "o"), (SERIES[1], "s"))):
        places = [place + (number - 0.5) * 0.36 for place in range(len(rows))]
        found = [(row.first, row.second)[number] for row in rows]
        for place, (_, low, high) in zip(places, found, strict=True):
            axes.plot([low, high], [place, place], color=colour, linewidth=1.4)
        face = colour if number == 0 else PAPER
        handles += axes.plot([mean for mean, _, _ in found], places, mark, color=colour, markersize=5.5,
                             markeredgewidth=1.3, markerfacecolor=face, zorder=3)  # fmt: skip
    axes.legend(handles, [label(one, 24) for one in studies], loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2,
                frameon=False, fontsize=9.5, handletextpad=0.3, borderaxespad=0.1, borderpad=0.1)  # fmt: skip
    return finished(canvas, name, title, description)
