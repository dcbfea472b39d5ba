"""Numbers -> drawn figures; the only place that knows matplotlib.

Sizes are in CSS pixels (matplotlib's points, 72 to the inch). Every figure is small enough for a telephone, and
several stand side by side on a wide page.
"""

import functools
import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import Normalize, to_hex, to_rgb
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from retrieval.report.svg import BLANK, INK, MUTED, RULE, compact, for_file, for_page
from retrieval.report.text import columns, label

WIDTH = 348
_SMALLEST_CELL_WITH_TEXT = 19
_STYLE: dict[Any, Any] = {
    "font.size": 10.0,
    "font.family": "sans-serif",
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9.5,
    "axes.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "axes.unicode_minus": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "mixlingual",
}
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 1.6), (1.5, 1.5), (6, 1.6, 1.5, 1.6), (8, 2), (3, 1, 1, 1))


Arguments = ParamSpec("Arguments")


@dataclass(frozen=True)
class Figure:
    """A drawn figure."""

    name: str
    """Its file name without ending, unique in the report."""
    title: str
    file: str
    """SVG for a file of its own."""
    markup: str
    """SVG for the page."""
    csv: str = ""
    """What is drawn, as numbers; empty where a table of the report has it."""

    @property
    def wide(self) -> bool:
        """Whether it is too wide for a telephone, and so scrolls there instead of shrinking."""
        return float(self.markup.partition(' width="')[2].partition('"')[0]) > WIDTH + 1


@dataclass(frozen=True)
class Bar:
    """A value with its interval, for one arm."""

    name: str
    colour: str
    value: float | None
    low: float | None
    high: float | None
    text: str
    """The value as it is written beside the bar."""


@dataclass(frozen=True)
class Line:
    """A curve, and the noisy points it was smoothed from."""

    name: str
    colour: str
    place: int
    """Number of the arm: chooses the dashes, so that colour is never the only difference."""
    x: Sequence[float]
    y: Sequence[float]
    raw: Sequence[float] = ()
    """At the same places as `y`; a curve without raw points gets markers instead."""


