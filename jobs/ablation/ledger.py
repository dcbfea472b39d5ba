"""The ledger of trials: a result set for each that is over, so that none is done twice, by whichever study.

trials/<trial>                 finished: what it is, its encoder, its evaluations, its validations; what it cost
trials/<trial>-<scheduler>     stopped by a scheduler of these settings: at which step, and its validations
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cluster.documents import parse_json
from cluster.fingerprint import fingerprint
from cluster.storage import ResultSet, Store, open_result_set, result_set_exists, write_result_set
from jobs.ablation.study import Trial

TRIALS = "trials"
RECORD, COSTS = "record.json", "costs.json"
Validations = Sequence[tuple[int, Mapping[str, Any]]]
"""Step and record of each."""


@dataclass(frozen=True)
class Entry:
    """A trial that is over."""

    trial: Trial
    status: Literal["finished", "stopped"]
    steps: int
    validations: Validations
    evaluations: dict[str, str]
    """Collection -> name of the evaluation; none where it was stopped."""
    costs: dict[str, float | None]


class Ledger:
    """The trials of a store, as a study with one scheduler sees them."""

    def __init__(self, store: Store, scheduler: Mapping[str, Any] | None) -> None:
        self._store = store
        self._ending = f"-{fingerprint(scheduler)}" if scheduler else None

    def entry(self, trial: Trial) -> Entry | None:
        """What is known of a trial; None where it is not over."""
        name = f"{TRIALS}/{trial.name}"
        if result_set_exists(self._store, name):
            return _read(trial, open_result_set(self._store, name))
        if self._ending and result_set_exists(self._store, name + self._ending):
            return _read(trial, open_result_set(self._store, name + self._ending))
        return None

    def entries(self, trials: Sequence[Trial]) -> Iterator[Entry]:
        """Those of some trials that are over."""
        return (entry for trial in trials if (entry := self.entry(trial)) is not None)

    def write_stopped(self, trial: Trial, steps: int, validations: Validations) -> None:
        """Note that the scheduler stopped a trial."""
        assert self._ending is not None, "nobody stops trials where there is no scheduler"
        record = _record(trial, "stopped", steps, validations)
        _write(self._store, f"{TRIALS}/{trial.name}{self._ending}", record, {}, {})


def write_finished(
    store: Store,
    trial: Trial,
    encoder: ResultSet,
    evaluations: Mapping[str, Sequence[str]],
    costs: Mapping[str, float | None],
) -> None:
    """Note that a trial is finished.

    Args:
        evaluations: collection -> names of the evaluations on it: as it is, then perturbed.
        costs: seconds and speed.
    """
    events = list(telemetry(encoder))
    validations = [(event["step"], event) for event in events if event["event"] == "validation"]
    steps = sum(event["event"] == "step" for event in events)
    record = _record(trial, "finished", steps, validations) | {
        "evaluations": {c: of[0] for c, of in evaluations.items()}
    }
    named = {"encoder": encoder.name, "evaluations": sorted(name for of in evaluations.values() for name in of)}
    _write(store, f"{TRIALS}/{trial.name}", record, costs, named)


def telemetry(encoder: ResultSet) -> Iterator[dict[str, Any]]:
    """The events of an encoder's training."""
    for line in encoder.path("telemetry.jsonl").read_text(encoding="utf-8").splitlines():
        yield parse_json(line)


def _record(trial: Trial, status: str, steps: int, validations: Validations) -> dict[str, Any]:
    return {
        "trial": trial.row(),
        "status": status,
        "steps": steps,
        "validations": [{**record, "step": step} for step, record in validations],
    }


def _write(
    store: Store, name: str, record: Mapping[str, Any], costs: Mapping[str, Any], named: Mapping[str, Any]
) -> None:
    with write_result_set(store, name, {"stage": "trial", "status": record["status"], **named}) as folder:
        for file, content in ((RECORD, record), (COSTS, costs)):
            text = json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
            (folder / file).write_text(text, encoding="utf-8")


def _read(trial: Trial, files: ResultSet) -> Entry:
    record = parse_json(files.path(RECORD).read_text(encoding="utf-8"))
    return Entry(
        trial=trial,
        status=record["status"],
        steps=record["steps"],
        validations=[(one["step"], one) for one in record["validations"]],
        evaluations=record.get("evaluations", {}),
        costs=parse_json(files.path(COSTS).read_text(encoding="utf-8")),
    )
