"""The workers of a training, as Ray Train is asked for them, and what of a machine each may use."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainer.config import TrainingConfig


def torch_trainer(
    entry: Callable[[Mapping[str, Any]], None],
    given: Mapping[str, Any],
    training: TrainingConfig,
    *,
    name: str,
    scratch: Path,
    max_failures: int,
    **more: Any,
) -> Any:
    """Ray Train's trainer.

    Args:
        entry: runs on each worker.
        given: what it is called with.
        training: workers, their CPUs and GPUs.
        name: of the run, for Ray.
        scratch: folder for Ray's own bookkeeping.
        max_failures: how often lost workers are replaced; -1 without end.
        more: data sets and their configuration.
    """
    import ray.train
    from ray.train.torch import TorchTrainer

    from trainer.process_groups import HostsConfig
    from trainer.resizing import ResizeWarning

    train: Any = ray.train  # for type checkers it is that of version 1
    gpu = training.gpus_per_worker > 0
    workers: Any = (training.min_workers, training.workers) if training.min_workers else training.workers
    resources = {"CPU": training.cpus_per_worker} | ({"GPU": training.gpus_per_worker} if gpu else {})
    return TorchTrainer(
        entry,
        train_loop_config=dict(given),
        torch_config=HostsConfig(backend="nccl" if gpu else "gloo", max_failures=training.max_failures),
        scaling_config=train.ScalingConfig(
            num_workers=workers,
            use_gpu=gpu,
            resources_per_worker=resources,
            elastic_resize_monitor_interval_s=training.resize_seconds,
        ),
        run_config=train.RunConfig(
            name=name,
            storage_path=str(scratch),
            failure_config=train.FailureConfig(max_failures=max_failures),
            callbacks=[ResizeWarning()],
        ),
        **more,
    )


def limit_threads(training: TrainingConfig) -> None:
    """Have torch use the threads that the configuration gives a worker."""
    import ray.train
    import torch

    workers_here = ray.train.get_context().get_local_world_size()
    torch.set_num_threads(training.threads_per_worker or max((os.cpu_count() or 1) // workers_here, 1))
