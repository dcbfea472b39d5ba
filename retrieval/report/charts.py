"""Evaluations -> bar charts, each with words for someone who cannot see it."""

from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.report.figures import Bar, Figure, bars
from retrieval.report.measures import MAP, RANK_DISTANCE, SETTINGS, Measure, estimates, number
from retrieval.report.results import ArmResults, Estimate
from retrieval.report.svg import BASELINES, SERIES
from retrieval.report.text import label


@dataclass(frozen=True)
class Panels:
    """Figures that belong together, with one caption."""

    caption: str
    figures: tuple[Figure, ...]


def colours(results: Sequence[ArmResults]) -> dict[str, str]:
    """Arm -> its colour everywhere in the report: a hue for trained arms, a grey for baselines."""
    chosen: dict[str, str] = {}
    for role, palette in (("trained", SERIES), ("baseline", BASELINES)):
        names = [result.name for result in results if result.arm.role == role]
        chosen |= {name: palette[place % len(palette)] for place, name in enumerate(names)}
    return chosen


def settings_bars(results: Sequence[ArmResults], collection: str, prefix: str) -> Panels | None:
    """mAP of every arm in each setting, to one scale."""
    present = [setting for setting in SETTINGS if any(estimates(results, collection, setting, MAP).values())]
    if not present:
        return None
    limit = _limit([one for setting in present for one in estimates(results, collection, setting, MAP).values()])
    figures = tuple(
        _bars(f"{prefix}-map-{setting}", f"mAP, {SETTINGS[setting]}", results, collection, setting, MAP, limit)
        for setting in present
    )
    return Panels("mAP by setting, all to the same scale. Whiskers are 95 % intervals over queries.", figures)


def rank_distance_bars(results: Sequence[ArmResults], collection: str, prefix: str) -> Figure | None:
    """Rank distance of every arm."""
    values = estimates(results, collection, "bias", RANK_DISTANCE)
    if not any(values.values()):
        return None
    title = "Rank distance (lower is better)"
    limit = _limit(list(values.values()))
    return _bars(f"{prefix}-rank-distance", title, results, collection, "bias", RANK_DISTANCE, limit)


def _limit(found: Sequence[Estimate | None]) -> float:
    """Right end of an axis that holds every value and interval, with a little room."""
    ends = [end for one in found if one for end in (one.mean, one.high) if end is not None]
    return max([*ends, 1e-9]) * 1.02


def _bars(
    name: str, title: str, results: Sequence[ArmResults], collection: str, setting: str, measure: Measure, limit: float
) -> Figure:
    values, colour = estimates(results, collection, setting, measure), colours(results)
    rows = [
        Bar(
            name=result.name,
            colour=colour[result.name],
            value=found.mean if found else None,
            low=found.low if found else None,
            high=found.high if found else None,
            text=number(found.mean, measure) if found else "",
        )
        for result in results
        for found in [values[result.name]]
    ]
    said = [f"{label(row.name)} {row.text or 'no value'}" for row in rows]
    return bars(name, title, f"Bars: {', '.join(said)}.", rows, limit)
