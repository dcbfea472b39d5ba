"""Training over several hosts, each a network namespace: one of them goes in mid-training, and the run goes on."""

import json
import secrets
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from distributed.hosts import Host, hosts, start_ray, wait_for_ray, why_not
from distributed.training_on_hosts import STEPS, spec_of
from specs.clusters import rendered

from trainer.worker import next_step

pytestmark = [pytest.mark.ray, pytest.mark.distributed, pytest.mark.slow, pytest.mark.timeout(1200)]
HERE = Path(__file__).resolve().parent
PATIENCE_SECONDS = 400  # for machines that are busy with other things; alone it takes a quarter of that
# A host that falls silent is noticed after about 15 seconds instead of a minute; busy machines may start slowly.
TIMES = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_raylet_start_wait_time_s": "120",
    # Ray Train once tries the size that it had, before it knows of the loss.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "20",
}


def works_on_training(host: Host) -> bool:
    """Whether one of the host's processes is a training worker."""
    return any("RayTrainWorker" in " ".join(process.cmdline()) for process in host.processes())


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> None:
    if reason := why_not():
        pytest.skip(reason)


def test_one_machine_as_rendered_listens_on_loopback_alone(tmp_path: Path) -> None:
    unit = [line.partition("=")[::2] for line in rendered("1-gpu-machine")["one-gpu-ray.service"].splitlines()]
    environment = TIMES | dict(value.split("=", 1) for name, value in unit if name == "Environment")
    ray, *arguments = shlex.split(dict(unit)["ExecStart"])
    assert ray == "/opt/mixlingual/bin/ray"
    small = f"--object-store-memory={100 << 20}"
    arguments = [small if argument.startswith("--object-store-memory=") else argument for argument in arguments]
    with hosts(1) as (machine,):
        command = [sys.executable, "-m", "ray.scripts.scripts", *arguments, f"--temp-dir={machine.ray_folder}"]
        token = {"RAY_AUTH_TOKEN": secrets.token_hex(16)}
        wait_for_ray([(machine.start(command, environment | token, tmp_path / "ray.log"), tmp_path / "ray.log")])
        found = [address.rpartition(":") for address in machine.listening()]
    assert {port for _, _, port in found} >= {"6379", "8265"}
    assert {address for address, _, _ in found} <= {"127.0.0.1", "[::ffff:127.0.0.1]"}


@pytest.mark.long
def test_a_run_goes_on_when_a_host_is_lost(tmp_path: Path) -> None:
    environment = TIMES | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(16),
        "RAY_TRAIN_V2_ENABLED": "1",
        "RAY_worker_niceness": "0",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": f"{HERE.parents[1]}:{HERE.parent}",
        "PYTHONWARNINGS": "ignore",
    }
    spec, report, output = spec_of(tmp_path), tmp_path / "report.json", tmp_path / "driver.log"
    with hosts(3) as (head, *workers):
        address = start_ray([head, *workers], [0, 5, 5], environment, tmp_path)
        script = [sys.executable, str(HERE / "training_on_hosts.py"), address, str(tmp_path), str(report)]
        driver = head.start(script, environment, output)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while next_step(spec) < 20:
            assert driver.poll() is None and time.monotonic() < deadline, output.read_text()
            time.sleep(0.02)
        assert all(works_on_training(host) for host in workers), "the workers are spread over the hosts"
        workers[1].unplug()
        lost_at = next_step(spec)
        driver.wait(timeout=PATIENCE_SECONDS)
        assert driver.returncode == 0, output.read_text()
        assert lost_at < STEPS, "the run was over too soon for this test to show anything"
        assert not works_on_training(head), "the head has no CPUs to train with"
    found = json.loads(report.read_text())
    steps = [line for line in found["steps"] if line["event"] == "step"]
    assert [line["step"] for line in steps] == [*range(1, STEPS + 1)]
    # Two workers, then one, against one process without Ray: the sums of gradients round differently.
    np.testing.assert_allclose([line["loss"] for line in steps], found["plain_losses"], rtol=1e-4)
    assert found["ledger"]["steps"] == STEPS and found["ledger"]["largest_prefix_deviation"] <= 1
