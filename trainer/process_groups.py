"""Process groups of a training's workers, over hosts too: on the network that Ray uses, and a host may go meanwhile.

Workers find each other in a store that the first of them serves. Ray Train and torch have it listen on every address
of its machine, without a token; here it listens on the one address by which Ray knows the machine.
"""

import fcntl
import ipaddress
import os
import socket
import struct
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import ray
import ray.util
import torch.distributed
from ray.exceptions import RayTaskError
from ray.train.torch import TorchConfig
from ray.train.torch.config import _set_torch_distributed_env_vars, _TorchBackend
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
            worker_group.execute(use_interface_of_ray)
            address, port = worker_group.execute_single(0, serve_store)
            worker_group.execute(_set_torch_distributed_env_vars)
            ray.get(
                [
                    worker_group.execute_single_async(
                        rank,
                        join,
                        backend_config.backend,
                        address,
                        port,
                        rank,
                        len(worker_group),
                        backend_config.timeout_s,
                    )
                    for rank in range(len(worker_group))
                ]
            )
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


_served: list[torch.distributed.TCPStore] = []
"""The store that this process serves; kept as long as the process lives."""


def serve_store() -> tuple[str, int]:
    """Serve a store on this machine's address in the cluster, and on no other; its address and port."""
    address = ray.util.get_node_ip_address()
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    listener = socket.socket(family)
    listener.bind((address, 0))
    port = listener.getsockname()[1]
    _served[:] = [torch.distributed.TCPStore(address, port, is_master=True, master_listen_fd=listener.detach())]
    return address, port


def join(backend: str, address: str, port: int, rank: int, size: int, timeout_s: float) -> None:
    """Take part in the process group whose store is served there."""
    timeout = timedelta(seconds=timeout_s)
    if backend == "nccl":  # as Ray Train sets it: a collective that times out is an error, not a hang
        os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1")
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = address, str(port)
    store = _served[0] if rank == 0 else torch.distributed.TCPStore(address, port, timeout=timeout)
    torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timeout)


def use_interface_of_ray() -> None:
    """Have gloo use the network that Ray uses, unless the user chose one.

    Gloo takes the address that the machine's own name resolves to. In Debian's and many images' /etc/hosts that is a
    loopback address, at which no other host finds it; elsewhere it is one that strangers find.
    """
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
