"""Trials that are over -> the result set `studies/<fingerprint>`: tables, analysis, page.

trials.parquet    a row per trial: name, seed, exact shares, axes
values.parquet    a row per trial, setting, measure and query id
pairs.parquet     a row per trial, setting, measure and language pair
analysis.json     what they show (docs/studies-analysis.md)
costs.parquet     a row per trial: status, steps, seconds; it alone differs when a study is done over again
baselines.json    means of BM25 and of the untrained encoder
index.html        the page, with summary.md, figures, tables and costs (docs/report.md)

The first collection to evaluate on stands here; each further one in a folder of its name, with the same files.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.config import to_plain
from cluster.documents import parse_json
from cluster.fingerprint import fingerprint
from cluster.logs import get_logger
from cluster.storage import ResultSet, Store, open_result_set, result_set_exists, write_result_set
from jobs.ablation.ledger import Entry
from jobs.ablation.study import StudyConfig
from jobs.ablation.work import ARM
from jobs.config import plain_config
from jobs.stages import Shared, Stages
from retrieval.evaluate import PER_QUERY, PER_QUERY_BIAS, SUMMARY
from retrieval.groups import open_groups

STUDIES = "studies"
PAGE = "index.html"
TRIALS, VALUES, PAIRS, COSTS = "trials.parquet", "values.parquet", "pairs.parquet", "costs.parquet"
ANALYSIS, BASELINES = "analysis.json", "baselines.json"
VERSION = 2
_MAX_GROUPS = "data.max_groups"
_PAIR_COLUMNS = ("trial", "query_language", "passage_language", "setting", "measure", "value")
_COST_COLUMNS = ("train_seconds", "evaluate_seconds", "queries_per_second")
_NOT_IN_A_STUDY = ("concurrency", "log_to", "on_failure")
"""Where and how fast, which leaves the result as it is."""
_logger = get_logger("study")


def plain_study(study: StudyConfig) -> dict[str, Any]:
    """The configuration as it is stored with a study's results."""
    plain = {name: value for name, value in to_plain(study).items() if name not in _NOT_IN_A_STUDY}
    return plain | {"run": plain_config(study.run)}


def write_study(store: Store, study: StudyConfig, entries: Sequence[Entry]) -> tuple[ResultSet, str]:
    """The result of a study with these trials, written if it is not there; and where its page stands."""
    entries = sorted(entries, key=lambda entry: entry.trial.name)
    identity = {
        "version": VERSION,
        "study": plain_study(study),
        "trials": [[entry.trial.name, entry.status, entry.steps] for entry in entries],
    }
    name = f"{STUDIES}/{fingerprint(identity)}"
    if not result_set_exists(store, name):
        _logger.info("analysing %d trials", len(entries))
        with write_result_set(store, name, {"stage": "study", **identity}) as folder:
            for number, collection in enumerate(study.run.data.evaluation):
                _write(folder / collection if number else folder, store, study, entries, collection)
    result = open_result_set(store, name)
    return result, store.where(store.link(f"{name}/{PAGE}"))


def _write(folder: Path, store: Store, study: StudyConfig, entries: Sequence[Entry], collection: str) -> None:
    from retrieval.analysis.study import analyse_study, as_json
    from retrieval.report.study import write_study_report

    folder.mkdir(exist_ok=True)
    finished = [entry for entry in entries if entry.status == "finished"]
    evaluations = {e.trial.name: open_result_set(store, e.evaluations[collection]) for e in finished}
    costs = pa.Table.from_pylist([_costs(entry) for entry in entries])
    trials = trial_rows(store, study, finished)
    values = _values(evaluations, study.analysis.measures)
    pairs = _pairs(evaluations)
    settings = study.analysis
    analysis = analyse_study(
        trials,
        values,
        measures=list(map(_split, settings.measures)),
        objectives=list(map(_split, settings.objectives)),
        costs={name: better == "more" for name, better in settings.costs.items()},
        resamples=settings.resamples,
        seed=settings.seed,
    )
    for name, table in ((TRIALS, trials), (VALUES, values), (PAIRS, pairs), (COSTS, costs)):
        pq.write_table(table, folder / name)
    (folder / ANALYSIS).write_text(as_json(analysis), encoding="utf-8")
    (folder / BASELINES).write_text(json.dumps(_baselines(store, study, entries, collection), indent=1), "utf-8")
    title = study.name if len(study.run.data.evaluation) == 1 else f"{study.name}: {collection}"
    # The page names the mixes of the trials that were stopped, too.
    every_trial = trial_rows(store, study, entries)
    write_study_report(folder, title, plain_study(study), every_trial, values, pairs, costs, analysis)


