"""What stands in a root: runs and nights. Only their manifests and verdicts are read, so that a listing is quick."""

from datetime import date
from typing import Any, TypeVar

from pydantic import ValidationError

from cluster.config import describe
from cluster.documents import parse_json
from cluster.errors import DataError
from cluster.storage import Store, result_set_exists
from cluster.storage.result_set import COMMIT, MANIFEST, parse_manifest
from jobs.records import NIGHTS, RUNS, Night, Record, RunRecord, night_name

VERDICT = "verdict.json"
RecordType = TypeVar("RecordType", bound=Record)


def result_sets(store: Store, below: str = "") -> list[str]:
    """Names of the committed result sets below a prefix."""
    ending = f"/{COMMIT}"
    return [key.removesuffix(ending) for key in store.list(below) if key.endswith(ending)]


def manifest(store: Store, name: str) -> dict[str, Any]:
    """The manifest of a committed result set: its `files`, and in `about` what the writer said about them."""
    key = f"{name}/{MANIFEST}"
    about, files = parse_manifest(_bytes(store, key), store.where(key))
    return {"about": about, "files": files}


def read_run(store: Store, name: str) -> RunRecord:
    """The record of a run.

    Raises:
        DataError: there is no such run, or one that was written before runs carried a record.
    """
    if not result_set_exists(store, name):
        raise DataError(f"{store.where(name)}: no such run; see `mixlingual results list`")
    record = manifest(store, name)["about"].get("record")
    if not isinstance(record, dict):
        raise DataError(f"{store.where(name)}: carries no record; delete it and write its report again")
    return _parsed(RunRecord, record | {"name": name}, store.where(name))


def runs(store: Store) -> list[RunRecord]:
    """All runs that carry a record, the oldest first."""
    found = [
        _parsed(RunRecord, record | {"name": name}, store.where(name))
        for name in result_sets(store, RUNS)
        if isinstance(record := manifest(store, name)["about"].get("record"), dict)
    ]
    return sorted(found, key=lambda run: (run.finished.timestamp() if run.finished else 0.0, run.name))


def read_night(store: Store, day: date) -> Night | None:
    """A night that is over, or None where there is none of that date.

    Raises:
        DataError: its verdict cannot be read.
    """
    name = night_name(day)
    if not result_set_exists(store, name):
        return None
    key = f"{name}/{VERDICT}"
    return _parsed(Night, _json(store, key), store.where(key))


def nights(store: Store) -> list[Night]:
    """All nights that are over, the oldest first."""
    days = []
    for name in result_sets(store, NIGHTS):
        try:
            days.append(date.fromisoformat(name.removeprefix(f"{NIGHTS}/")))
        except ValueError:
            continue  # something of somebody's
    return [night for day in sorted(days) if (night := read_night(store, day)) is not None]


def _bytes(store: Store, key: str) -> bytes:
    try:
        return store.read_bytes(key)
    except FileNotFoundError:
        raise DataError(f"{store.where(key)}: missing; delete the result set and run again") from None


def _json(store: Store, key: str) -> dict[str, Any]:
    try:
        value = parse_json(_bytes(store, key))
    except ValueError as error:
        raise DataError(f"{store.where(key)}: not JSON ({error}); delete the result set and run again") from None
    if not isinstance(value, dict):
        raise DataError(f"{store.where(key)}: holds no mapping; delete the result set and run again")
    return value


def _parsed(model: type[RecordType], fields: dict[str, Any], where: str) -> RecordType:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise DataError(f"{where}: {describe(error, model)}; read it with the program that wrote it") from None
