"""Results that stand in a root: listed, shown, and compared by paired tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from cluster.errors import ConfigError, DataError
from cluster.storage import Store
from jobs.catalogue import nights, read_night, read_run, result_sets, runs
from jobs.comparison import BIAS, RANK_DISTANCE, check_measures, compare_runs
from jobs.records import NIGHTS, RUNS, ArmRecord, Night, RunRecord, night_name

LAST = "last"
_LIST_COLUMNS = ("name", "date", "title", "verdict", "collection", "best arm", "mono", "cross", "multi", "rank dist.")
_SETTINGS = ("mono", "cross", "multi")
_FEWEST_DIGITS = 4


@dataclass(frozen=True)
class Result:
    """A run, perhaps as part of a night."""

    name: str
    """`runs/<fingerprint>` or `nightly/<date>`."""
    run: RunRecord
    night: Night | None = None

    @property
    def day(self) -> date | None:
        """Date of the night, or on which the run was finished (UTC)."""
        if self.night is not None:
            return self.night.date
        return self.run.finished.date() if self.run.finished else None


def all_results(store: Store) -> list[Result]:
    """Runs of their own, then nights, the oldest first; a night's run is listed with its night."""
    of_nights = [Result(night_name(night.date), night.run, night) for night in nights(store)]
    taken = {result.run.name for result in of_nights}
    return [*(Result(run.name, run) for run in runs(store) if run.name not in taken), *of_nights]


def find(store: Store, name: str) -> Result:
    """The result that a name means: in full, a night's date, the beginning of a run's fingerprint, or `last`.

    Raises:
        ConfigError: it means nothing, or more than one.
    """
    if name == LAST:
        found = nights(store)
        if not found:
            raise ConfigError(f"{store.uri}: there is no night; name a run, see `mixlingual results list`")
        return Result(night_name(found[-1].date), found[-1].run, found[-1])
    short = name.removeprefix(f"{NIGHTS}/").strip("/")
    try:
        night = read_night(store, date.fromisoformat(short))
    except ValueError:
        return Result(run := _run_name(store, name), read_run(store, run))
    if night is None:
        raise ConfigError(f"{store.uri}: there is no night of {short}; see `mixlingual results list`")
    return Result(night_name(night.date), night.run, night)


def _run_name(store: Store, name: str) -> str:
    wanted = f"{RUNS}/{name.removeprefix(f'{RUNS}/').strip('/')}"
    if len(wanted) < len(RUNS) + 1 + _FEWEST_DIGITS:
        raise ConfigError(f"'{name}': give a date, `{LAST}`, or at least {_FEWEST_DIGITS} digits of a run's name")
    found = [run for run in result_sets(store, RUNS) if run.startswith(wanted)]
    if len(found) != 1:
        said = f"is the beginning of {len(found)} runs; give more digits" if found else "is no run or night"
        raise ConfigError(f"{store.uri}: '{name}' {said}; see `mixlingual results list`")
    return found[0]


def listing(results: Sequence[Result]) -> str:
    """A line for each result and collection, with its best trained arm (by the mean mAP of its settings)."""
    lines = []
    for result in results:
        for collection in result.run.collections:
            best = max(_trained(result.run, collection), key=lambda arm: _mean(arm, collection), default=None)
            head = [result.name, str(result.day or "–"), result.run.title]
            head.append(result.night.outcome if result.night else "–")
            figures = _headline(best, collection) if best else ["–"] * 4
            lines.append([*head, collection, best.name if best else "–", *figures])
    return text_table(_LIST_COLUMNS, lines) if lines else "no runs and no nights"


def _trained(run: RunRecord, collection: str) -> list[ArmRecord]:
    return [arm for arm in run.arms if arm.role == "trained" and collection in arm.figures]


def _mean(arm: ArmRecord, collection: str) -> float:
    values = [_value(arm, collection, setting, "mAP") for setting in _SETTINGS]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0


def _value(arm: ArmRecord, collection: str, setting: str, measure: str) -> float | None:
    estimate = arm.figures.get(collection, {}).get(setting, {}).get(measure)
    return estimate.mean if estimate else None


def _headline(arm: ArmRecord, collection: str) -> list[str]:
    shares = [_value(arm, collection, setting, "mAP") for setting in _SETTINGS]
    distance = _value(arm, collection, BIAS, RANK_DISTANCE)
    return [
        *("–" if share is None else f"{share:.3f}" for share in shares),
        "–" if distance is None else f"{distance:.1f}",
    ]


