"""Small studies for real: killed and started again, added to, stopped early, searched, changed while they train."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from small_studies.studies import small_fields, small_study

from cluster.config import to_plain
from cluster.ray_runtime import RayConfig, ray_cluster
from cluster.storage import ResultSet, open_result_set, open_store
from cluster.storage.result_set import COMMIT, MANIFEST
from jobs.ablation.driver import StudyResult, run_study
from jobs.ablation.result import ANALYSIS, COSTS, PAIRS, TRIALS, VALUES

pytestmark = pytest.mark.ray
TABLES = (TRIALS, VALUES, PAIRS, ANALYSIS)
GRID = {"design": "grid", "kinds": ["mono", "cross"], "step": 0.5}
FINER = {"design": "grid", "kinds": ["mono", "cross"], "step": "1/8"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One cluster for the studies of this process."""
    with ray_cluster(RayConfig(), cpus_needed=2):
        yield


def committed(root: Path, kind: str) -> dict[str, bytes]:
    """Name of each result set of a kind -> its manifest."""
    return {path.parent.name: (path.parent / MANIFEST).read_bytes() for path in root.glob(f"{kind}/*/{COMMIT}")}


def tables(result: ResultSet) -> dict[str, bytes]:
    return {name: result.path(name).read_bytes() for name in TABLES}


def finished(done: StudyResult) -> set[str]:
    return {entry.trial.name for entry in done.entries if entry.status == "finished"}


@pytest.fixture(scope="module")
def killed_and_extended(tmp_path_factory: pytest.TempPathFactory, cluster: None) -> tuple[Path, StudyResult]:
    """A study of one seed that was killed after its first trial, and then finished with another seed beside it."""
    root = tmp_path_factory.mktemp("killed")
    config = root / "study.yaml"
    config.write_text(json.dumps(small_fields(mixes=[GRID], concurrency=2)), encoding="utf-8")
    command = [sys.executable, "-m", "jobs.cli", "ablate", "--config", str(config), "--root", str(root / "root")]
    # A session of its own: what is killed is the driver and the cluster it has started.
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    while not committed(root / "root", "trials"):
        if process.poll() is not None:
            pytest.fail(f"ended before it was killed: {process.stderr and process.stderr.read()}")
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = {kind: committed(root / "root", kind) for kind in ("trials", "encoders", "evaluations")}
    assert not committed(root / "root", "studies")
    done = run_study(small_study(mixes=[GRID], seeds=[0, 1], concurrency=2), str(root / "root"))
    for kind, sets in before.items():
        now = committed(root / "root", kind)
        assert {name: now.get(name) for name in sets} == sets, f"{kind} were made anew"
    return root / "root", done


@pytest.mark.long
def test_a_killed_study_ends_as_an_undisturbed_one(
    killed_and_extended: tuple[Path, StudyResult], tmp_path: Path, cluster: None
) -> None:
    _, done = killed_and_extended
    other = run_study(small_study(mixes=[GRID], seeds=[0, 1], concurrency=1), str(tmp_path))
    assert len(finished(done)) == 6 and finished(other) == finished(done)
    assert tables(done.result_set) == tables(other.result_set)
    assert done.result_set.name == other.result_set.name
    costs = pq.read_table(done.result_set.path(COSTS)).to_pylist()
    assert {row["steps"] for row in costs} == {12} and all(row["train_seconds"] > 0 for row in costs)
    assert not list(Path(tmp_path, "training").glob("*"))


@pytest.mark.long
def test_a_study_that_is_over_does_nothing(killed_and_extended: tuple[Path, StudyResult]) -> None:
    root, done = killed_and_extended
    before = committed(root, "trials")
    again = run_study(small_study(mixes=[GRID], seeds=[0, 1]), str(root))
    assert again.result_set.name == done.result_set.name and committed(root, "trials") == before
    assert again.seconds < 60


