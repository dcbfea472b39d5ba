"""A real Ray head with dashboard and token on loopback, in processes of its own, as `ray start` makes it."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from cluster.ray_runtime import LOOPBACK_SWITCH

BIN = Path(sys.executable).parent
_START_SECONDS = 240
_AGENT_SECONDS, _ATTEMPTS = 60, 3
_STOP_SECONDS = 5


@dataclass(frozen=True)
class Head:
    """A head that runs."""

    url: str
    """Of the dashboard."""
    address: str
    """Of the cluster: what drivers connect to."""
    token: str
    process: psutil.Process

    def processes(self) -> list[psutil.Process]:
        """All of the cluster's processes."""
        return [self.process, *self.process.children(recursive=True)]


def free_ports(number: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class AgentMissingError(Exception):
    """The head runs without its agent, which takes jobs: another process took the agent's port meanwhile."""


@dataclass(frozen=True)
class Place:
    """Where a head listens and what it is asked with; another one in the same place follows it."""

    gcs: int
    dashboard: int
    agent: int
    client: int
    token: str


def free_place() -> Place:
    """One that nobody has."""
    return Place(*free_ports(4), token=secrets.token_hex(32))


@contextlib.contextmanager
def ray_head(cpus: int, environment: Mapping[str, str], place: Place | None = None) -> Iterator[Head]:
    """A head for the time of a block.

    Args:
        cpus: logical ones.
        environment: of the head, and so of the jobs on it; more than what a head needs anyhow.
        place: where it is; None takes a free one.
    """
    for attempt in range(_ATTEMPTS):
        with contextlib.ExitStack() as stack:
            try:
                head = stack.enter_context(_one_head(cpus, environment, place or free_place()))
            except AgentMissingError:
                if attempt == _ATTEMPTS - 1:
                    raise
                continue
            yield head
            return


@contextlib.contextmanager
def _one_head(cpus: int, environment: Mapping[str, str], place: Place) -> Iterator[Head]:
    folder = tempfile.mkdtemp(prefix="head-", dir="/tmp")  # a short path: Ray makes sockets below it
    command = [BIN / "ray", "start", "--head", "--block", "--num-cpus", cpus, "--disable-usage-stats"]
    command += ["--node-ip-address", "127.0.0.1", "--port", place.gcs, "--temp-dir", folder]
    command += ["--dashboard-host", "127.0.0.1", "--dashboard-port", place.dashboard]
    command += ["--dashboard-agent-listen-port", place.agent, "--ray-client-server-port", place.client]
    command += ["--object-store-memory", 128 << 20]
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "AWS_", "MIXLINGUAL_"))}
    settings = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": place.token,
        "RAY_worker_niceness": "0",
        "OMP_NUM_THREADS": "1",
        LOOPBACK_SWITCH: "0",
    }
    with (
        Path(folder, "output").open("w") as output,
        subprocess.Popen(
            [str(word) for word in command],
            env=plain | settings | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        url, address = f"http://127.0.0.1:{place.dashboard}", f"127.0.0.1:{place.gcs}"
        head = Head(url, address, place.token, psutil.Process(process.pid))
        try:
            _wait_for_dashboard(head, process, Path(output.name))
            _wait_for_agent(head, place.agent)
            yield head
        finally:
            _end(head, process)
            shutil.rmtree(folder, ignore_errors=True)


def _wait_for_dashboard(head: Head, process: subprocess.Popen, output: Path) -> None:
    request = urllib.request.Request(f"{head.url}/api/jobs/", headers={"Authorization": f"Bearer {head.token}"})
    give_up = time.monotonic() + _START_SECONDS
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=10):
            return
        assert process.poll() is None and time.monotonic() < give_up, output.read_text()
        time.sleep(0.3)


def _wait_for_agent(head: Head, port: int) -> None:
    give_up = time.monotonic() + _AGENT_SECONDS
    while not any(_listens(process, port) for process in head.processes()):
        if time.monotonic() > give_up:
            raise AgentMissingError(f"no process of the head listens on port {port}")
        time.sleep(0.3)


def _listens(process: psutil.Process, port: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(
            one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in process.net_connections("tcp")
        )
    return False


def _end(head: Head, process: subprocess.Popen) -> None:
    """Ask the head to end, as a service manager does; it takes its time, so what is left soon after is ended by ids."""
    everything = head.processes() if process.poll() is None else []
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_STOP_SECONDS)
    for left in psutil.wait_procs(everything, timeout=3)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            left.kill()
