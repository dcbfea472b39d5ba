"""The head killed with kill -9 at random moments, again and again, its state kept by Redis: a run comes to its end."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from end_to_end.small_job import write_job
from faults.kills import KILLS, REPOSITORY, Killer
from faults.wholeness import assert_whole
from ray_clusters.head import Head, Place, free_place, free_ports, ray_head

pytestmark = [pytest.mark.ray, pytest.mark.distributed, pytest.mark.faults, pytest.mark.timeout(1800)]
HYBRID = "arms={hybrid: {mono: 0.5, cross: 0.5}}"
LONGEST = 12.0
"""Seconds from the start of the command to a kill: up to the end of its training."""
END_SECONDS = 60
"""In which a command whose head is gone has to end."""


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Redis that keeps the state of heads."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs redis-server (Debian package redis-server)")
    (port,) = free_ports(1)
    folder = tmp_path_factory.mktemp("redis")
    words = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        yield f"127.0.0.1:{port}"
        process.kill()


def start(words: list[str], head: Head, log: Path) -> "subprocess.Popen[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    cluster = {"RAY_ADDRESS": head.address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": head.token}
    # What Ray waits for a head to come back; a minute of its own would make half an hour of thirty kills.
    cluster["RAY_gcs_rpc_server_reconnect_timeout_s"] = "5"
    environment = kept | cluster | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    with log.open("a") as file:
        return subprocess.Popen(words, env=environment, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=file, text=True)


def run_on_heads(words: list[str], redis: str, place: Place, killer: Killer, log: Path) -> str | None:
    """Start a head and the command, and kill the head; what the command printed if it was done before, or else None."""
    with ray_head(6, {"RAY_REDIS_ADDRESS": redis}, place) as head, start(words, head, log) as process:
        last = killer.done
        try:
            said, _ = process.communicate(timeout=600 if last else killer.seconds())
            assert process.returncode == 0, log.read_text()[-4000:]
            return said
        except subprocess.TimeoutExpired:
            assert not last, f"did not come to its end: {log.read_text()[-4000:]}"
        whole = head.processes()
        killer.kill_one([head.process])
        for one in whole:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(whole, timeout=10)
        started = time.monotonic()
        try:
            process.communicate(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"hangs without its head: {log.read_text()[-4000:]}") from None
        with log.open("a") as file:
            file.write(f"ended {time.monotonic() - started:.1f} s after its head, exit code {process.returncode}\n")
    return None


def test_the_head(redis: str, tmp_path: Path) -> None:
    """The command on it ends; started again on the head that follows, it goes on."""
    config, place, log = write_job(tmp_path), free_place(), tmp_path / "log"
    command = [sys.executable, "-m", "jobs.cli", "run", "--config", str(config), "--json", HYBRID, "--root"]
    killer, done = Killer(seed=1, longest=LONGEST), list[str]()
    calm = run_on_heads([*command, str(tmp_path / "calm")], redis, place, Killer(0, 0, kills=0), log)
    assert calm is not None
    while True:
        last = killer.done
        said = run_on_heads([*command, str(tmp_path / f"wild-{len(done)}")], redis, place, killer, log)
        done += [said] if said else []
        if last:
            break
    print(f"{killer.count} kills, {len(done)} rounds; {KILLS} asked for")
    print("\n".join(line for line in log.read_text().splitlines() if "after its head" in line))
    for number, said in enumerate(done):
        found, expected = json.loads(said), json.loads(calm)
        assert (found["run"], found["evaluations"]) == (expected["run"], expected["evaluations"])
        assert_whole(tmp_path / f"wild-{number}")
