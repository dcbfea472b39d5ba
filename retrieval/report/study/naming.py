"""Arms, measures and conditions of a study -> names and colours that are the same everywhere in its report."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from retrieval.analysis.observations import COST, XX, XY, Arm, schedule_text
from retrieval.analysis.study import MeasureAnalysis, StudyAnalysis
from retrieval.report.measures import HEADLINE, RANK_DISTANCE, SETTINGS, Measure, number, signed, without_zero
from retrieval.report.svg import SERIES
from retrieval.report.text import KIND_ORDER, kinds_in_order, mix_text, visible

Key = tuple[str, str]
"""Setting and measure."""


def arm_name(arm: Arm) -> str:
    """`X-X`, `X-Y`, or the mix: `mono 1/2 + cross 1/2`; without the axes, which the place on the page says."""
    if not arm.schedule and arm.mix in (XX, XY):
        return "X-X" if arm.mix == XX else "X-Y"
    text = mix_text({kind: str(share) for kind, share in arm.mix})
    return f"{text}, changing ({schedule_text(arm.schedule)})" if arm.schedule else text


def kinds_of(arms: Iterable[Arm]) -> list[str]:
    """Kinds that any of the arms has, in the usual order."""
    return kinds_in_order({kind for arm in arms for kind, _ in arm.mix})


def arm_order(arm: Arm) -> tuple[Any, ...]:
    """Sorts arms as people expect them: constant mixes from mono alone to cross alone and so on, then those that "
    "change."""
    shares = dict(arm.mix)
    kinds = kinds_in_order(shares)
    return bool(arm.schedule), [
        (KIND_ORDER.index(k) if k in KIND_ORDER else len(KIND_ORDER), k, -shares[k]) for k in kinds
    ]


@dataclass(frozen=True)
class Names:
    """Short names for figures, and colours, of the arms of a study."""

    kinds: tuple[str, ...]
    short_of: Mapping[str, str]
    """Name of an arm -> at most 14 characters, unique."""
    exact: bool
    """Whether short names hold fractions, for percentages would not tell all mixes apart."""

    def short(self, arm: Arm) -> str:
        """`X-X`, `50/50/0`."""
        return self.short_of[arm_name(arm)]

    def colour(self, arm: Arm) -> str:
        """X-X is blue, X-Y vermilion, all other mixes green where they stand out and grey where not."""
        name = arm_name(arm)
        return {"X-X": SERIES[0], "X-Y": SERIES[1]}.get(name, SERIES[2])

    @property
    def caption(self) -> str:
        """What short names mean."""
        unit = "" if self.exact else " in per cent"
        known = [f"{role} is {kind} alone" for role, kind in (("X-X", "mono"), ("X-Y", "cross")) if kind in self.kinds]
        return f"Names are shares of {' / '.join(self.kinds)}{unit}{''.join(f'; {one}' for one in known)}."


def names_of(arms: Iterable[Arm]) -> Names:
    """Short names for all arms of a study."""
    by_name = {arm_name(arm): arm for arm in arms}
    kinds = tuple(kinds_of(by_name.values()))
    constant = {name: arm for name, arm in by_name.items() if not arm.schedule and name not in ("X-X", "X-Y")}
    for exact in (False, True):
        short = {name: "/".join(_share(arm, kind, exact) for kind in kinds) for name, arm in constant.items()}
        if len(set(short.values())) == len(short):
            break
    short |= {name: name for name in by_name if name in ("X-X", "X-Y")}
    short |= {name: f"changing {place}" for place, name in enumerate((n for n in by_name if by_name[n].schedule), 1)}
    return Names(kinds, short, exact)


def _share(arm: Arm, kind: str, exact: bool) -> str:
    share = dict(arm.mix).get(kind, 0)
    return str(share) if exact else f"{round(100 * share)}"


def measure_of(analysis: MeasureAnalysis) -> Measure:
    """The measure, with a label and a meaning."""
    known = {one.key: one for one in (*HEADLINE, RANK_DISTANCE)}
    plain = Measure(analysis.measure, analysis.measure, "", analysis.higher_is_better)
    return known.get(analysis.measure, plain)


def aim(analysis: MeasureAnalysis) -> str:
    """`monolingual mAP`, `rank distance`."""
    label = measure_of(analysis).label
    setting = SETTINGS.get(analysis.setting, "" if analysis.setting == "bias" else analysis.setting)
    return f"{setting} {label}".strip()


def objective_name(name: str) -> str:
    """`multi mAP` -> `multilingual mAP`, `bias rank_distance` -> `rank distance`, `cost:x_y` -> `x y`."""
    if name.startswith(COST):
        return name.removeprefix(COST).replace("_", " ")
    setting, _, measure = name.partition(" ")
    return f"{SETTINGS.get(setting, '' if setting == 'bias' else setting)} {measure.replace('_', ' ')}".strip()


def condition_name(axes: Mapping[str, Any]) -> str:
    """`training.steps 500, data.limit 1,000`; nothing where a study has no axes."""
    return ", ".join(f"{visible(path)} {level_text(value)}" for path, value in axes.items())


def level_text(value: Any) -> str:
    """A value of an axis."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return visible(value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False))
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def conditions(study: StudyAnalysis) -> list[dict[str, Any]]:
    """The combinations of the axes, each once, those of numbers rising."""
    found = {json.dumps(one.axes, sort_keys=True): one.axes for one in study.measures}
    return sorted(found.values(), key=lambda axes: [_level_order(value) for value in axes.values()])


def _level_order(value: Any) -> tuple[float, str]:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return (float(value), "") if is_number else (math.inf, json.dumps(value, sort_keys=True))


def keys_of(study: StudyAnalysis) -> list[Key]:
    """Settings and measures, each once, in order."""
    return list(dict.fromkeys((one.setting, one.measure) for one in study.measures))


def headline_keys(study: StudyAnalysis) -> list[Key]:
    """The first measure of each setting: what the summary is about."""
    first: dict[str, Key] = {}
    for key in keys_of(study):
        first.setdefault(key[0], key)
    return list(first.values())


def capitalised(text: str) -> str:
    """With a capital at the beginning, and the rest as it is: mAP stays mAP."""
    return text[:1].upper() + text[1:]


def find(study: StudyAnalysis, key: Key, axes: Mapping[str, Any]) -> MeasureAnalysis | None:
    """One measure under one combination of the axes."""
    return next((one for one in study.measures if (one.setting, one.measure) == key and one.axes == axes), None)


def fine(value: float | None, measure: Measure | None = None) -> str:
    """A difference: a decimal more than `number` has, with a sign."""
    if value is None or value != value:
        return number(None)
    if measure is RANK_DISTANCE or abs(value) > 10:
        return signed(f"{value:+,.1f}")
    return signed(without_zero_signed(f"{value:+.4f}"))


def size(value: float, measure: Measure | None = None) -> str:
    """The size of a difference: as `fine`, without a sign."""
    return fine(abs(value), measure).removeprefix("+")


def without_zero_signed(text: str) -> str:
    """+0.0123 -> +.0123."""
    return f"+{without_zero(text[1:])}" if text.startswith("+") else without_zero(text)


def share_text(value: float) -> str:
    """A share as it is written in sentences: .46."""
    return without_zero(f"{value:.2f}")


def p_text(p_value: float) -> str:
    """`p < .001`, `p = .031`."""
    return "p < .001" if p_value < 0.001 else f"p = {without_zero(f'{p_value:.3f}')}"
