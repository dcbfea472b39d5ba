"""A whole study: every trial that is not over yet, then the tables. Started again, it goes on where it was."""

import time
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import WorkError
from cluster.logs import get_logger
from cluster.storage import ResultSet, open_store
from jobs.ablation.check import check_study
from jobs.ablation.found import known_trials
from jobs.ablation.ledger import Entry, Ledger
from jobs.ablation.study import StudyConfig, trials

_logger = get_logger("study")


@dataclass(frozen=True)
class StudyResult:
    """What a study came to."""

    result_set: ResultSet
    report: str
    """Where the HTML page stands."""
    entries: list[Entry]
    """Its trials that are over."""
    seconds: float


def run_study(study: StudyConfig, root: str | None = None, tensorboard: Path | None = None) -> StudyResult:
    """Do what is missing of a study and write its result.

    Args:
        tensorboard: folder for TensorBoard's files; None = `.tensorboard` of a root that is a folder.

    Raises:
        WorkError: a trial failed, and the study does not leave such trials out.
    """
    from jobs.ablation.result import write_study

    started = time.monotonic()
    check_study(study, root)
    store = open_store(root or study.run.root, study.run.storage)
    ledger = Ledger(store, study.scheduler.model_dump(mode="json") if study.scheduler else None)
    planned = trials(study)
    known = known_trials(study, store, planned)
    entries = [entry for trial in known or planned if (entry := ledger.entry(trial))]
    _logger.info("%s: %d trials, %d of them are over", study.name, len(known or planned), len(entries))
    if known is None or len(entries) < len(known):
        from jobs.ablation.session import run_session

        entries = run_session(study, store, ledger, planned, tensorboard)
    if not any(entry.status == "finished" for entry in entries):
        raise WorkError(f"study {study.name}: no trial was finished; see the lines above")
    result, page = write_study(store, study, entries)
    return StudyResult(result, page, entries, time.monotonic() - started)
