"""How a numeric axis, such as the amount of data, moves a measure, and the gain of one mix over another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cluster.errors import DataError
from retrieval.analysis.contrasts import Contrast, contrast
from retrieval.analysis.observations import XX, XY, Arm, Panel
from retrieval.analysis.spread import components
from retrieval.measures.statistics import holm


@dataclass(frozen=True)
class AxisEffect:
    """A slope along an axis."""

    setting: str
    measure: str
    axis: str
    mix: str
    reference: str | None
    """The slope is that of the difference to this mix (does the gain change?); None: of the mix itself."""
    slope: Contrast
    """Per doubling of the axis."""
    levels: tuple[float, ...]
    mean_by_level: tuple[float, ...]
    """Of the mix, or of its difference to the reference."""
    p_holm: float


def axis_effects(panel: Panel, axis: str) -> list[AxisEffect]:
    """Slope of every mix along an axis per doubling, and of its difference to X-X and to X-Y; Holm over all of them.

    The slope is that of least squares on log2 of the axis, a contrast of the arms with weights
    (x - mean x) / sum (x - mean x)^2, and so tested and given an interval as any contrast; it is a summary, and
    `mean_by_level` shows whether a straight line is one. Mixes that are not there at every level are left out.

    Raises:
        DataError: the axis has a value that is no positive number, or fewer than two; or another axis varies as well.
    """
    for other, values in panel.axes.items():
        if other != axis and len(values) > 1:
            raise DataError(f"axis {axis}: {other} varies too; take the panel where it has one value")
    levels = panel.axes.get(axis, [])
    if not is_numeric(levels):
        raise DataError(f"axis {axis}: needs two positive numbers or more, has {', '.join(map(str, levels)) or 'none'}")
    levels = sorted(levels)
    arms_of: dict[str, dict[float, int]] = {}
    arm_of: dict[str, Arm] = {}
    for number, arm in enumerate(panel.arms):
        mix = replace(arm, axes=())
        arm_of[mix.label + mix.schedule] = mix
        arms_of.setdefault(mix.label + mix.schedule, {})[dict(arm.axes)[axis]] = number
    complete = {key: numbers for key, numbers in arms_of.items() if len(numbers) == len(levels)}
    weights = {
        key: _slope_weights(panel, [numbers[level] for level in levels], levels) for key, numbers in complete.items()
    }
    references = [key for key in complete if arm_of[key].mix in (XX, XY) and not arm_of[key].schedule]
    effects, found = [], components(panel)
    for reference in (None, *references):
        for key, numbers in complete.items():
            if key == reference:
                continue
            weight_M = weights[key] - (weights[reference] if reference else 0.0)
            mean_L = panel.means[[numbers[level] for level in levels]]
            if reference:
                mean_L = mean_L - panel.means[[complete[reference][level] for level in levels]]
            effects.append(
                AxisEffect(
                    setting=panel.setting,
                    measure=panel.measure,
                    axis=axis,
                    mix=arm_of[key].label,
                    reference=arm_of[reference].label if reference else None,
                    slope=contrast(panel, weight_M, found),
                    levels=tuple(map(float, levels)),
                    mean_by_level=tuple(mean_L.tolist()),
                    p_holm=1.0,
                )
            )
    adjusted = holm([effect.slope.p_value for effect in effects])
    return [replace(effect, p_holm=float(p)) for effect, p in zip(effects, adjusted, strict=True)]


def is_numeric(levels: Sequence[Any]) -> bool:
    """Whether an axis has a slope: two values or more, all positive numbers."""
    numbers = [
        level for level in levels if isinstance(level, (int, float)) and not isinstance(level, bool) and level > 0
    ]
    return len(numbers) == len(levels) > 1


def _slope_weights(panel: Panel, numbers: Sequence[int], levels: Sequence[float]) -> np.ndarray:
    """Weights of the least-squares slope per doubling, for the arms of one mix in order of the levels."""
    place = np.log2(np.asarray(levels, dtype=np.float64))
    place -= place.mean()
    weight_M = np.zeros(len(panel.arms))
    weight_M[list(numbers)] = place / np.sum(place**2)
    return weight_M
