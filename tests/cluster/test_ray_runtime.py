"""Clusters that cannot be used are said in one line; what the user set in the environment stays."""

import os
import socket

import pytest

from cluster.config import build_config
from cluster.errors import ConfigError, WorkError
from cluster.ray_runtime import RayConfig, quiet_environment, ray_cluster


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    quiet_environment()
    assert os.environ["RAY_AUTH_MODE"] == "disabled" and os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_cluster_that_is_not_there_is_said_at_once(scheme: str, closed_port: int) -> None:
    address = f"{scheme}127.0.0.1:{closed_port}"
    refused = pytest.raises(ConfigError, match=f"^ray.address: cannot use Ray at {address}: .*refused")
    with refused as error, ray_cluster(RayConfig(address=address), cpus_needed=1):
        pass
    assert "\n" not in str(error.value)


def test_a_machine_too_busy_to_start_ray_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    # What Ray 2.60 raises there (ray/_private/node.py); a machine as busy as that cannot be had in a test.
    import ray

    def give_up(**_: object) -> None:
        raise Exception(
            "The current node timed out during startup. This could happen because some of the raylet failed."
        )

    monkeypatch.setattr(ray, "init", give_up)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(WorkError, match="start the same command again") as error, ray_cluster(RayConfig(), 1):
        pass
    assert "\n" not in str(error.value)


def test_the_address_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch, closed_port: int) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{closed_port}")
    named = pytest.raises(ConfigError, match=f"cannot use Ray at 127.0.0.1:{closed_port}")
    with named, ray_cluster(RayConfig(), cpus_needed=1):
        pass


def test_fields() -> None:
    with pytest.raises(ConfigError, match="object_store_mib: Input should be greater than or equal to 80"):
        build_config(RayConfig, {"object_store_mib": 1})