def _split(name: str) -> tuple[str, str]:
    setting, _, measure = name.partition(".")
    return setting, measure


def trial_rows(store: Store, study: StudyConfig, entries: Sequence[Entry]) -> pa.Table:
    """Rows as `retrieval.analysis.observations` reads them; with costs only where the analysis asks for them."""
    wanted, shared = study.analysis.costs, Shared()
    rows = [
        e.trial.row() | _all_groups(store, shared, e) | {f"cost:{name}": e.costs.get(name) for name in wanted}
        for e in entries
    ]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: [row.get(name) for row in rows] for name in columns})


def _all_groups(store: Store, shared: Shared, entry: Entry) -> dict[str, str]:
    """How many groups there are, in place of `null` on the axis of their number, so that the axis has a slope."""
    if entry.trial.overrides.get(_MAX_GROUPS, 0) is not None:
        return {}
    groups = open_groups(Stages(entry.trial.config, store.uri, shared).groups)
    return {f"axis:{_MAX_GROUPS}": json.dumps(sum(source.num_groups for source in groups.sources))}


def _costs(entry: Entry) -> dict[str, Any]:
    known = {name: entry.costs.get(name) for name in _COST_COLUMNS}
    return {"trial": entry.trial.name, "status": entry.status, "steps": entry.steps} | known


def _values(evaluations: dict[str, ResultSet], measures: Sequence[str]) -> pa.Table:
    from retrieval.analysis.observations import query_values

    by_setting: dict[str, list[str]] = {}
    for setting, measure in map(_split, measures):
        by_setting.setdefault(setting, []).append(measure)
    parts = []
    for trial, evaluation in evaluations.items():
        for setting, names in by_setting.items():
            file = PER_QUERY_BIAS if setting == "bias" else PER_QUERY
            rows = query_values(pq.read_table(evaluation.path(file)), names, setting)
            parts.append(rows.add_column(0, "trial", pa.array([trial] * rows.num_rows)))
    return pa.concat_tables(parts)


def _pairs(evaluations: dict[str, ResultSet]) -> pa.Table:
    rows = []
    for trial, evaluation in evaluations.items():
        summary = parse_json(evaluation.path(SUMMARY).read_text(encoding="utf-8"))
        for pair in summary["pairs"]:
            keys = ("setting", "query_language", "pool_language", "num_queries")
            passage = "" if pair["pool_language"] == "*" else pair["pool_language"]
            for measure, value in pair.items():
                if measure not in keys:
                    rows.append((trial, pair["query_language"], passage, pair["setting"], measure, value))
    columns = zip(*rows, strict=True)
    return pa.table({name: pa.array(list(column)) for name, column in zip(_PAIR_COLUMNS, columns, strict=True)})


def _baselines(store: Store, study: StudyConfig, entries: Sequence[Entry], collection: str) -> dict[str, Any]:
    """Means of each baseline, as far as they have been evaluated."""
    from trainer.telemetry import brief

    first = next((e.trial for e in entries if e.trial.seed == study.seeds[0]), entries[0].trial)
    stages = Stages(first.config, store.uri)
    found = {}
    for name in stages.retrievers():
        if name != ARM:
            evaluation = stages.judging.evaluation(name, collection)
            found[name] = brief(parse_json(evaluation.path(SUMMARY).read_text(encoding="utf-8")))
    return found
