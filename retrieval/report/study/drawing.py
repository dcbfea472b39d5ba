"""Numbers -> maps of the simplex, and curves over a share.

Sizes are in CSS pixels, as in `retrieval.report.figures`. Marks on a coloured surface are black and white on the page
as in the file, for the surface does not change with the page's light or dark setting.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Polygon, Rectangle
from matplotlib.ticker import MaxNLocator
from matplotlib.tri import Triangulation

from retrieval.report.figures import WIDTH, Figure, blank_axes, finished, styled, text_colour
from retrieval.report.svg import INK, MUTED, PAPER, RULE, SERIES
from retrieval.report.text import label

_TALL = float(np.sqrt(3) / 2)
_BLACK, _WHITE = "#000000", "#ffffff"
_SMALLEST_DISC_WITH_TEXT = 11
FITTED = SERIES[0]


@dataclass(frozen=True)
class MixPoint:
    """A mix on the simplex, as it was observed."""

    shares: tuple[float, ...]
    value: float
    text: str
    flat: bool
    """Whether it is not distinguishable from the best."""


@dataclass(frozen=True)
class SurfaceMap:
    """A fitted surface over three kinds, and the mixes it was fitted to."""

    kinds: tuple[str, ...]
    """Lower left, lower right, top."""
    shares: np.ndarray
    """(P, 3)."""
    values: np.ndarray
    """(P)."""
    points: Sequence[MixPoint]
    best: tuple[float, ...]
    levels: np.ndarray
    """Rising; one colour between each and the next."""
    level_texts: Sequence[str]
    higher_is_better: bool


def on_plane(share_P3: np.ndarray) -> np.ndarray:
    """Places of mixes in a triangle with sides of 1, (P, 2): lower left, lower right and top are the three kinds."""
    return np.column_stack([share_P3[:, 1] + share_P3[:, 2] / 2, share_P3[:, 2] * _TALL])


@styled
def ternary(name: str, title: str, description: str, surface: SurfaceMap) -> Figure:
    """A contour map in a triangle: mixes are discs in the colour of their mean, four strokes point at the best."""
    side, left, top = 272.0, 38.0, 62.0
    tall, height = side * _TALL, top + side * _TALL + 74
    canvas, axes = blank_axes(WIDTH, height, left, top, side, tall, title)
    shade = matplotlib.colormaps["cividis" if surface.higher_is_better else "cividis_r"]
    scale = Normalize(surface.levels[0], surface.levels[-1])
    colours = [to_hex(shade(scale(middle))) for middle in (surface.levels[:-1] + surface.levels[1:]) / 2]
    share_P3, first = np.unique(np.round(surface.shares, 9), axis=0, return_index=True)
    place_P2 = on_plane(share_P3)
    values = np.clip(surface.values[first], surface.levels[0], surface.levels[-1])
    axes.tricontourf(Triangulation(*place_P2.T), values, levels=surface.levels, colors=colours)
    axes.add_patch(Polygon(on_plane(np.eye(3)), fill=False, edgecolor=MUTED, linewidth=0.8, clip_on=False))
    radius = _draw_mixes(axes, surface, side, lambda value: to_hex(shade(scale(value))))
    for (x, y), kind in zip(on_plane(np.eye(3)), surface.kinds, strict=True):
        axes.annotate(label(kind, 16), (x, y), xytext=(0, 27 if y else -29), textcoords="offset points", ha="center",
                      va="bottom" if y else "top", fontsize=10)  # fmt: skip
    _draw_best(axes, surface, side, radius)
    axes.set(xlim=(0, 1), ylim=(0, _TALL))
    axes.set_axis_off()
    below = canvas.add_axes((left / WIDTH, 20 / height, side / WIDTH, 9 / height))
    _draw_scale(below, colours, surface.level_texts)
    return finished(canvas, name, title, description)


def _draw_mixes(axes: Axes, surface: SurfaceMap, side: float, colour_of: Callable[[float], str]) -> float:
    """Draw a disc for each mix; returns their radius."""
    place_M2 = on_plane(np.array([point.shares for point in surface.points]))
    apart_MM = np.linalg.norm(place_M2[:, None] - place_M2[None], axis=2) + 9 * np.eye(len(place_M2))
    radius = float(np.clip(apart_MM.min() * side / 2 - 2, 3.5, 13.0))
    for (x, y), point in zip(place_M2, surface.points, strict=True):
        colour, ring = colour_of(point.value), 2.8 if point.flat else 0.8
        axes.plot(
            [x], [y], "o", markersize=2 * radius + ring + 2, color=_WHITE, markeredgewidth=0, clip_on=False, zorder=3
        )
        axes.plot([x], [y], "o", markersize=2 * radius, markerfacecolor=colour, markeredgecolor=_BLACK,
                  markeredgewidth=ring, clip_on=False, zorder=4)  # fmt: skip
        if radius >= _SMALLEST_DISC_WITH_TEXT:
            axes.text(
                x, y, point.text, ha="center", va="center_baseline", fontsize=8.6, color=text_colour(colour), zorder=7
            )
    return radius


def _draw_best(axes: Axes, surface: SurfaceMap, side: float, radius: float) -> None:
    """Four strokes around the best point, clear of a disc that lies there."""
    place_M2 = on_plane(np.array([point.shares for point in surface.points]))
    ((x, y),) = on_plane(np.array([surface.best]))
    near = np.linalg.norm(place_M2 - (x, y), axis=1).min() * side < radius + 4
    start, end = ((radius + 3) / side, (radius + 11) / side) if near else (3 / side, 10 / side)
    for colour, width in ((_WHITE, 4.6), (_BLACK, 2.2)):
        for right, up in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            stroke = [x + right * start, x + right * end], [y + up * start, y + up * end]
            axes.plot(*stroke, color=colour, linewidth=width, clip_on=False, zorder=6)


def _draw_scale(axes: Axes, colours: Sequence[str], texts: Sequence[str]) -> None:
    for place, colour in enumerate(colours):
        axes.add_patch(Rectangle((place, 0), 1, 1, facecolor=colour, linewidth=0))
    every = 1 + len(texts) // 8
    for place, text in enumerate(texts):
        if place % every == 0:
            axes.annotate(text, (place, 0), xytext=(0, -4), textcoords="offset points", ha="center", va="top",
                          fontsize=9, color=MUTED)  # fmt: skip
    axes.set(xlim=(0, len(colours)), ylim=(0, 1))
    axes.set_axis_off()


@dataclass(frozen=True)
class Band:
    """A curve with its interval."""

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Observed:
    """A mean with its interval and its seeds."""

    x: float
    y: float
    low: float
    high: float
    by_seed: Sequence[float]
    flat: bool
    """Whether it is not distinguishable from the best."""


@styled
def alpha_curve(
    name: str,
    title: str,
    description: str,
    x_label: str,
    points: Sequence[Observed],
    band: Band | None,
    best: tuple[float, float, float] | None,
) -> Figure:
    """Means over a share, filled where not distinguishable from the best, with the fitted curve and its band.

    Args:
        name, title, description: of the figure.
        x_label: what the share is of.
        points: the means.
        band: the fitted curve; where there is none the means are joined.
        best: share at which the curve is best, and its interval: a mark at the foot.
    """
    canvas, axes = axes_with_grid(title, 232, top=30)
    if band is None:
        axes.plot([one.x for one in points], [one.y for one in points], color=MUTED, linewidth=0.9)
    else:
        axes.fill_between(band.x, band.low, band.high, color=FITTED, alpha=0.2, linewidth=0)
        axes.plot(band.x, band.y, color=FITTED, linewidth=1.8)
    for one in points:
        axes.plot([one.x, one.x], [one.low, one.high], color=INK, linewidth=1.1)
        axes.plot([one.x] * len(one.by_seed), one.by_seed, "_", color=MUTED, markersize=7, markeredgewidth=1)
        face = INK if one.flat else PAPER
        axes.plot([one.x], [one.y], "o", markersize=5.6, color=INK, markeredgewidth=1.1, markerfacecolor=face, zorder=3)
    axes.margins(x=0.03, y=0.12)
    if best is not None:
        foot = axes.get_xaxis_transform()
        axes.plot(best[1:], [0.03, 0.03], transform=foot, color=FITTED, linewidth=2.6)
        axes.plot([best[0]], [0.03], "d", transform=foot, color=FITTED, markersize=8)
    axes.set_xlabel(x_label, labelpad=3)
    return finished(canvas, name, title, description)


def axes_with_grid(title: str, height: float, left: float = 42, top: float = 40) -> tuple[Canvas, Axes]:
    """Axes with a title, lines across at the ticks of y, and no frame."""
    canvas, axes = blank_axes(WIDTH, height, left, top, WIDTH - left - 14, height - top - 36, title)
    axes.grid(axis="y", color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return canvas, axes
