"""Numbers -> curves over the levels of an axis, and mixes in the plane of two objectives."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from retrieval.report.figures import DASHES, Figure, finished, styled
from retrieval.report.study.drawing import axes_with_grid
from retrieval.report.svg import MUTED, PAPER, RULE
from retrieval.report.text import columns, label


@dataclass(frozen=True)
class LevelLine:
    """A mix over the levels of an axis."""

    name: str
    colour: str
    points: Sequence[tuple[int, float, float, float]]
    """Number of the level, mean, ends of its interval."""


@styled
def level_curves(
    name: str, title: str, description: str, x_label: str, places: Sequence[float], texts: Sequence[str],
    lines: Sequence[LevelLine],
) -> Figure:  # fmt: skip
    """Means of mixes over the levels of an axis, with intervals.

    Args:
        name, title, description, x_label: of the figure.
        places: of the levels along the axis, rising.
        texts: of the levels.
        lines: side by side at every level, so that their intervals do not hide each other.
    """
    canvas, axes = axes_with_grid(title, 248, top=50 + 15 * ((len(lines) - 1) // 3))
    step = float(np.min(np.diff(places))) / 24 if len(places) > 1 else 0.02
    drawn = []
    for number, line in enumerate(lines):
        x = [places[level] + (number - (len(lines) - 1) / 2) * step for level, *_ in line.points]
        for at, (_, _, low, high) in zip(x, line.points, strict=True):
            axes.plot([at, at], [low, high], color=line.colour, linewidth=1.2)
        means = [mean for _, mean, _, _ in line.points]
        drawn += axes.plot(x, means, color=line.colour, linewidth=1.5, marker="os^Dv*"[number % 6], markersize=4.5,
                           dashes=DASHES[number % len(DASHES)] or (None, None))  # fmt: skip
    axes.xaxis.set_major_locator(FixedLocator(list(places)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([label(text, max(4, 40 // len(texts))) for text in texts])
    axes.margins(x=0.08, y=0.08)
    axes.set_xlabel(label(x_label, 50), labelpad=3)
    axes.legend(drawn, [label(line.name, 14) for line in lines], loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3,
                frameon=False, fontsize=9.5, handlelength=2.4, columnspacing=1.2, handletextpad=0.5, borderaxespad=0.1,
                borderpad=0.1, labelspacing=0.3)  # fmt: skip
    return finished(canvas, name, title, description)


@dataclass(frozen=True)
class Spot:
    """A mix in a plane of two objectives."""

    name: str
    x: float
    y: float
    colour: str
    on_front: bool
    named: bool
    """Whether its name is written beside it, where there is room."""


@styled
def scatter(
    name: str, title: str, description: str, x_label: str, y_label: str, spots: Sequence[Spot],
    reversed_axes: tuple[bool, bool],
) -> Figure:  # fmt: skip
    """Two objectives, the better always to the right and up; filled where no other mix beats a mix in all "
    "objectives."""
    canvas, axes = axes_with_grid(title, 268)
    axes.grid(axis="x", color=RULE, linewidth=0.7)
    axes.margins(0.12)
    for spot in spots:
        face = spot.colour if spot.on_front else PAPER
        form, width = ("o", 6.5) if spot.on_front else ("s", 4.5)
        axes.plot([spot.x], [spot.y], form, color=spot.colour, markersize=width, markerfacecolor=face,
                  markeredgewidth=1.2, zorder=3)  # fmt: skip
    if reversed_axes[0]:
        axes.invert_xaxis()
    if reversed_axes[1]:
        axes.invert_yaxis()
    axes.set_xlabel(label(x_label, 46), labelpad=3)
    axes.annotate(label(y_label, 46), (0, 1), xycoords="axes fraction", xytext=(-38, 5), textcoords="offset points",
                  color=MUTED, fontsize=9.5)  # fmt: skip
    _write_names(axes, [spot for spot in spots if spot.named], spots)
    return finished(canvas, name, title, description)


def _write_names(axes: Axes, named: Sequence[Spot], spots: Sequence[Spot]) -> None:
    """Names beside their spots, at the first of eight places where they touch neither spots nor other names."""
    to_pixels = axes.transData.transform
    taken = [(x - 3.5, y - 3.5, x + 3.5, y + 3.5) for x, y in to_pixels([(spot.x, spot.y) for spot in spots])]
    (left, bottom), (right, top) = axes.transAxes.transform([(0, 0), (1, 1)])
    for spot in named:
        text = label(spot.name, 14)
        width, height = 5.6 * columns(text), 10
        x, y = to_pixels((spot.x, spot.y))
        for across, up in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)):
            dx, dy = across * (6 if not up else 4), up * (11 if not across else 8)
            start = x + dx - (0 if across > 0 else width if across < 0 else width / 2)
            box = (start, y + dy - height / 2, start + width, y + dy + height / 2)
            inside = left - 2 <= box[0] and box[2] <= right + 10 and bottom <= box[1] and box[3] <= top + 2
            if inside and not any(_touch(box, other) for other in taken):
                where = {1: "left", -1: "right", 0: "center"}[across]
                axes.annotate(text, (spot.x, spot.y), xytext=(dx, dy), textcoords="offset points", ha=where,
                              va="center", fontsize=9)  # fmt: skip
                taken.append(box)
                break


def _touch(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
