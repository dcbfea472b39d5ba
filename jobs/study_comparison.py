"""Two studies that stand in a root -> what differs between them, for a terminal, for scripts and as a page."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import ConfigError, DataError
from cluster.storage import Store, open_result_set
from jobs.ablation.result import ANALYSIS, STUDIES
from jobs.catalogue import result_sets

if TYPE_CHECKING:
    from retrieval.analysis.study import StudyAnalysis

_FEWEST_DIGITS = 4


def is_study(name: str) -> bool:
    """Whether a name is that of a study: `studies/...`."""
    return name.startswith(f"{STUDIES}/")


def comparing_studies(
    store: Store, first: str, second: str, collection: str | None = None, out: Path | None = None
) -> dict[str, Any]:
    """Differences of the mixes that two studies share, as plain values and in words.

    Args:
        store: where they stand.
        first, second: `studies/` and the first digits of a fingerprint.
        collection: a further collection of the studies; None: their first.
        out: where to write the page; None: nowhere.

    Raises:
        ConfigError: a name means nothing or more than one study.
        DataError: a study has no analysis, or the two have no measure in common.
    """
    from retrieval.analysis.two_studies import compare_studies
    from retrieval.report.study import write_study_comparison
    from retrieval.report.study.comparison import gather_comparison
    from retrieval.report.text import parts_of

    names = (_find(store, first), _find(store, second))
    ours, theirs = (_analysis(store, name, collection) for name in names)
    contents = gather_comparison(ours, theirs, names)
    lines = [f"first: {names[0]}   second: {names[1]}", *contents.summary]
    for measure in contents.measures:
        lines += ["", f"{measure.heading}:", *(f"  {sentence}" for sentence in measure.findings)]
    if out is not None:
        write_study_comparison(out, ours, theirs, names)
        lines += ["", f"page: {out / 'index.html'}"]
    pair = compare_studies(ours, theirs)
    plain = [
        {"setting": one.first.setting, "measure": one.first.measure, "axes": [one.first.axes, one.second.axes]}
        | {"mix": mix.arm.label, "mean_first": mix.first.mean, "mean_second": mix.second.mean}
        | {"difference": mix.estimate, "low": mix.low, "high": mix.high}
        for one in pair.measures
        for mix in one.mixes
    ]
    return {
        "first": names[0],
        "second": names[1],
        "mixes": plain,
        "not_compared": list(pair.without_counterpart),
        "page": str(out / "index.html") if out is not None else None,
        "text": "\n".join("".join(parts_of(line)) for line in lines),
    }


def _find(store: Store, name: str) -> str:
    wanted = name.strip("/")
    if len(wanted) < len(STUDIES) + 1 + _FEWEST_DIGITS:
        raise ConfigError(f"'{name}': give `{STUDIES}/` and at least {_FEWEST_DIGITS} digits of a study's name")
    found = [study for study in result_sets(store, STUDIES) if study.startswith(wanted)]
    if len(found) != 1:
        known = ", ".join(result_sets(store, STUDIES)) or "none"
        said = (
            f"is the beginning of {len(found)} studies; give more digits" if found else f"is no study; known: {known}"
        )
        raise ConfigError(f"{store.uri}: '{name}' {said}")
    return found[0]


def _analysis(store: Store, name: str, collection: str | None) -> "StudyAnalysis":
    from retrieval.analysis.stored import from_json

    study = open_result_set(store, name)
    file = f"{collection}/{ANALYSIS}" if collection else ANALYSIS
    if file not in study.files:
        known = [key.removesuffix(f"/{ANALYSIS}") for key in study.files if key.endswith(f"/{ANALYSIS}")]
        also = f"; its further collections: {', '.join(known)}" if known else ""
        raise DataError(f"{store.where(name)}: has no {file}{also}")
    return from_json(study.path(file).read_text(encoding="utf-8"), f"{name}/{file}")
