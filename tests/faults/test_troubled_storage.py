"""A disk that is full or read-only, a clock that jumps, results that are damaged or gone under a run."""

import contextlib
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from end_to_end.small_job import write_job
from faults.kills import REPOSITORY
from faults.wholeness import assert_whole

from cluster.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from cluster.ray_runtime import RayConfig, ray_cluster
from jobs.cli import main

pytestmark = [pytest.mark.ray, pytest.mark.distributed, pytest.mark.faults, pytest.mark.timeout(1800)]
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Sizes of the disk, of what the root comes to."""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_job(tmp_path_factory.mktemp("job"))


def mixlingual(*words: object) -> tuple[int, str, str]:
    """Exit code, output and what a command wrote to stderr."""
    output, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(said):
        code = main([str(word) for word in words])
    return code, output.getvalue(), said.getvalue()


@pytest.fixture(scope="module")
def calm(job: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Root and result of an undisturbed run; a cluster for it and those after it."""
    root = job.parent / "calm"
    with ray_cluster(RayConfig(), cpus_needed=4):
        code, output, said = mixlingual("run", "--config", job, "--root", root, "--json", "training.max_failures=0")
        assert code == EXIT_OK, said
        yield root, json.loads(output)


@pytest.fixture(scope="module")
def troubled(
    calm: tuple[Path, dict[str, Any]], job: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """What came of the same run on a disk that is too small, read-only, and neither."""
    alone = ["unshare", "--mount"]
    tried = subprocess.run(
        [*alone, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"needs root, to mount a small disk in a namespace of its own: {tried.stderr.strip()}")
    folder = tmp_path_factory.mktemp("troubled")
    whole = sum(path.stat().st_size for path in calm[0].rglob("*") if path.is_file()) / 1024
    sizes = [str(int(share * whole)) for share in SHARES]
    script = [sys.executable, "-m", "faults.troubled_disk", job, folder / "root", folder / "report.json", *sizes]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment |= {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}", "OMP_NUM_THREADS": "1"}
    words = [*alone, *map(str, script)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4000:] + (folder / "report.json").read_text()[-4000:]
    outcomes: list[dict[str, Any]] = json.loads((folder / "report.json").read_text())
    for outcome in outcomes:
        print(outcome["options"], outcome["code"], outcome["complaints"], len(outcome["stand"]))
    return outcomes


def test_on_a_full_disk_a_run_ends_with_one_line_and_goes_on_when_there_is_room(
    troubled: list[dict[str, Any]], calm: tuple[Path, dict[str, Any]]
) -> None:
    full = troubled[: len(SHARES)]
    assert full[0]["code"] == EXIT_FAILED and len({len(outcome["stand"]) for outcome in full}) > 2
    for outcome in full:
        if outcome["code"]:
            (line,) = outcome["complaints"]
            assert outcome["code"] == EXIT_FAILED and "No space left on device" in line
            assert "Traceback" not in outcome["stderr"]
    for earlier, later in itertools.pairwise(troubled):
        assert set(earlier["stand"]) - {n for n in earlier["stand"] if n.startswith("training/")} <= set(later["stand"])
    room = troubled[-2]
    assert room["code"] == EXIT_OK and room["result"]["evaluations"] == calm[1]["evaluations"]
    assert room["stand"] == assert_whole(calm[0])


def test_a_root_that_is_read_only_is_said_in_one_line_and_can_be_read(troubled: list[dict[str, Any]]) -> None:
    unfinished, finished = troubled[len(SHARES)], troubled[-1]
    (line,) = unfinished["complaints"]
    assert unfinished["code"] == EXIT_FAILED and "Read-only file system" in line
    assert "Traceback" not in unfinished["stderr"]
    assert finished["code"] == EXIT_OK, finished["stderr"][-2000:]


def test_results_that_are_gone_are_made_again_and_damaged_ones_are_named(
    calm: tuple[Path, dict[str, Any]], job: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    shutil.copytree(calm[0], root)
    words = ["run", "--config", job, "--root", root, "--json", "training.max_failures=0"]
    names = set(assert_whole(root))
    for kind in ("runs", "evaluations", "vectors", "encoders", "tokens", "groups"):
        shutil.rmtree(root / kind)
        code, output, said = mixlingual(*words)
        assert code == EXIT_OK, said
        assert json.loads(output)["evaluations"] == calm[1]["evaluations"]
        # Vectors and token ids are made again when somebody needs them: not while what they are for is there.
        gone = names - set(assert_whole(root))
        assert {name.partition("/")[0] for name in gone} <= {"vectors", "tokens"}, kind
    shutil.rmtree(root / "runs")
    for kind, ending in (("evaluations", "parquet"), ("encoders", "safetensors"), ("groups", "parquet")):
        path = sorted((root / kind).rglob(f"*.{ending}"))[0]
        data = path.read_bytes()
        path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
        code, output, said = mixlingual(*words)
        print(kind, code, said.splitlines()[-1:])
        assert code == EXIT_USAGE and said.splitlines()[-1].startswith(f"mixlingual: {path}: damaged")
        shutil.rmtree(next(parent for parent in path.parents if (parent / "COMMIT").exists()))
        code, output, said = mixlingual(*words)
        assert code == EXIT_OK and json.loads(output)["evaluations"] == calm[1]["evaluations"]
        shutil.rmtree(root / "runs")
