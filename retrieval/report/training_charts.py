"""Telemetry and ledgers -> figures about how the arms were trained."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from retrieval.report.charts import Panels, colours
from retrieval.report.figures import Figure, HeatMap, Line, curves, heat_map
from retrieval.report.measures import MAP, RANK_DISTANCE, SETTINGS, Measure, number
from retrieval.report.results import ArmResults
from retrieval.report.text import kinds_in_order, label, listed, slug

_MOST_POINTS = 300


def loss_curves(results: Sequence[ArmResults]) -> Panels | None:
    """Loss over steps, one panel a kind of batch, one curve an arm."""
    steps = {result.name: result.telemetry.steps for result in results if result.telemetry}
    panels: list[tuple[str, list[Line]]] = []
    for kind in kinds_in_order({step.kind for of_arm in steps.values() for step in of_arm}):
        lines = []
        for name, colour, place in _numbered(results):
            points = [(step.step, step.loss) for step in steps.get(name, ()) if step.kind == kind]
            points = [point for point in points if math.isfinite(point[1])]
            if points:
                lines.append(_smoothed(name, colour, place, points))
        if lines:
            panels.append((kind, lines))
    limits = _common_limits([line for _, lines in panels for line in lines])
    figures = []
    for place, (kind, lines) in enumerate(panels, start=1):
        title = f"Loss, {label(kind, 20)} batches"
        ends = [f"{label(line.name)} from {line.y[0]:.2f} to {line.y[-1]:.2f}" for line in lines]
        figures.append(curves(f"loss-{place}-{slug(kind)}", title, f"{listed(ends)}.", lines, limits))
    if not figures:
        return None
    return Panels(
        "Training loss by kind of batch: running mean over a twentieth of the kind's steps, raw values faint. Losses "
        "of different kinds are not comparable: their negatives differ in difficulty.",
        tuple(figures),
    )


def _numbered(results: Sequence[ArmResults]) -> list[tuple[str, str, int]]:
    """Name, colour and number of every arm."""
    colour = colours(results)
    return [(result.name, colour[result.name], place) for place, result in enumerate(results)]


def _smoothed(name: str, colour: str, place: int, points: Sequence[tuple[int, float]]) -> Line:
    """A centred running mean over a twentieth of the points; both curves thinned to what a figure can show."""
    steps, losses = (np.array(values, dtype=np.float64) for values in zip(*points, strict=True))
    half = len(losses) // 40
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    position = np.arange(len(losses))
    low, high = np.maximum(position - half, 0), np.minimum(position + half + 1, len(losses))
    mean = (sums[high] - sums[low]) / (high - low)
    kept = np.unique(np.linspace(0, len(losses) - 1, min(len(losses), _MOST_POINTS)).round().astype(int))
    return Line(name, colour, place, steps[kept].tolist(), mean[kept].tolist(), losses[kept].tolist())


def _common_limits(lines: Sequence[Line]) -> tuple[float, float]:
    """Ends of an axis that starts at 0 or below and holds every curve, so that panels can be compared."""
    values = [value for line in lines for value in line.y]
    raw = [value for line in lines for value in line.raw]
    # One wild batch must not flatten all curves: raw values count up to their 99th percentile.
    top = max([*values, *([float(np.quantile(raw, 0.99))] if raw else [])], default=1.0)
    return min([0.0, *values]), top * 1.04 or 1.0


def validation_curves(results: Sequence[ArmResults]) -> Panels | None:
    """Validation mAP of each setting, to one scale, and rank distance, over steps."""
    of_setting = {setting: _validation_lines(results, setting) for setting in SETTINGS}
    limits = _common_limits([line for lines in of_setting.values() for line in lines])
    figures = [
        curves(f"validation-{setting}", f"Validation mAP, {SETTINGS[setting]}", _ends(lines, MAP), lines, limits)
        for setting, lines in of_setting.items()
        if lines
    ]
    distances = _validation_lines(results, RANK_DISTANCE.key)
    if distances:
        name, title = "validation-rank-distance", "Validation rank distance"
        limits = _common_limits(distances)
        figures.append(curves(name, title, _ends(distances, RANK_DISTANCE), distances, limits))
    if not figures:
        return None
    return Panels("Validation during training, on the run's validation collection.", tuple(figures))


def _ends(lines: Sequence[Line], measure: Measure) -> str:
    return f"{listed([f'{label(line.name)} ends at {number(line.y[-1], measure)}' for line in lines])}."


def _validation_lines(results: Sequence[ArmResults], what: str) -> list[Line]:
    lines = []
    telemetry = {result.name: result.telemetry for result in results if result.telemetry}
    for name, colour, place in _numbered(results):
        points = []
        for event in telemetry[name].validations if name in telemetry else ():
            value = event.settings.get(what, {}).get(MAP.key) if what in SETTINGS else event.rank_distance
            if value is not None:
                points.append((float(event.step), value))
        if points:
            lines.append(Line(name, colour, place, [step for step, _ in points], [value for _, value in points]))
    return lines


def drawn_pairs(results: Sequence[ArmResults]) -> Panels | None:
    """How often each ordered pair of languages was drawn in training, one matrix an arm and kind."""
    figures: list[Figure] = []
    for result in results:
        for kind, counts in (result.ledger.pairs if result.ledger else {}).items():
            if counts:
                figures.append(_drawn(f"drawn-{len(figures) + 1}-{slug(result.name, kind)}", result.name, kind, counts))
    if not figures:
        return None
    return Panels(
        "Pairs drawn in training by query language (rows) and passage language (columns). Colours span at least "
        "a fifth below and above each figure's mean, so that an even draw looks even.",
        tuple(figures),
    )


def _drawn(name: str, arm: str, kind: str, counts: Sequence[tuple[str, str, int]]) -> Figure:
    drawn: Mapping[tuple[str, str], int] = {(one, other): count for one, other, count in counts}
    languages = sorted({language for pair in drawn for language in pair})
    matrix = np.array([[float(drawn.get((row, column), math.nan)) for column in languages] for row in languages])
    low, middle, high = float(np.nanmin(matrix)), float(np.nanmean(matrix)), float(np.nanmax(matrix))
    cells = HeatMap(
        values=matrix,
        rows=languages,
        columns=languages,
        texts=[[_compact(value) for value in row] for row in matrix],
        low=min(low, 0.8 * middle),
        high=max(high, 1.2 * middle),
    )
    title = f"{label(arm, 24)}, {label(kind, 12)}: {_range(low, high)} a pair"
    return heat_map(name, title, f"{len(drawn)} ordered pairs of languages were drawn.", cells)


def _range(low: float, high: float) -> str:
    return f"{low:,.0f}" if low == high else f"{low:,.0f}–{high:,.0f}"


def _compact(count: float) -> str:
    if not math.isfinite(count):
        return "–"
    return f"{count:.0f}" if count < 1000 else f"{count / 1000:.0f}k"