def showing(store: Store, result: Result) -> str:
    """Everything that is kept of a result, for a terminal."""
    from jobs.nightly.words import terminal
    from retrieval.report.measures import HEADLINE

    run = result.run
    lines = [terminal(result.night), ""] if result.night else []
    lines += [f"{run.name}: {run.title}", f"report: {store.where(f'{run.name}/index.html')}"]
    if run.finished:
        lines.append(f"finished: {run.finished.isoformat()}")
    if run.revision:
        lines.append(f"revision: {run.revision}" + (f", commit {result.night.commit}" if result.night else ""))
    for collection in run.collections:
        shown = [measure.key for measure in HEADLINE]
        rows = [
            [arm.name, setting, *(_estimate(arm, collection, setting, measure) for measure in shown)]
            for setting in _SETTINGS
            for arm in run.arms
            if setting in arm.figures.get(collection, {})
        ]
        lines += ["", collection, text_table(("arm", "setting", *shown), rows, words=2)]
        distances = [
            f"{arm.name} {value:.1f}"
            for arm in run.arms
            if (value := _value(arm, collection, BIAS, RANK_DISTANCE)) is not None
        ]
        lines += [f"rank distance: {', '.join(distances)}"] if distances else []
    return "\n".join(lines)


def _estimate(arm: ArmRecord, collection: str, setting: str, measure: str) -> str:
    estimate = arm.figures[collection][setting].get(measure)
    if estimate is None or estimate.mean is None:
        return "–"
    ends = f" ({estimate.low:.3f}–{estimate.high:.3f})" if estimate.low is not None else ""
    return f"{estimate.mean:.3f}{ends}"


def comparing(store: Store, first: Result, second: Result, measures: Sequence[str]) -> dict[str, Any]:
    """Paired tests of the arms that two results share, as plain values and as a table for a terminal.

    Raises:
        ConfigError: an unknown measure.
        DataError: nothing of the two can be compared; says why.
    """
    check_measures(measures, "--measure")
    compared, left_out = compare_runs(store, first.run, second.run, measures, (first.name, second.name), trained=False)
    missing = [f"{one.arm} on {one.collection}: {one.reason}" for one in left_out]
    if not compared:
        raise DataError(f"{first.name} and {second.name} share nothing to compare: {'; '.join(missing)}")
    headings = ("arm", "collection", "setting", "measure", "first", "second", "difference", "95 % interval", "p (Holm)")
    rows, plain = [], []
    for one in compared:
        result = one.result
        digits = 1 if result.measure == RANK_DISTANCE else 4
        rows.append([
            one.arm, one.collection, result.setting, result.measure,
            f"{result.mean_first:.{digits}f}", f"{result.mean_second:.{digits}f}", f"{result.difference:+.{digits}f}",
            f"{result.low:+.{digits}f} to {result.high:+.{digits}f}", f"{result.p_holm:.2g}",
        ])  # fmt: skip
        names = {"arm": one.arm, "collection": one.collection, "setting": result.setting, "measure": result.measure}
        plain.append(names | {name: getattr(result, name) for name in _PLAIN})
    text = [f"first: {first.name}   second: {second.name}", text_table(headings, rows, words=4)]
    text.append(f"paired randomisation tests over query ids, Holm's correction over {len(rows)} tests")
    text += [f"not compared: {line}" for line in missing]
    return {
        "first": first.name,
        "second": second.name,
        "comparisons": plain,
        "not_compared": [one.model_dump() for one in left_out],
        "text": "\n".join(text),
    }


_PLAIN = (
    "mean_first", "mean_second", "difference", "low", "high", "p_value", "p_holm", "effect_size", "num_ids",
)  # fmt: skip


def text_table(headings: Sequence[str], rows: Sequence[Sequence[str]], words: int = 6) -> str:
    """Rows in columns; the first `words` columns to the left, numbers to the right."""
    from retrieval.report.text import columns, label

    cells = [[label(cell, 40) for cell in row] for row in (headings, *rows)]
    widths = [max(columns(row[place]) for row in cells) for place in range(len(headings))]
    lines = []
    for row in cells:
        padded = []
        for place, cell in enumerate(row):
            space = " " * (widths[place] - columns(cell))
            padded.append(cell + space if place < words else space + cell)
        lines.append("  ".join(padded).rstrip())
    return "\n".join([lines[0], "-" * max(map(columns, lines)), *lines[1:]])
