"""What stands in a store: manifests, commit objects, leases, notes, records, checkpoints' and reports' JSON."""

import contextlib
import functools
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fuzz.targets import Target

from cluster.errors import DataError
from cluster.fingerprint import file_sha256
from cluster.storage import Store, open_result_set, open_store, write_result_set
from cluster.storage.lease import FOLDER, newest_lease
from cluster.storage.result_set import COMMIT, MANIFEST
from cluster.storage.s3 import parse_commit
from cluster.storage.store import check_key
from jobs.catalogue import VERDICT, nights, read_night, read_run, runs
from jobs.nightly import schedule
from jobs.nightly.config import NightlyConfig
from jobs.prune import NOTE, plan_pruning

NAME = "runs/0123456789abcdef"
NIGHT = "nightly/2026-01-02"
ESTIMATE = {"mean": 0.5, "low": 0.4, "high": 0.6}
RECORD = {
    "name": NAME,
    "title": "small",
    "finished": "2026-01-01T00:00:00Z",
    "revision": "r",
    "collections": {"test": "c0"},
    "arms": [
        {
            "name": "hybrid",
            "role": "trained",
            "encoder": "encoders/1",
            "evaluations": {"test": "evaluations/1"},
            "figures": {"test": {"mono": {"mAP": ESTIMATE}}},
        }
    ],
}
FINDING = {
    "arm": "hybrid", "collection": "test", "setting": "mono", "measure": "mAP", "tonight": 0.4, "before": 0.5,
    "difference": -0.1, "low": -0.2, "high": -0.05, "p_value": 0.001, "p_holm": 0.01, "num_ids": 40, "min_drop": 0.01,
    "outcome": "regression",
}  # fmt: skip
VERDICT_FIELDS = {
    "version": 1, "date": "2026-01-02", "outcome": "regression", "baseline": "2026-01-01", "run": RECORD,
    "unchanged": False, "commit": "abc", "started": "2026-01-02T01:00:00Z", "finished": "2026-01-02T02:00:00Z",
    "level": 0.05, "history": 60, "findings": [FINDING],
    "not_compared": [{"arm": "x", "collection": "test", "reason": "new"}],
}  # fmt: skip


def store_with(folder: Path, name: str, about: dict[str, Any], files: dict[str, bytes]) -> Store:
    """A store with one result set; made once for a folder."""
    store = open_store(folder / "root")
    if not store.exists(f"{name}/{COMMIT}"):
        with write_result_set(store, name, about) as staged:
            for file, content in files.items():
                (staged / file).write_bytes(content)
    return store


def recommit(place: Path) -> None:
    """Have the commit object agree with the manifest, as a writer's would."""
    (place / COMMIT).write_text(file_sha256(place / MANIFEST), encoding="utf-8")


def _manifest(data: bytes, folder: Path) -> None:
    store = store_with(folder, NAME, {"record": RECORD}, {"a.txt": b"a"})
    place = folder / "root" / NAME
    (place / MANIFEST).write_bytes(data)
    recommit(place)
    for read in (lambda: runs(store), lambda: read_run(store, NAME)):
        _tolerated(read)
    _tolerated(lambda: plan_pruning(store, 0, None, datetime(2026, 2, 1, tzinfo=UTC).date()))
    open_result_set(store, NAME)


def _tolerated(read: Callable[[], object]) -> None:
    """Our own errors may come from several readers of one file."""
    with contextlib.suppress(DataError):
        read()


def _commit(data: bytes, folder: Path) -> None:
    store = store_with(folder, NAME, {}, {"a.txt": b"a"})
    (folder / "root" / NAME / COMMIT).write_bytes(data)
    open_result_set(store, NAME)


def _commit_seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory() as name:
        store_with(Path(name), NAME, {}, {"a.txt": b"a"})
        return [(Path(name) / "root" / NAME / COMMIT).read_bytes()]


def _s3_commit(data: bytes, folder: Path) -> None:
    parse_commit(data, "s3://bucket/x/COMMIT")


def _lease(data: bytes, folder: Path) -> None:
    store = open_store(folder / "root")
    store.write_bytes(f"{FOLDER}/nightly/000000000003", data)
    newest_lease(store, "nightly")


def _lease_name(data: bytes, folder: Path) -> None:
    name = data.decode(errors="replace")
    check_key(f"{FOLDER}/nightly/{name}")
    path = folder / "root" / FOLDER / "nightly" / "x"
    if not name or "/" in name or len(name.encode()) > 100 or name in (".", ".."):
        return
    store = open_store(folder / "root")
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.iterdir():
        old.unlink()
    store.write_bytes(f"{FOLDER}/nightly/{name}", b'{"holder": "x", "seconds": 60}')
    newest_lease(store, "nightly")


def _night(data: bytes, folder: Path) -> None:
    store = store_with(folder, NIGHT, {}, {VERDICT: b"{}"})
    (folder / "root" / NIGHT / VERDICT).write_bytes(data)
    _tolerated(lambda: nights(store))
    read_night(store, datetime(2026, 1, 2, tzinfo=UTC).date())


def _night_note(data: bytes, folder: Path) -> None:
    store = open_store(folder / "root")
    store.write_bytes(f"{schedule.FOLDER}/2026-01-02", data)
    schedule.begin(store, _nightly(), datetime(2026, 1, 2, 3, tzinfo=UTC), None)


@functools.cache
def _nightly() -> NightlyConfig:
    from fuzz.configurations import NIGHTLY

    from cluster.config import build_config, parse_yaml

    return build_config(NightlyConfig, parse_yaml(NIGHTLY.decode(), "here"))


def _prune_note(data: bytes, folder: Path) -> None:
    store = open_store(folder / "root")
    store.write_bytes(NOTE, data)
    plan_pruning(store, 1, None, datetime(2026, 1, 2, tzinfo=UTC).date())


def _key(data: bytes, folder: Path) -> None:
    store = open_store(folder / "root")
    key = check_key(data.decode(errors="surrogateescape"))
    path = Path(store.where(key))
    assert path.resolve().is_relative_to((folder / "root").resolve()), f"{key!r} leaves its root"


def _manifest_seed() -> bytes:
    digest = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    about = {"record": RECORD, "stage": "run"}
    return json.dumps({"version": 1, "about": about, "files": {"a.txt": {"bytes": 1, "sha256": digest}}}).encode()


TARGETS = (
    Target("manifest", _manifest, lambda: [_manifest_seed()], cost=25),
    Target("commit", _commit, _commit_seeds, cost=3),
    Target("s3_commit", _s3_commit, lambda: [b'{"version": 1, "upload": "abc", "manifest": "0a"}']),
    Target(
        "lease", _lease, lambda: [b'{"holder": "host:1:aa", "seconds": 60.0, "beats": 3, "released": false}'], cost=15
    ),
    Target("lease_name", _lease_name, lambda: [b"000000000003", b"x.y"], cost=15),
    Target("night", _night, lambda: [json.dumps(VERDICT_FIELDS).encode()], cost=10),
    Target("night_note", _night_note, lambda: [b'{"begun": "2026-01-02T01:00:00+00:00"}'], cost=40),
    Target("prune_note", _prune_note, lambda: [b'["runs/1", "groups/2"]'], cost=20),
    Target("key", _key, lambda: [b"a/b.txt", b"runs/0123/x"], cost=2),
)
