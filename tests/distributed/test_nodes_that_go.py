"""Nodes that are called back, lost and added while a training runs: nothing is lost, and no batch is another."""

import json
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed.nodes import OBJECT_STORE, Training, nodes, training_workers
from distributed.small_run import plain_losses, small_spec
from ray_clusters.head import BIN

from cluster.storage import open_store
from trainer.checkpoint import latest
from trainer.mixing.ledger import Ledger
from trainer.mixing.ratios import KINDS
from trainer.telemetry import Telemetry
from trainer.worker import TrainSpec

pytestmark = [pytest.mark.ray, pytest.mark.distributed, pytest.mark.faults]
GRACE_SECONDS = 12
TINY = {"layers": 1, "hidden": 16, "heads": 1, "intermediate": 32}


def losses(lines: Iterable[str]) -> list[float]:
    """From the lines of a run's telemetry."""
    return [line["loss"] for line in steps_of(lines)]


def steps_of(lines: Iterable[str]) -> list[dict[str, Any]]:
    return [record for record in map(json.loads, lines) if record["event"] == "step"]


def check_batches(lines: Iterable[str], spec: TrainSpec, steps: int) -> Ledger:
    """Every global batch of the plan so far was trained on once, in order; gives the ledger that must come of it."""
    plan = spec.feed.plan
    ledger, expected = Ledger(plan.config, plan.sources), []
    for step in range(steps):
        batch = plan.batch(step)
        ledger.record(batch)
        kinds = "+".join(sorted({KINDS[kind] for kind in batch.kind.tolist()}))
        expected.append((step + 1, kinds, plan.sources[batch.source].name))
    assert [(line["step"], line["kind"], line["source"]) for line in steps_of(lines)] == expected
    return ledger


def test_what_was_trained_is_saved_before_a_node_is_taken_away(tmp_path: Path) -> None:
    every = 251
    spec = small_spec(
        tmp_path, 1500, dropout=0.0, fresh=TINY, cpus_per_worker=2, checkpoint={"every": every}, validation={"every": 0}
    )
    with nodes() as cluster:
        leaving = cluster.add_node(num_cpus=4, object_store_memory=OBJECT_STORE)
        with Training(spec) as training:
            training.wait_until(lambda: training.saved() >= every, 100)
            drain = [BIN / "ray", "drain-node", "--address", cluster.address, "--node-id", leaving.node_id]
            drain += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot"]
            drain += ["--deadline-remaining-seconds", GRACE_SECONDS]
            subprocess.run([str(word) for word in drain], check=True, timeout=60)
            gone = time.monotonic() + GRACE_SECONDS
            training.wait_until(lambda: training.saved() % every != 0, GRACE_SECONDS - 1)
            on_notice = training.saved()
            cluster.add_node(num_cpus=4, object_store_memory=OBJECT_STORE)
            training.wait_until(lambda: time.monotonic() > gone, GRACE_SECONDS)
            cluster.remove_node(leaving)
            assert on_notice < training.saved() < spec.training.steps, "it went on training while it could"
            result = training.result(150)
    lines = result.path("telemetry.jsonl").read_text().splitlines()
    ledger = check_batches(lines, spec, spec.training.steps)
    assert json.loads(result.path("ledger.json").read_text()) == json.loads(json.dumps(ledger.summary()))
    np.testing.assert_allclose(losses(lines), plain_losses(spec), rtol=1e-6)


def test_four_workers_become_two_and_four_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Ray Train tries the size that it had once more, until it knows of the loss.
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "10")
    every = 10
    spec = small_spec(
        tmp_path,
        5000,  # more than there is time for: what counts is that it goes on, and how
        workers=4,
        min_workers=2,
        max_failures=2,
        resize_seconds=5,
        batch=12,
        dropout=0.0,
        fresh=TINY,
        cpus_per_worker=4,  # a node of 11 has room for two workers, their feeds and Ray's reading tasks
        checkpoint={"every": every},
        validation={"every": 0},
    )
    with nodes() as cluster:
        _, leaving = (cluster.add_node(num_cpus=11, object_store_memory=OBJECT_STORE) for _ in range(2))
        with Training(spec) as training:
            training.wait_until(lambda: training.saved() >= 2 * every, 120)
            assert len(training_workers()) == 4
            cluster.remove_node(leaving)
            lost_at = training.saved()
            training.wait_until(lambda: training.saved() >= lost_at + 2 * every, 90)
            assert len(training_workers()) == 2
            cluster.add_node(num_cpus=11, object_store_memory=OBJECT_STORE)
            training.wait_until(lambda: training.saved() % every != 0, 60)
            resized_at = training.saved()
            training.wait_until(lambda: training.saved() >= resized_at + every, 90)
            assert len(training_workers()) == 4
            reached = latest(open_store(spec.root), spec.prefix)
    assert reached is not None
    lines = list(Telemetry(reached.progress["telemetry"]).lines())
    assert reached.progress["ledger"] == check_batches(lines, spec, reached.step).state()
    undisturbed = plain_losses(spec, reached.step)
    print(
        f"lost at {lost_at}, resized at {resized_at}, reached {reached.step}:",
        np.max(np.abs(np.divide(losses(lines), undisturbed) - 1)),
    )
    np.testing.assert_allclose(losses(lines), undisturbed, rtol=1e-4)
