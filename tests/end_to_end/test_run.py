"""A whole run by the command line: data to report; again, at once; killed, to the same figures."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from end_to_end.small_job import write_job
from ray_clusters.listeners import listeners

from cluster.errors import EXIT_OK, EXIT_USAGE
from cluster.ray_runtime import RayConfig, ray_cluster
from cluster.storage import ResultSet, open_result_set, open_store
from jobs.cli import main

pytestmark = [pytest.mark.ray, pytest.mark.slow]
REPOSITORY = Path(__file__).parents[2]
HYBRID = "arms={hybrid: {mono: 0.5, cross: 0.5}}"


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with ray_cluster(RayConfig(), cpus_needed=4):
        yield


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_job(tmp_path_factory.mktemp("job"))


def test_a_cluster_started_here_listens_on_loopback_alone(cluster: None) -> None:
    here = psutil.Process()
    raylets = [process for process in here.children(recursive=True) if process.name() == "raylet"]
    assert raylets and listeners([here, *raylets, *raylets[0].children()]) == {"127.0.0.1"}


def mixlingual(*arguments: object) -> tuple[int, str]:
    """Exit code and standard output of a command, on the cluster of this module."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = main([str(argument) for argument in arguments])
    return code, output.getvalue()


@pytest.fixture(scope="module")
def undisturbed(cluster: None, job: Path) -> dict[str, Any]:
    """What a run says in JSON."""
    code, output = mixlingual("run", "--config", job, "--json")
    assert code == EXIT_OK
    result: dict[str, Any] = json.loads(output)
    return result


def committed(root: Path) -> dict[str, int]:
    """Result sets below a root, and when each was made."""
    return {str(path.parent.relative_to(root)): path.stat().st_mtime_ns for path in root.rglob("COMMIT")}


def leftovers(root: Path) -> list[Path]:
    return [path for part in (".staging", "training") for path in (root / part).rglob("*")]


def test_a_run_goes_from_data_to_report(undisturbed: dict[str, Any], job: Path) -> None:
    root = job.parent / "root"
    page = Path(undisturbed["report"])
    assert page == root / undisturbed["run"] / "index.html" and "<html" in page.read_text(encoding="utf-8")
    assert list(undisturbed["evaluations"]) == ["X-X", "hybrid", "BM25", "untrained"]
    for figures in undisturbed["evaluations"].values():
        assert figures["test"].keys() == {"mono", "cross", "multi", "rank_distance"}
        assert all(0 <= figures["test"][setting]["mAP"] <= 1 for setting in ("mono", "cross", "multi"))
    kinds = [name.partition("/")[0] for name in committed(root)]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "groups": 1,
        "tokens": 2,
        "encoders": 3,
        "vectors": 3,
        "evaluations": 4,
        "runs": 1,
    }
    for name in committed(root):
        open_result_set(open_store(root), name)
    assert not leftovers(root)


def test_started_again_it_does_nothing_twice(undisturbed: dict[str, Any], job: Path) -> None:
    root = job.parent / "root"
    before = committed(root)
    code, output = mixlingual("run", "--config", job)
    assert code == EXIT_OK and committed(root) == before
    table, _, last = output.rstrip("\n").rpartition("\n")
    assert last.startswith(f"report: {undisturbed['report']} ")
    for row, figures in undisturbed["evaluations"].items():
        (line,) = [line for line in table.splitlines() if line.startswith(row)]
        assert f"{figures['test']['mono']['mAP']:.3f}".removeprefix("0") in line
    for command in ("train", "encode", "evaluate", "report"):
        code, output = mixlingual(command, "--config", job, "--json")
        assert code == EXIT_OK and set(json.loads(output)["result_sets"]) <= before.keys()
    assert committed(root) == before


def test_another_evaluation_set_trains_nothing_again(undisturbed: dict[str, Any], job: Path) -> None:
    root = job.parent / "root"
    before = {name for name in committed(root) if name.startswith("encoders/")}
    more = "data.evaluation.again={dataset: atlas, split: test, limit: 12, languages: [de, en]}"
    code, output = mixlingual("run", "--config", job, "--json", more, "evaluation.baselines=[bm25]")
    assert code == EXIT_OK
    figures = json.loads(output)["evaluations"]
    assert figures["hybrid"]["test"] == undisturbed["evaluations"]["hybrid"]["test"]
    assert figures["hybrid"].keys() == figures["BM25"].keys() == {"test", "again"}
    assert {name for name in committed(root) if name.startswith("encoders/")} == before


def kill_in_mid_training(config: Path, root: Path) -> None:
    """Start a run and kill -9 it with all its processes as soon as its first checkpoint stands."""
    command = [sys.executable, "-m", "jobs.cli", "run", "--config", str(config), "--root", str(root), HYBRID]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, start_new_session=True) as process:
        try:
            while not list(root.glob("training/*/checkpoints/*/COMMIT")):
                assert process.poll() is None, "the run ended before its first checkpoint"
                time.sleep(0.01)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def test_a_killed_run_goes_on_to_the_same_figures(
    cluster: None, undisturbed: dict[str, Any], job: Path, tmp_path: Path
) -> None:
    kill_in_mid_training(job, tmp_path)
    done = {name.partition("/")[0] for name in committed(tmp_path)}
    assert done == {"groups", "encoders", "training"}, "the run was killed too late to show anything"
    assert len([name for name in committed(tmp_path) if name.startswith("encoders/")]) == 1, "the start, not trained"
    code, output = mixlingual("run", "--config", job, "--root", tmp_path, "--json", HYBRID)
    assert code == EXIT_OK
    resumed = json.loads(output)["evaluations"]
    for retriever in ("hybrid", "BM25", "untrained"):
        expected, found = undisturbed["evaluations"][retriever]["test"], resumed[retriever]["test"]
        assert found.keys() == expected.keys()
        for setting in expected:
            assert found[setting] == pytest.approx(expected[setting], abs=1e-6), (retriever, setting)
    first, second = trained(job.parent / "root", "hybrid"), trained(tmp_path, "hybrid")
    assert second.name == first.name
    assert losses(second) == pytest.approx(losses(first), rel=1e-6)
    assert not leftovers(tmp_path)


def trained(root: Path, arm: str) -> ResultSet:
    """The encoder of an arm."""
    (found,) = [
        encoder
        for name in committed(root)
        if (encoder := open_result_set(open_store(root), name)).about.get("stage") == "train"
        and encoder.about["arm"] == arm
    ]
    return found


def losses(encoder: ResultSet) -> list[float]:
    """Loss of every training step."""
    records = map(json.loads, encoder.path("telemetry.jsonl").read_text(encoding="utf-8").splitlines())
    return [record["loss"] for record in records if record["event"] == "step"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.gpus_per_worker=1000", "training.gpus_per_worker: this job needs 1000 GPUs, the Ray cluster has "),
        ("training.cpus_per_worker=1000", "training.workers: this job needs 1001.5 CPUs for workers and feeds"),
    ],
)
def test_what_the_cluster_lacks_is_said_rather_than_waited_for(
    undisturbed: dict[str, Any], job: Path, override: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = committed(job.parent / "root")
    assert main(["train", "--config", str(job), "seed=9", override]) == EXIT_USAGE
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.splitlines()[-1].startswith(f"mixlingual: {said}")
    assert committed(job.parent / "root") == before
