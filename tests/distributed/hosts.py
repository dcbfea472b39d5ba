"""Several hosts on one machine: a network namespace each, joined by veth pairs and a bridge, with a Ray node in each.

Nothing outside the namespaces changes: the bridge has one of its own, and no packet can leave.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

_PORT = 6379
_START_SECONDS = 240


def why_not() -> str | None:
    """What keeps this machine from having namespaces, or None."""
    if os.geteuid() != 0:
        return "needs root, to make network namespaces"
    if shutil.which("ip") is None:
        return "needs `ip` (Debian package iproute2)"
    name = f"mix-{secrets.token_hex(3)}"
    made = _ip("netns", "add", name, check=False)
    if made.returncode:
        return f"the kernel makes no network namespaces here: {made.stderr.strip()}"
    bridge = _ip("-n", name, "link", "add", "bridge", "type", "bridge", check=False)
    _ip("netns", "delete", name)
    return f"the kernel makes no bridges here: {bridge.stderr.strip()}" if bridge.returncode else None


def _ip(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=check)


class Host:
    """One namespace with an address; what runs in it can be ended like a machine that loses its power or its network."""

    def __init__(self, namespace: str, address: str, disk: Path, ray_folder: Path) -> None:
        self.namespace, self.address = namespace, address
        self.ray_folder, self._disk = ray_folder, disk
        self._started: list[subprocess.Popen[str]] = []
        disk.mkdir()

    def start(self, command: Sequence[str], environment: Mapping[str, str], output: Path) -> subprocess.Popen[str]:
        """Start a process here; its output goes to a file.

        Ray's folder is the host's own under a name that all hosts have, as /tmp/ray would be: nodes that shared it
        would take each other's addresses. `ip netns exec` gives every process mounts of its own.
        """
        mounted = 'mount --bind "$0" "$1" && shift && exec "$@"'
        enter = ["ip", "netns", "exec", self.namespace, "sh", "-c", mounted, str(self._disk), str(self.ray_folder)]
        with output.open("w") as file:
            process = subprocess.Popen(
                [*enter, *command],
                env=os.environ | dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def processes(self) -> list[psutil.Process]:
        """What runs here now."""
        found = []
        for pid in _ip("netns", "pids", self.namespace, check=False).stdout.split():
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(int(pid)))
        return found

    def listening(self) -> list[str]:
        """Addresses and ports that something here listens on, as `ss` writes them."""
        command = ["ip", "netns", "exec", self.namespace, "ss", "--no-header", "--listening", "--tcp", "--numeric"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        return [line.split()[3] for line in lines]

    def unplug(self) -> None:
        """Take the network away; nobody is told."""
        _ip("-n", self.namespace, "link", "set", "eth0", "down")

    def plug_in(self) -> None:
        """Give the network back."""
        _ip("-n", self.namespace, "link", "set", "eth0", "up")

    def power_off(self) -> None:
        """Kill all that runs here, by the ids that the kernel lists for this namespace."""
        while found := self.processes():
            for running in found:
                with contextlib.suppress(psutil.Error):
                    running.kill()
            psutil.wait_procs(found, timeout=5)
        for process in self._started:
            process.wait()


@contextlib.contextmanager
def hosts(number: int) -> Iterator[list[Host]]:
    """So many hosts on one network; namespaces and what runs in them are gone afterwards, whatever happened."""
    prefix = f"mix-{secrets.token_hex(3)}"
    switch = f"{prefix}-switch"
    with tempfile.TemporaryDirectory(prefix="mix-") as folder:  # a short name: Ray's sockets lie below it
        ray_folder = Path(folder, "ray")
        ray_folder.mkdir()
        made = [Host(f"{prefix}-{n}", f"10.77.0.{n + 1}", Path(folder, f"host-{n}"), ray_folder) for n in range(number)]
        try:
            _ip("netns", "add", switch)
            _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
            _ip("-n", switch, "link", "set", "bridge", "up")
            for place, host in enumerate(made):
                _plug_in(host, switch, f"port{place}")
            yield made
        finally:
            for host in made:
                host.power_off()
                _ip("netns", "delete", host.namespace, check=False)
            _ip("netns", "delete", switch, check=False)


def _plug_in(host: Host, switch: str, port: str) -> None:
    name = host.namespace
    _ip("netns", "add", name)
    # Made inside the two namespaces, so that no name can meet an interface of this machine.
    _ip("-n", switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
    _ip("-n", switch, "link", "set", port, "master", "bridge", "up")
    _ip("-n", name, "address", "add", f"{host.address}/24", "dev", "eth0")
    _ip("-n", name, "link", "set", "eth0", "up")
    _ip("-n", name, "link", "set", "lo", "up")


def start_ray(hosts: Sequence[Host], cpus: Sequence[int], environment: Mapping[str, str], logs: Path) -> str:
    """Start a Ray node on each host, the first one as head; gives the cluster's address. They end with their hosts."""
    head, *others = hosts
    address = f"{head.address}:{_PORT}"
    as_head = ["--head", f"--port={_PORT}", f"--temp-dir={head.ray_folder}", "--include-dashboard=false"]
    wait_for_ray([_start_node(head, cpus[0], as_head, environment, logs)])
    wait_for_ray(
        [join_ray(host, count, address, environment, logs) for host, count in zip(others, cpus[1:], strict=True)]
    )
    return address


def join_ray(
    host: Host, cpus: int, address: str, environment: Mapping[str, str], logs: Path
) -> tuple[subprocess.Popen[str], Path]:
    """Start a node of a cluster that is there; the process and its log."""
    return _start_node(host, cpus, [f"--address={address}"], environment, logs)


def _start_node(
    host: Host, cpus: int, role: Sequence[str], environment: Mapping[str, str], logs: Path
) -> tuple[subprocess.Popen[str], Path]:
    ray = str(Path(sys.executable).with_name("ray"))
    common = ["--block", "--disable-usage-stats", "--num-gpus=0", f"--object-store-memory={100 << 20}"]
    log = logs / f"{host.namespace}.log"
    command = [ray, "start", *role, *common, f"--node-ip-address={host.address}", f"--num-cpus={cpus}"]
    return host.start(command, environment, log), log


def wait_for_ray(nodes: Sequence[tuple[subprocess.Popen[str], Path]]) -> None:
    """Wait until `ray start` has said in its log that it is up."""
    deadline = time.monotonic() + _START_SECONDS
    for process, log in nodes:
        while "Ray runtime started." not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