def styled(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Draw in our style whatever the caller's matplotlib is set to; names in `$` are names, not formulas."""

    @functools.wraps(draw)
    def drawn(*arguments: Arguments.args, **named: Arguments.kwargs) -> Figure:
        with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
            # The reader's fonts draw the text; that ours lacks a script does not matter.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            return draw(*arguments, **named)

    return drawn


@styled
def bars(name: str, title: str, description: str, rows: Sequence[Bar], limit: float) -> Figure:
    """Horizontal bars with 95 % intervals, one row an arm; every panel of a row of panels has the same `limit`."""
    left, right, top, row_height = min(92, 12 + 6 * max(columns(short(row.name)) for row in rows)), 40, 30, 24
    height = top + row_height * len(rows) + 8
    canvas, axes = blank_axes(WIDTH, height, left, top, WIDTH - left - right, row_height * len(rows), title)
    for place, row in enumerate(rows):
        axes.text(-6 / (WIDTH - left - right), place, short(row.name), ha="right", va="center", fontsize=10,
                  transform=axes.get_yaxis_transform())  # fmt: skip
        if row.value is None:
            axes.text(limit * 0.01, place, "–", va="center", color=MUTED)
            continue
        axes.barh(place, row.value, height=0.62, color=row.colour, linewidth=0, clip_on=False)
        if row.low is not None and row.high is not None:
            axes.errorbar(
                (row.low + row.high) / 2, place, xerr=(row.high - row.low) / 2, color=INK, linewidth=1.1, capsize=2.5
            )
        end = max(row.value, row.high if row.high is not None else row.value)
        axes.annotate(row.text, (end, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=10)
    axes.set(xlim=(0, limit), ylim=(len(rows) - 0.5, -0.5), xticks=[], yticks=[])
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color(MUTED)
    return finished(canvas, name, title, description)


@dataclass(frozen=True)
class HeatMap:
    """A matrix to colour: rows are query languages, columns pools."""

    values: np.ndarray
    """(rows, columns) float64; NaN where there is no value."""
    rows: Sequence[str]
    columns: Sequence[str]
    texts: Sequence[Sequence[str]]
    """What stands in each cell, where cells are large enough."""
    low: float
    high: float
    palette: str = "cividis"
    """cividis for values (Nuñez et al. 2018, doi 10.1371/journal.pone.0199239), PuOr for differences."""
    set_apart: int = 0
    """This many columns at the end stand apart from the rest."""
    outlined: Sequence[tuple[int, int]] = ()
    """Cells with an outline."""


@styled
def heat_map(name: str, title: str, description: str, matrix: HeatMap) -> Figure:
    """Coloured cells with their values; the columns at the end that pool everything stand apart."""
    num_rows, num_columns = matrix.values.shape
    left, gap = 10 + 6.2 * max(columns(short(row)) for row in matrix.rows), 6 if matrix.set_apart else 0
    cell = max(11.0, min(26.0, (WIDTH - left - gap - 2) / num_columns))
    size = min(9.5, cell * 0.8)
    widest = max(columns(_code(one)) for one in matrix.columns) * size * 0.66
    rotation, top = (90, 34 + widest) if widest > cell else (0, 46)
    inner_width, inner_height = cell * num_columns + gap, cell * num_rows
    # A title in bold takes about 7.4 points a letter.
    width, height = max(left + inner_width + 2, 6 + 7.4 * columns(label(title, 52))), top + inner_height + 4
    canvas, axes = blank_axes(width, height, left, top, inner_width, inner_height, title)
    edges = [place * cell + gap * (place >= num_columns - matrix.set_apart) for place in range(num_columns)]
    shade, scale = matplotlib.colormaps[matrix.palette], Normalize(matrix.low, max(matrix.high, matrix.low + 1e-9))
    for row, values in enumerate(matrix.values):
        for column, value in enumerate(values):
            colour = to_hex(shade(scale(value))) if np.isfinite(value) else BLANK
            place = (edges[column], row * cell)
            _draw_cell(axes, place, cell, colour, matrix.texts[row][column], (row, column) in matrix.outlined)
        axes.text(-5, (row + 0.5) * cell, short(matrix.rows[row]), ha="right", va="center_baseline", fontsize=size)
    for edge, one in zip(edges, map(_code, matrix.columns), strict=True):
        axes.text(edge + cell / 2, -5, one, ha="center", va="bottom", fontsize=size, rotation=rotation)
    axes.set(xlim=(0, inner_width), ylim=(inner_height, 0))
    axes.set_axis_off()
    return finished(canvas, name, title, description)


def _draw_cell(axes: Axes, place: tuple[float, float], size: float, colour: str, text: str, outlined: bool) -> None:
    ink = MUTED if colour == BLANK else text_colour(colour)
    inset = 1.3 if outlined else 0.5
    corner, side = (place[0] + inset, place[1] + inset), size - 2 * inset
    edge = ink if outlined else "none"
    axes.add_patch(Rectangle(corner, side, side, facecolor=colour, edgecolor=edge, linewidth=1.1, clip_on=False))
    if size >= _SMALLEST_CELL_WITH_TEXT:
        middle = (place[0] + size / 2, place[1] + size / 2 + 0.4)
        axes.text(*middle, text, ha="center", va="center_baseline", fontsize=8.6, color=ink)


@styled
def curves(name: str, title: str, description: str, lines: Sequence[Line], limits: tuple[float, float]) -> Figure:
    """Curves over training steps with a legend above; raw points faint behind the smoothed curve."""
    left, top, bottom, height = 36, 48 + 15 * ((len(lines) - 1) // 3), 34, 232
    canvas, axes = blank_axes(WIDTH, height, left, top, WIDTH - left - 12, height - top - bottom, title)
    for line in lines:
        if line.raw:
            axes.plot(line.x, line.raw, color=line.colour, linewidth=0.7, alpha=0.28)
    # Handles and names are given to the legend, which would otherwise skip names that begin with an underscore.
    drawn = [
        axes.plot(
            line.x, line.y, color=line.colour, linewidth=1.8, dashes=DASHES[line.place % len(DASHES)] or (None, None),
            marker=None if line.raw else "o", markersize=3.2,
        )[0]
        for line in lines
    ]  # fmt: skip
    axes.grid(axis="y", color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xlabel("step", labelpad=3)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.margins(x=0.015)
    axes.set_ylim(*limits)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.legend(
        drawn, [short(line.name) for line in lines], loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3,
        frameon=False, fontsize=9.5, handlelength=2.0, columnspacing=1.2, handletextpad=0.5, borderaxespad=0.1,
        borderpad=0.1, labelspacing=0.3,
    )  # fmt: skip
    return finished(canvas, name, title, description)


def blank_axes(
    width: float, height: float, left: float, top: float, inner_width: float, inner_height: float, title: str
) -> tuple[Canvas, Axes]:
    """A canvas with a title and one set of axes, the upper left corner of which is given."""
    canvas = Canvas(figsize=(width / 72, height / 72), dpi=72)
    FigureCanvasSVG(canvas)
    canvas.patch.set_visible(False)
    axes = canvas.add_axes(
        (left / width, 1 - (top + inner_height) / height, inner_width / width, inner_height / height)
    )
    axes.patch.set_visible(False)
    canvas.text(2 / width, 1 - 5 / height, label(title, 52), ha="left", va="top", fontsize=11, fontweight="bold")
    return canvas, axes


def finished(canvas: Canvas, name: str, title: str, description: str) -> Figure:
    """The canvas as SVG, for a file and for the page."""
    written = io.StringIO()
    canvas.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = compact(written.getvalue(), name, title, description)
    return Figure(name=name, title=title, file=for_file(root), markup=for_page(root))


def short(name: str) -> str:
    """A name that fits beside a row."""
    return label(name, 14)


def _code(language: str) -> str:
    return label(language, 8)


def text_colour(colour: str) -> str:
    """Black or white, whichever has more contrast with a colour (WCAG 2: they are equal at luminance 0.179)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"
