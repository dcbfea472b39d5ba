"""Values by pair of languages -> heat maps: X-X as it is, other mixes as differences to it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrieval.analysis.observations import Arm
from retrieval.report.charts import Panels
from retrieval.report.figures import Figure
from retrieval.report.measures import number
from retrieval.report.pair_charts import hundredths, pair_map, two_digits
from retrieval.report.study.inputs import PAIR_SETTINGS, Study
from retrieval.report.study.naming import arm_name
from retrieval.report.study.sheet import with_data
from retrieval.report.text import label, slug

_PREFERRED = "mAP"
_MOST_SHOWN, _MOST_DRAWN = 5, 24


def measure_of_pairs(study: Study) -> str | None:
    """The measure that the maps show: mAP, or else the first."""
    of_settings = study.pairs.filter(pc.is_in(study.pairs["setting"], pa.array(PAIR_SETTINGS)))
    known = of_settings["measure"].unique().to_pylist()
    return _PREFERRED if _PREFERRED in known else next(iter(known), None)


def pair_maps(study: Study, axes: Mapping[str, Any], prefix: str) -> tuple[Panels | None, Panels | None]:
    """Maps of the mixes that matter, and of further mixes; None where there is nothing to show."""
    measure, key = measure_of_pairs(study), study.headline[0]
    if measure is None or study.found(key, axes) is None:
        return None, None
    means = [(arm, mean) for arm, mean in study.pair_means(measure, axes, key) if np.isfinite(mean).any()]
    if not means:
        return None, None
    base_arm, base = next((one for one in means if arm_name(one[0]) == "X-X"), means[0])
    first = _map(
        study, f"{prefix}-pairs-1", arm_name(base_arm), base, (0.0, max(float(np.nanmax(base)), 1e-9)), "cividis"
    )
    changes = [(arm, mean - base) for arm, mean in means if arm is not base_arm and np.isfinite(mean - base).any()]
    changes.sort(key=lambda one: _rank(study, axes, one[0]))
    changes = changes[:_MOST_DRAWN]
    far = max([0.01, *(float(np.nanmax(np.abs(change))) for _, change in changes)])
    drawn = [
        _map(
            study,
            f"{prefix}-pairs-{place}-{slug(arm_name(arm))}",
            f"{study.names.short(arm)} − {arm_name(base_arm)}",
            change,
            (-far, far),
            "PuOr",
        )
        for place, (arm, change) in enumerate(changes, start=2)
    ]
    name = label(arm_name(base_arm))
    caption = (
        f"The first map is {measure} of {name}, mean over seeds: rows are query languages, columns passage languages, "
        "dark blue is 0. The outlined diagonal is monolingual, the cells beside it are cross-lingual, the column set "
        f"apart searches all languages at once. The others are differences to {name} in hundredths: violet is "
        f"better, orange is worse; their scale ends at ±{number(far)}. {study.names.caption}"
    )
    more = (
        Panels(f"Differences to {name}, to the same scale.", tuple(drawn[_MOST_SHOWN:]))
        if drawn[_MOST_SHOWN:]
        else None
    )
    return Panels(caption, (first, *drawn[:_MOST_SHOWN])), more


def _rank(study: Study, axes: Mapping[str, Any], arm: Arm) -> int:
    """X-Y first, then the best mix of each aim, then the others as they come."""
    best = [one.best for one in study.headline_under(axes)]
    return 0 if arm_name(arm) == "X-Y" else 1 + best.index(arm.label) if arm.label in best else 1 + len(best)


def _map(study: Study, name: str, title: str, matrix: np.ndarray, limits: tuple[float, float], palette: str) -> Figure:
    languages = study.languages
    figure = pair_map(
        name, title, matrix, languages, limits, palette, two_digits if palette == "cividis" else hundredths
    )
    rows = [
        [query, pool, value]
        for query, values in zip(languages, matrix.tolist(), strict=True)
        for pool, value in zip([*languages, "all"], values, strict=True)
        if value == value
    ]
    return with_data(
        figure, ["query language", "passage language", "value" if palette == "cividis" else "difference"], rows
    )
