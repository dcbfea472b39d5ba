"""Question: does anything grow in a long training? Private memory, open files and object store, of every process.

Trains a tiny encoder on the embedded data set for many steps, as `mixlingual run` does: Ray Train's worker, its feed, a
checkpoint and a validation now and then. All processes are looked at every other second; figures are medians of the
first and of the last tenth of what follows the warm-up (the first fifth of the steps). The target is less than 2 %.
Memory is what a process has for itself (USS); what it shares counts as object store.
"""

import argparse
import contextlib
import json
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil

from cluster.config import load_config
from cluster.ray_runtime import RayConfig, ray_cluster
from jobs.config import RunConfig
from jobs.stages import Stages

QUICK_START = Path(__file__).parents[1] / "jobs" / "configs" / "quickstart.yaml"
TINY = "{layers: 1, hidden: 16, heads: 1, intermediate: 16, vocabulary: 1000, dropout: 0.0}"
ARM = "hybrid"
TARGET = 0.02
SECONDS, WARMUP = 2.0, 0.2


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as root, ray_cluster(RayConfig(), cpus_needed=options.workers * 1.5 + 1):
        overrides = [
            f"encoder.fresh={TINY}",
            "encoder.projection=8",
            f"mixing.batch={options.batch}",
            f"training.steps={options.steps}",
            f"training.workers={options.workers}",
            "training.threads_per_worker=1",
            f"training.validation.every={max(options.steps // 8, 1)}",
            "training.validation.max_groups=8",
            "training.checkpoint.every=200",
        ]
        spec = Stages(load_config(RunConfig, QUICK_START, overrides), root).train_spec(ARM)
        samples = watch(spec)
    report(samples, options.steps)


def watch(spec: Any) -> list[dict[str, Any]]:
    """Train, and look at all processes meanwhile: step, bytes and open files by kind of process, object store."""
    from trainer.launch import train_encoder
    from trainer.worker import next_step

    samples: list[dict[str, Any]] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(SECONDS):
            step = next_step(spec)
            if step:
                samples.append({"step": step, "object store": {"bytes": _object_store()}, **_processes()})

    thread = threading.Thread(target=look)
    thread.start()
    started = time.monotonic()
    try:
        train_encoder(spec)
    finally:
        over.set()
        thread.join()
    kind = "ray::RayTrainWorker"
    worker = [(sample["step"], sample[kind]["bytes"] >> 20) for sample in samples if kind in sample]
    print("step and MiB of the training worker:", *worker)
    print(f"{spec.training.steps} steps in {time.monotonic() - started:.0f} s, {len(samples)} samples")
    return samples


def report(samples: list[dict[str, Any]], steps: int) -> None:
    """A table of what grew, and all of it as JSON."""
    steady = [sample for sample in samples if sample["step"] >= WARMUP * steps]
    tenth = max(len(steady) // 10, 1)
    found: dict[str, dict[str, float]] = defaultdict(dict)
    print(f"{'':24} {'':6} {'first':>12} {'last':>12} {'growth':>8}")
    for kind in sorted({kind for sample in steady for kind in sample if kind != "step"}):
        for what in ("bytes", "files"):
            values = [sample[kind][what] for sample in steady if what in sample.get(kind, ())]
            if len(values) < 2 * tenth:
                continue
            first, last = statistics.median(values[:tenth]), statistics.median(values[-tenth:])
            growth = last / first - 1 if first else float(last > 0)
            found[kind][what] = round(growth, 4)
            print(f"{kind:24} {what:6} {first:12,.0f} {last:12,.0f} {growth:8.1%}{'  !' if growth > TARGET else ''}")
    print(json.dumps({"question": "growth after warm-up", "steps": steps, "target": TARGET, "growth": found}))


def _processes() -> dict[str, dict[str, int]]:
    """Private bytes and open files of this process and all below it, by kind and in all."""
    sums: dict[str, dict[str, int]] = defaultdict(lambda: {"bytes": 0, "files": 0})
    here = psutil.Process()
    for process in [here, *here.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            private, files = process.memory_full_info().uss, process.num_fds()
            for kind in (_kind(process), "all"):
                sums[kind]["bytes"] += private
                sums[kind]["files"] += files
    return dict(sums)


def _kind(process: psutil.Process) -> str:
    if process.pid == psutil.Process().pid:
        return "driver"
    words = process.cmdline()
    return words[0].split("/")[-1].split(".")[0][:24] if words else "?"


def _object_store() -> int:
    import ray
    from ray._private.internal_api import get_memory_info_reply, get_state_from_address

    state = get_state_from_address(ray.get_runtime_context().gcs_address)
    return int(get_memory_info_reply(state).store_stats.object_store_bytes_used)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    return parser.parse_args()


if __name__ == "__main__":
    main()
