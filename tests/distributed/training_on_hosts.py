"""The driver of a training run over several hosts, started on the head: trains, and writes down what came of it."""

import json
import sys
from pathlib import Path

import pytest
from distributed.small_run import plain_losses, small_spec

from cluster.errors import ConfigError
from cluster.ray_runtime import RayConfig, ray_cluster
from trainer.config import TrainingConfig
from trainer.launch import train_encoder
from trainer.worker import TrainSpec

STEPS = 60
# Two workers do not fit a host of 5 CPUs; beside one of them its feed does, and a reading task of Ray's.
TRAINING = {
    "workers": 2,
    "min_workers": 1,
    "cpus_per_worker": 3,
    "max_failures": 2,
    "checkpoint": {"every": 5},
    "validation": {"every": 0},
}


def spec_of(root: Path) -> TrainSpec:
    """The run below a root that all hosts see; without dropout, whose masks depend on the number of workers."""
    return small_spec(root, STEPS, dropout=0.0, **TRAINING)


def check_sizes(training: TrainingConfig) -> None:
    """What this cluster of 10 CPUs takes: as much as it has, or will have, or less where a job makes do with less."""
    import ray
    from ray.core.generated.autoscaler_pb2 import ClusterConfig, NodeGroupConfig
    from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_put

    assert training.cpus_needed == 8 and training.least_share == 0.5
    here = RayConfig()
    with ray_cluster(here, cpus_needed=20, least_share=0.5):
        pass
    with pytest.raises(ConfigError, match="needs 20 CPUs for workers and feeds, the Ray cluster has 10;"):
        ray_cluster(here, cpus_needed=20).__enter__()
    # What an autoscaler writes down when it starts.
    key = ray._raylet.GCS_AUTOSCALER_CLUSTER_CONFIG_KEY, ray._raylet.GCS_AUTOSCALER_STATE_NAMESPACE
    group = NodeGroupConfig(name="cpu", resources={"CPU": 5}, max_count=4)
    _internal_kv_put(key[0], ClusterConfig(node_group_configs=[group]).SerializeToString(), namespace=key[1])
    with ray_cluster(here, cpus_needed=20):
        pass
    _internal_kv_del(key[0], namespace=key[1])


def main(address: str, root: str, report: str) -> None:
    spec = spec_of(Path(root))
    training = spec.training
    with ray_cluster(RayConfig(address=address, worker_logs=True), training.cpus_needed, 0, training.least_share):
        check_sizes(training)
        trained = train_encoder(spec)
    lines = [json.loads(line) for line in trained.path("telemetry.jsonl").read_text().splitlines()]
    ledger = json.loads(trained.path("ledger.json").read_text())
    Path(report).write_text(json.dumps({"steps": lines, "ledger": ledger, "plain_losses": plain_losses(spec)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
