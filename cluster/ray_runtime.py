"""A Ray cluster to work on: an existing one by address, or a local one for the time of a command."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from cluster.config import Config
from cluster.errors import ConfigError

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
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "1")
    # Ray starts workers at niceness 15; on a machine that does anything else, training would hardly move.
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")


@contextlib.contextmanager
def ray_cluster(config: RayConfig, cpus_needed: float, gpus_needed: float = 0) -> Iterator[None]:
    """Be connected to a cluster that has the CPUs and GPUs a job needs.

    A cluster started here gets as many logical CPUs as the job asks for (they only steer scheduling); a cluster that
    was there before must have them. GPUs must be there in any case.

    Raises:
        ConfigError: the cluster cannot be reached, or could never place the job.
    """
    quiet_environment()
    import ray

    if ray.is_initialized():
        _check_size(cpus_needed, gpus_needed)
        yield
        return
    _connect(config, cpus_needed)
    _quiet_loggers()
    try:
        _check_size(cpus_needed, gpus_needed)
        yield
    finally:
        ray.shutdown()


def _connect(config: RayConfig, cpus_needed: float) -> None:
    import ray

    address = config.address or os.environ.get("RAY_ADDRESS")
    common: dict[str, Any] = {"log_to_driver": config.worker_logs, "logging_level": logging.ERROR}
    with _as_config_error(address):
        if address:
            _require_listener(address)
            ray.init(address=address, **common)
        else:
            ray.init(
                address="local",
                num_cpus=max(os.cpu_count() or 1, int(cpus_needed + 0.999)),
                object_store_memory=config.object_store_mib << 20,
                include_dashboard=False,
                **common,
            )


def _require_listener(address: str) -> None:
    """Try to reach `host:port`, which Ray would do for more than three minutes before it gave up."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if separator and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()


@contextlib.contextmanager
def _as_config_error(address: str | None) -> Iterator[None]:
    try:
        yield
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if "token" in reason.lower() or "auth" in reason.lower():
            reason += "; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH) to the cluster's token"
        raise ConfigError(f"ray.address: cannot use Ray at {address or 'this machine'}: {reason}") from None


def _check_size(cpus_needed: float, gpus_needed: float) -> None:
    """Refuse what Ray would wait for without end."""
    import ray

    available = ray.cluster_resources()
    cpus, gpus = available.get("CPU", 0), available.get("GPU", 0)
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


def _quiet_loggers() -> None:
    for name in ("ray.data", "ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.WARNING)
