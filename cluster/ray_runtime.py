"""A Ray cluster to work on: an existing one by address, or a local one for the time of a command."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator

from pydantic import Field

from cluster.auth import MODE, ensure_local_token, require_token, wrong_token
from cluster.config import Config
from cluster.errors import ConfigError, WorkError

LOOPBACK_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Read by Ray when it is imported: with 0 its processes on a machine listen on 127.0.0.1 alone. See `_on_loopback`."""
_CONNECT_SECONDS = 10


class RayConfig(Config):
    """Where Ray runs."""

    address: str | None = None
    """Address of a cluster (`auto` for the one this machine belongs to); None starts one here and ends it afterwards.
    Inside a job of `ray job submit` the job's own cluster is used."""
    worker_logs: bool = False
    """Show what workers write to their standard output and error."""
    object_store_mib: int = Field(default=512, ge=80)
    """Shared memory of a cluster started here."""


def quiet_environment() -> None:
    """Settings that Ray reads from the environment when it is imported or started; what the user set stays."""
    os.environ.setdefault(MODE, "token")
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "1")
    # Ray starts workers at niceness 15; on a machine that does anything else, training would hardly move.
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


@contextlib.contextmanager
def ray_cluster(
    config: RayConfig, cpus_needed: float, gpus_needed: float = 0, least_share: float = 1
) -> Iterator[None]:
    """Be connected to a cluster that has the CPUs and GPUs a job needs.

    A cluster started here gets as many logical CPUs as the job asks for (they only steer scheduling); a cluster that
    was there before must have them, or be able to start nodes that have. GPUs must be there in any case.

    Args:
        config: where Ray runs.
        cpus_needed: logical CPUs of the job.
        gpus_needed: GPUs of the job.
        least_share: part of both that the job makes do with where there are no more.

    Raises:
        ConfigError: the cluster cannot be reached, or could never place the job.
    """
    quiet_environment()
    import ray

    if ray.is_initialized():
        _check_size(cpus_needed * least_share, gpus_needed * least_share)
        yield
        return
    address = config.address or os.environ.get("RAY_ADDRESS")
    with _as_config_error(address):
        loopback = _listens_on_loopback_alone(address) if address else os.environ.get(LOOPBACK_SWITCH, "0") == "0"
    with _on_loopback(loopback):
        with _as_config_error(address):
            _join(config, address) if address else _start(config, cpus_needed)
        _quiet_loggers()
        try:
            _check_size(cpus_needed * least_share, gpus_needed * least_share)
            yield
        finally:
            ray.shutdown()


def _join(config: RayConfig, address: str) -> None:
    """Connect to a cluster that is there."""
    import ray

    require_token(f"ray.address: Ray at {address}")
    ray.init(address=address, log_to_driver=config.worker_logs, logging_level=logging.ERROR)


def _start(config: RayConfig, cpus_needed: float) -> None:
    """Start a cluster of this machine alone, that ends with this process."""
    import ray

    ensure_local_token()
    try:
        ray.init(
            address="local",
            num_cpus=max(os.cpu_count() or 1, int(cpus_needed + 0.999)),
            object_store_memory=config.object_store_mib << 20,
            include_dashboard=False,
            log_to_driver=config.worker_logs,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # of no narrower class
        if "timed out during startup" not in str(error):
            raise
        raise WorkError(
            "Ray did not start within the half minute it gives itself: this machine is too busy; start the same "
            "command again to go on"
        ) from None


@contextlib.contextmanager
def _on_loopback(alone: bool) -> Iterator[None]:
    """Have Ray, on this machine and for the time of a block, know 127.0.0.1 as this machine's only address.

    Otherwise all servers of a cluster listen on every address of the machine, and 127.0.0.1 is translated wherever it
    is asked for. The switch was made for desktop systems, whose firewalls ask about each listener.
    """
    from ray._private import ray_constants

    before = os.environ.get(LOOPBACK_SWITCH), ray_constants.ENABLE_RAY_CLUSTER
    if alone:
        os.environ[LOOPBACK_SWITCH] = "0"  # for the processes that Ray starts
        ray_constants.ENABLE_RAY_CLUSTER = False  # for this one, which has imported Ray
    try:
        yield
    finally:
        if before[0] is None:
            os.environ.pop(LOOPBACK_SWITCH, None)
        ray_constants.ENABLE_RAY_CLUSTER = before[1]


def _listens_on_loopback_alone(address: str) -> bool:
    """Whether a cluster that is named by a loopback address cannot be reached by this machine's other addresses.

    Raises:
        OSError: nothing listens there, which Ray would find out after more than three minutes.
    """
    from ray._common.network_utils import node_ip_address_from_perspective

    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not separator or not port.isdecimal():
        return os.environ.get(LOOPBACK_SWITCH) == "0"
    _reach(host.strip("[]"), int(port))
    if host not in ("127.0.0.1", "localhost"):
        return False
    try:
        _reach(node_ip_address_from_perspective(), int(port))
    except OSError:
        return True
    return False


def _reach(host: str, port: int) -> None:
    socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()


@contextlib.contextmanager
def _as_config_error(address: str | None) -> Iterator[None]:
    from ray.exceptions import AuthenticationError

    try:
        yield
    except (OSError, OverflowError, RuntimeError, ValueError, AuthenticationError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if address and reason.startswith("Failed to connect to Ray cluster"):
            # Something listens there. Ray says why it may not talk to it in its log, but not in its error.
            raise wrong_token(f"ray.address: Ray at {address}", or_else=", or this version of Ray") from None
        raise ConfigError(f"ray.address: cannot use Ray at {address or 'this machine'}: {reason}") from None


def _check_size(cpus_needed: float, gpus_needed: float) -> None:
    """Refuse what Ray would wait for without end."""
    cpus, gpus = _most("CPU"), _most("GPU")
    if cpus < cpus_needed:
        raise ConfigError(
            f"training.workers: this job needs {cpus_needed:g} CPUs for workers and feeds, the Ray cluster has "
            f"{cpus:g}; lower training.workers, training.cpus_per_worker or training.feed.cpus, or add nodes"
        )
    if gpus < gpus_needed:
        raise ConfigError(
            f"training.gpus_per_worker: this job needs {gpus_needed:g} GPUs, the Ray cluster has {gpus:g}; set it to 0 "
            "to train on CPUs, lower training.workers, or add nodes"
        )


def _most(resource: str) -> float:
    """How much of a resource the cluster has, or would have with all nodes that its autoscaler may start."""
    import ray
    from ray._private.state import state

    possible = state.get_max_resources_from_cluster_config() or {}
    return max(ray.cluster_resources().get(resource, 0), possible.get(resource, 0))


def _quiet_loggers() -> None:
    for name in ("ray.data", "ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.WARNING)