@pytest.mark.long
def test_asha_stops_trials_and_says_so(killed_and_extended: tuple[Path, StudyResult], cluster: None) -> None:
    root, earlier = killed_and_extended
    asha = {"scheduler": "asha", "measure": "mean.mAP", "grace_steps": 4}
    before = committed(root, "trials")
    study = small_study(mixes=[GRID, FINER], seeds=[0, 1], scheduler=asha, concurrency=2)
    done = run_study(study, str(root))
    stopped = {entry.trial.name: entry for entry in done.entries if entry.status == "stopped"}
    assert len(done.entries) == 18 and finished(earlier) <= finished(done)
    assert stopped and {entry.steps for entry in stopped.values()} <= {4, 8}
    assert committed(root, "trials").items() >= before.items()
    assert len(committed(root, "encoders")) == 2 + len(finished(done)), "a stopped trial has left an encoder"
    costs = {row["trial"]: row for row in pq.read_table(done.result_set.path(COSTS)).to_pylist()}
    assert {name for name, row in costs.items() if row["status"] == "stopped"} == set(stopped)
    assert set(pq.read_table(done.result_set.path(TRIALS))["trial"].to_pylist()) == finished(done)
    assert not list((root / "training").glob("*"))
    assert list((root / ".tensorboard" / "small").glob("*/events*"))
    # Started again, those that were stopped stay so.
    again = run_study(study, str(root))
    assert again.result_set.name == done.result_set.name


@pytest.mark.long
def test_a_search_gives_the_same_suggestions_at_any_pace(tmp_path: Path, cluster: None) -> None:
    search = {"suggestions": 5, "batch": 2, "denominator": 4, "objectives": ["mono.mAP", "cross.mAP"], "confirm": 1}
    done = [
        run_study(small_study(search=search, seeds=[0, 1], concurrency=number), str(tmp_path / str(number)))
        for number in (1, 2)
    ]
    assert finished(done[0]) == finished(done[1]) and tables(done[0].result_set) == tables(done[1].result_set)
    mixes = {entry.trial.mix for entry in done[0].entries}
    both_seeds = [mix for mix in mixes if len([e for e in done[0].entries if e.trial.mix == mix]) == 2]
    assert len(done[0].entries) in range(2 * 2 + 4, 2 * 2 + 5 + 1 + 1) and len(both_seeds) >= 2


@pytest.mark.long
def test_a_member_of_a_population_is_a_run_with_its_mix(tmp_path: Path, cluster: None) -> None:
    population = {"scheduler": "population", "measure": "mean.mAP", "interval": 4, "shift": 0.25, "quantile": 0.5}
    study = small_study(mixes=[GRID], scheduler=population, concurrency=2)
    done = run_study(study, str(tmp_path / "population"))
    changed = [entry for entry in done.entries if entry.trial.changes]
    assert len(done.entries) == 3 and changed
    mix = changed[0].trial.mix
    assert [knot.step for knot in mix][:3] == [0, 3, 4] or [knot.step for knot in mix][:3] == [0, 7, 8]
    listed = {"design": "list", "mixes": [to_plain(changed[0].trial.config.mixing)["mix"]]}
    alone = run_study(small_study(mixes=[listed]), str(tmp_path / "alone"))
    assert finished(alone) == {changed[0].trial.name}
    weights = [
        next((tmp_path / where / _encoder(tmp_path / where, changed[0].trial.name)).glob("encoder/model.safetensors"))
        for where in ("population", "alone")
    ]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    again = run_study(study, str(tmp_path / "population"))
    assert again.result_set.name == done.result_set.name


def _encoder(root: Path, trial: str) -> str:
    return str(open_result_set(open_store(root), f"trials/{trial}").about["encoder"])


@pytest.mark.long
def test_a_failing_trial_ends_the_study_or_is_left_out(tmp_path: Path, cluster: None) -> None:
    """A rate that blows the weights up: its loss is not finite."""
    rates: dict[str, Any] = {"training.engine.learning_rate": [1e-3, 1e30]}
    with pytest.raises(Exception, match="trial .* learning_rate 1e[+]30, seed 0: .*not finite|is nan|is inf"):
        run_study(small_study(mixes=[GRID], axes=rates, concurrency=1), str(tmp_path))
    done = run_study(small_study(mixes=[GRID], axes=rates, on_failure="leave_out"), str(tmp_path))
    assert {entry.trial.overrides["training.engine.learning_rate"] for entry in done.entries} == {1e-3}
