"""Process groups that span hosts: Ray Train's, told which network to use, and that a host may go meanwhile."""

import fcntl
import ipaddress
import os
import socket
import struct
from dataclasses import dataclass
from typing import Any

from ray.exceptions import RayTaskError
from ray.train.torch import TorchConfig
from ray.train.torch.config import _TorchBackend
from ray.train.v2._internal.exceptions import WorkerGroupStartupFailedError

_SIOCGIFADDR = 0x8915  # Linux, <linux/sockios.h>


class HostsBackend(_TorchBackend):
    """Sets up torch.distributed on the workers of a group, wherever Ray put them."""

    def __init__(self) -> None:
        super().__init__()
        self._failures = 0

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        """Make the process group; called for every new group of workers.

        Raises:
            WorkerGroupStartupFailedError: it could not be made. Ray Train starts another group, with the hosts that
                there are by then.
            RayTaskError: it could not be made again and again; this ends the run.
        """
        try:
            if len({worker.metadata.node_id for worker in worker_group.get_workers()}) > 1:
                worker_group.execute(use_interface_of_ray)
            super().on_start(worker_group, backend_config)
        except RayTaskError as error:
            # A host that is lost just now shows as an error of gloo or NCCL on the others, which Ray Train takes for a
            # bug. Its own limit would count the minutes of waiting for machines to start as failures too.
            self._failures += 1
            if self._failures > backend_config.max_failures:
                raise
            line = (str(error.cause).strip().splitlines() or [type(error.cause).__name__])[-1]
            raise WorkerGroupStartupFailedError(f"the workers' process group could not be made: {line}") from error


@dataclass
class HostsConfig(TorchConfig):
    """Ray Train's configuration of torch, with our backend."""

    max_failures: int = 0
    """How often making a process group may fail in a run, and another one is tried."""

    @property
    def backend_cls(self) -> type[HostsBackend]:
        """What sets up the process group."""
        return HostsBackend


def use_interface_of_ray() -> None:
    """Have gloo use the network that Ray uses, unless the user chose one.

    Gloo takes the address that the machine's own name resolves to. In Debian's and many images' /etc/hosts that is a
    loopback address, at which no other host finds it.
    """
    import ray.util

    name = interface_of(ray.util.get_node_ip_address())
    if name is not None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", name)


def interface_of(address: str) -> str | None:
    """Name of the network interface that has an IPv4 address; None if no interface has it."""
    if ipaddress.ip_address(address).version != 4:
        return None  # gloo's own choice; the kernel's list of IPv6 addresses has another form
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for _, name in socket.if_nameindex():
            try:
                found = fcntl.ioctl(any_socket, _SIOCGIFADDR, struct.pack("256s", name.encode()))
            except OSError:
                continue  # an interface without an IPv4 address
            if socket.inet_ntoa(found[20:24]) == address:
                return name
    return None
