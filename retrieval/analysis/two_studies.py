"""Two studies of the same mixes: what differs in their means, and by how much, with intervals."""

import json
from dataclasses import dataclass
from fractions import Fraction
from math import hypot
from typing import Any

from retrieval.analysis.observations import Arm
from retrieval.analysis.spread import ArmMean
from retrieval.analysis.study import MeasureAnalysis, StudyAnalysis

MixKey = tuple[tuple[tuple[str, Fraction], ...], str]


@dataclass(frozen=True)
class MixDifference:
    """A mix that both studies trained."""

    arm: Arm
    first: ArmMean
    second: ArmMean
    estimate: float
    """Second minus first."""
    low: float
    high: float
    """95 % interval."""

    @property
    def differs(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class MeasurePair:
    """The same measure in the same setting in two studies."""

    first: MeasureAnalysis
    second: MeasureAnalysis
    mixes: tuple[MixDifference, ...]


@dataclass(frozen=True)
class StudyPair:
    """What two studies have in common, and what they do not."""

    measures: tuple[MeasurePair, ...]
    without_counterpart: tuple[str, ...]
    """`mono mAP; data.groups 500`: measures of one study alone."""


def mix_key(arm: Arm) -> MixKey:
    """What makes an arm the same in two studies: its shares and its schedule, whatever the order of the kinds."""
    return tuple(sorted(arm.mix)), arm.schedule


def compare_studies(first: StudyAnalysis, second: StudyAnalysis) -> StudyPair:
    """Pair the measures of two studies, and their mixes, and take differences.

    Measures are paired under the same values of the axes; where each study has a measure only once, whatever its axes.

    The interval of a difference is that of Zou and Donner (Statistics in Medicine 27, 2008) for two estimates with
    intervals of their own,

        d - sqrt((a - low a)^2 + (high b - b)^2)  to  d + sqrt((high a - a)^2 + (b - low b)^2),   d = a - b,

    for independent estimates. Studies that share queries or seeds have estimates that rise and fall together, and the
    interval is then wider than it need be.
    """
    ours, theirs = _by_key(first), _by_key(second)
    pairs = [(ours[key], theirs[key]) for key in ours if key in theirs]
    paired = {id(one) for pair in pairs for one in pair}
    alone = [[one for one in of.values() if id(one) not in paired] for of in (ours, theirs)]
    for one in list(alone[0]):
        others = [
            [m for m in of.values() if (m.setting, m.measure) == (one.setting, one.measure)] for of in (ours, theirs)
        ]
        if len(others[0]) == len(others[1]) == 1:
            pairs.append((one, others[1][0]))
            alone = [[m for m in of if m is not one and m is not others[1][0]] for of in alone]
    return StudyPair(
        measures=tuple(MeasurePair(one, other, _mixes(one, other)) for one, other in pairs),
        without_counterpart=tuple(dict.fromkeys(_named(one) for of in alone for one in of)),
    )


def _by_key(study: StudyAnalysis) -> dict[tuple[str, str, str], MeasureAnalysis]:
    return {(one.setting, one.measure, json.dumps(one.axes, sort_keys=True)): one for one in study.measures}


def _named(one: MeasureAnalysis) -> str:
    axes: list[Any] = [f"{path} {value}" for path, value in one.axes.items()]
    return "; ".join([f"{one.setting} {one.measure}", *axes])


def _mixes(first: MeasureAnalysis, second: MeasureAnalysis) -> tuple[MixDifference, ...]:
    of_second = {mix_key(one.arm): one for one in second.arms}
    found = []
    for one in first.arms:
        other = of_second.get(mix_key(one.arm))
        if other is not None:
            estimate = other.mean - one.mean
            below = hypot(other.mean - other.low, one.high - one.mean)
            above = hypot(other.high - other.mean, one.mean - one.low)
            found.append(MixDifference(one.arm, one, other, estimate, estimate - below, estimate + above))
    return tuple(found)
