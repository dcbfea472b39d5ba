"""Commands killed with kill -9 at random moments, again and again: what they come to is what it would have been."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from end_to_end.small_job import job_fields, write_job
from faults.kills import REPOSITORY, Killer, commands_killed
from faults.wholeness import assert_whole
from ray_clusters.head import Head, ray_head
from small_studies.studies import small_fields

from cluster.storage import open_result_set, open_store
from jobs.ablation.result import ANALYSIS, PAIRS, TRIALS, VALUES
from jobs.catalogue import read_night

pytestmark = [pytest.mark.ray, pytest.mark.distributed, pytest.mark.faults, pytest.mark.timeout(1800)]
SHARE = 0.4
"""Of the time that a command takes undisturbed: the latest kill. Behind the start of its work, and before its end."""
LEASE_SECONDS = 3
HYBRID = "arms={hybrid: {mono: 0.5, cross: 0.5}}"
Words = Sequence[object]


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with ray_head(cpus=6, environment={}) as running:
        yield running


@pytest.fixture
def environment(head: Head) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    cluster = {"RAY_ADDRESS": head.address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": head.token}
    return kept | cluster | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}


def calm_and_wild(
    words: Callable[[Path], Words], environment: dict[str, str], seed: int, folder: Path, extra_seconds: float = 0
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a command says undisturbed, and at the end of every round with kills; each in a root of its own.

    Args:
        words: root -> command.
        extra_seconds: that a start may wait after a kill.
    """
    started = time.monotonic()
    calm = undisturbed(words(folder / "calm"), environment, folder)
    killer = Killer(seed, SHARE * (time.monotonic() - started) + extra_seconds)
    wild = commands_killed(lambda n: words(folder / f"wild-{n}"), environment, killer, folder / "wild.log")
    for number in range(len(wild)):
        assert_whole(folder / f"wild-{number}")
    return calm, [json.loads(said) for said in wild]


def undisturbed(words: Words, environment: dict[str, str], folder: Path) -> dict[str, Any]:
    """What a command says."""
    (said,) = commands_killed(lambda _: words, environment, Killer(0, 0, kills=0), folder / "calm.log")
    said_in_json: dict[str, Any] = json.loads(said)
    return said_in_json


def test_a_run(environment: dict[str, str], tmp_path: Path) -> None:
    config = write_job(tmp_path)

    def words(root: Path) -> Words:
        return [sys.executable, "-m", "jobs.cli", "run", "--config", config, "--root", root, "--json", HYBRID]

    calm, wild = calm_and_wild(words, environment, 1, tmp_path)
    for said in wild:
        assert (said["run"], said["evaluations"]) == (calm["run"], calm["evaluations"])


def test_a_study(environment: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "study.json"
    config.write_text(json.dumps(small_fields()), encoding="utf-8")

    def words(root: Path) -> Words:
        return [sys.executable, "-m", "jobs.cli", "ablate", "--config", config, "--root", root, "--json"]

    calm, wild = calm_and_wild(words, environment, 2, tmp_path)
    for number, said in enumerate(wild):
        assert tables(tmp_path / f"wild-{number}", said["study"]) == tables(tmp_path / "calm", calm["study"])


def tables(root: Path, study: str) -> dict[str, bytes]:
    result = open_result_set(open_store(str(root)), study)
    return {name: result.path(name).read_bytes() for name in (TRIALS, VALUES, PAIRS, ANALYSIS)}


def test_a_night(environment: dict[str, str], tmp_path: Path) -> None:
    """The second of two, which is compared with the first."""
    run = job_fields(tmp_path)
    run["data"] |= {"validation": None}
    run["arms"] = {"hybrid": {"mono": 0.5, "cross": 0.5}}
    run["training"] |= {"steps": 8, "validation": {"every": 0}, "checkpoint": {"every": 2}}
    fields = {"run": run, "thresholds": {"min_drop": {"mAP": 0.02}}, "lease_seconds": LEASE_SECONDS}
    config = tmp_path / "nightly.yaml"
    config.write_text(yaml.safe_dump(fields, allow_unicode=True), encoding="utf-8")
    process = REPOSITORY / "tests" / "end_to_end" / "nightly_process.py"

    def night(day: int, root: Path, revision: str) -> Words:
        changes = [f"run.root={root}", f"run.revision={revision}"]
        return [sys.executable, process, config, f"2026-01-0{day}T02:00:00+00:00", *changes]

    def second(root: Path) -> Words:
        if not root.exists():
            shutil.copytree(tmp_path / "first", root)
        return night(2, root, "b")

    undisturbed(night(1, tmp_path / "first", "a"), environment, tmp_path)
    calm, wild = calm_and_wild(second, environment, 3, tmp_path, LEASE_SECONDS)
    for number, said in enumerate(wild):
        assert said["date"] == calm["date"] == "2026-01-02"
        assert verdict(tmp_path / f"wild-{number}") == verdict(tmp_path / "calm")


def verdict(root: Path) -> tuple[Any, ...]:
    night = read_night(open_store(root), date(2026, 1, 2))
    assert night is not None
    return night.outcome, night.baseline, night.findings
