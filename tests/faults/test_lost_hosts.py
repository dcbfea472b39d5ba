"""Hosts of a cluster, each a network namespace: their raylets are killed again and again, one is cut off and comes back."""

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from distributed.hosts import Host, hosts, join_ray, start_ray, why_not
from distributed.small_run import plain_losses
from faults.kills import REPOSITORY, Killer
from faults.training_rounds import spec_of
from faults.wholeness import assert_whole

from cluster.storage import open_result_set, open_store
from trainer.worker import next_step

pytestmark = [pytest.mark.ray, pytest.mark.distributed, pytest.mark.faults, pytest.mark.timeout(1800)]
CPUS = 5
PATIENCE_SECONDS = 400
CUT_SECONDS = 25
"""Longer than the head waits for a host that is silent; see TIMES."""
# A host that falls silent is given up after about 15 seconds instead of a minute; busy machines may start slowly.
TIMES = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_raylet_start_wait_time_s": "120",
    # Ray Train once tries the size that it had, before it knows of the loss.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "20",
}


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> None:
    if reason := why_not():
        pytest.skip(reason)


class Nodes:
    """Hosts whose Ray is started again when it has ended, as a service manager does."""

    def __init__(self, head: Host, workers: list[Host], folder: Path) -> None:
        self.head, self.workers, self._folder = head, workers, folder
        self.environment = TIMES | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(16),
            "RAY_TRAIN_V2_ENABLED": "1",
            "RAY_worker_niceness": "0",
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}",
            "PYTHONWARNINGS": "ignore",
        }
        self.address = start_ray([head, *workers], [0, *[CPUS] * len(workers)], self.environment, folder)
        self.started_again = 0

    def train(self, steps: int) -> subprocess.Popen[str]:
        """Start the driver."""
        script = [sys.executable, str(REPOSITORY / "tests" / "faults" / "training_rounds.py")]
        words = [*script, self.address, str(self._folder), str(steps)]
        return self.head.start(words, self.environment, self._folder / "driver.log")

    def raylets(self) -> list[psutil.Process]:
        """Those of the workers' hosts."""
        return [process for host in self.workers for process in host.processes() if is_raylet(process)]

    def keep_up(self) -> None:
        """Start again what has ended."""
        for host in self.workers:
            if not any(is_ray_start(process) for process in host.processes()):
                host.power_off()  # whatever a killed raylet has left behind
                join_ray(host, CPUS, self.address, self.environment, self._folder)
                self.started_again += 1


def is_raylet(process: psutil.Process) -> bool:
    try:
        return process.name() == "raylet" and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def is_ray_start(process: psutil.Process) -> bool:
    try:
        return {"start", "--block"} <= set(process.cmdline())
    except psutil.Error:
        return False


@contextmanager
def training(folder: Path, steps: int) -> Iterator[tuple[Nodes, subprocess.Popen[str]]]:
    """A head without CPUs, two hosts with some, and a driver at work."""
    with hosts(3) as (head, *workers):
        nodes = Nodes(head, workers, folder)
        yield nodes, nodes.train(steps)


def assert_undisturbed(folder: Path, steps: int) -> None:
    """A run's losses are those of one process without Ray, but for rounding: how many workers sum gradients varies."""
    spec = spec_of(folder, steps)
    lines = open_result_set(open_store(folder), spec.name).path("telemetry.jsonl").read_text().splitlines()
    found = [line for line in map(json.loads, lines) if line["event"] == "step"]
    assert [line["step"] for line in found] == [*range(1, steps + 1)]
    np.testing.assert_allclose([line["loss"] for line in found], plain_losses(spec), rtol=1e-4)
    assert_whole(folder)


def test_raylets_are_killed(tmp_path: Path) -> None:
    steps = 40
    with training(tmp_path, steps) as (nodes, driver):
        killer, log = Killer(seed=1, longest=9), tmp_path / "driver.log"
        while not killer.done:
            until = time.monotonic() + killer.seconds()
            while time.monotonic() < until:
                nodes.keep_up()
                assert driver.poll() is None, log.read_text()
                time.sleep(0.3)
            killer.kill_one(nodes.raylets())
        (tmp_path / "enough").touch()
        wait(driver, nodes, log)
        rounds = len(list(tmp_path.glob("*/encoders")))
        print(f"{killer.count} kills, {rounds} rounds, nodes started again {nodes.started_again} times")
    for number in range(rounds):
        assert_undisturbed(tmp_path / str(number), steps)


def wait(driver: subprocess.Popen[str], nodes: Nodes, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while driver.poll() is None:
        nodes.keep_up()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    assert driver.returncode == 0, log.read_text()


def test_a_host_is_cut_off_for_longer_than_the_timeouts_and_comes_back(tmp_path: Path) -> None:
    """Its worker that believes in the old run writes nothing; Ray on it ends, is started again and joins."""
    steps = 200
    (tmp_path / "enough").touch()
    spec, log, deadline = spec_of(tmp_path / "0", steps), tmp_path / "driver.log", time.monotonic() + PATIENCE_SECONDS
    with training(tmp_path, steps) as (nodes, driver):
        while next_step(spec) < 20:
            assert driver.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        lost = nodes.workers[0]
        before = {process.pid for process in nodes.raylets()}
        lost.unplug()
        cut_at, cut = next_step(spec), time.monotonic()
        while time.monotonic() < cut + CUT_SECONDS or next_step(spec) < cut_at + 20:
            assert driver.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        lost.plug_in()
        back_at = next_step(spec)
        print(f"cut off at step {cut_at}, back at step {back_at}")
        wait(driver, nodes, log)
        assert cut_at < back_at < steps, "the others went on meanwhile, and were not done"
        while nodes.started_again == 0 and time.monotonic() < deadline:
            nodes.keep_up()
            time.sleep(0.2)
        assert nodes.started_again == 1 and before & {process.pid for process in nodes.raylets()}
    assert_undisturbed(tmp_path / "0", steps)
