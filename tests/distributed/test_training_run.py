"""Training as users run it: Ray Train, DeepSpeed, two real workers; a killed worker changes nothing."""

import contextlib
import dataclasses
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from distributed.nodes import training_workers
from distributed.small_run import small_groups, small_plan, small_spec, with_training
from ray_clusters.listeners import listeners

from cluster.errors import WorkError
from cluster.ray_runtime import RayConfig, ray_cluster
from cluster.storage import ResultSet, open_store
from retrieval.dictionary import StoredDictionary, write_dictionary
from retrieval.dictionary_of_groups import dictionary_of
from retrieval.encoder.folder import load_encoder
from retrieval.group_tokens import open_group_tokens, write_group_tokens
from trainer.feed.config import FeedConfig
from trainer.feed.payload import from_row, to_table
from trainer.feed.stream import Batches, BatchMaker, FeedSpec, rank_stream
from trainer.launch import train_encoder
from trainer.mixing.ratios import KINDS
from trainer.worker import TrainSpec, next_step

pytestmark = [pytest.mark.ray, pytest.mark.distributed]
STEPS = 120


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with ray_cluster(RayConfig(), cpus_needed=6):
        yield


LISTENED: set[str] = set()
"""Addresses that training workers, and everything else of the cluster, listened on in the undisturbed run."""


@pytest.fixture(scope="module")
def undisturbed(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> ResultSet:
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            with contextlib.suppress(psutil.Error):
                if training_workers():
                    LISTENED.update(listeners(psutil.Process().children(recursive=True)))

    with ThreadPoolExecutor(1) as pool:
        watched = pool.submit(watch)
        try:
            return train_encoder(small_spec(tmp_path_factory.mktemp("undisturbed"), STEPS, workers=2))
        finally:
            over.set()
            watched.result()


def test_while_it_trains_nothing_listens_beyond_loopback(undisturbed: ResultSet) -> None:
    assert {"127.0.0.1"} == LISTENED


def records(result: ResultSet, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in result.path("telemetry.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def losses(result: ResultSet) -> np.ndarray:
    return np.array([line["loss"] for line in records(result, "step")])


def kill_one_worker(spec: TrainSpec, after_step: int, running: threading.Event) -> bool:
    """kill -9 one training worker as soon as a checkpoint at or after a step stands."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and running.is_set():
        if next_step(spec) >= after_step and (workers := training_workers()):
            os.kill(workers[-1].pid, signal.SIGKILL)
            return True
        time.sleep(0.02)
    return False


def train_and_kill(spec: TrainSpec, after_step: int) -> ResultSet:
    running = threading.Event()
    running.set()
    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(kill_one_worker, spec, after_step, running)
        try:
            return train_encoder(spec)
        finally:
            running.clear()
            assert killed.result(), "no worker was killed: the run was over too soon for this test to show anything"


def test_a_run_learns_and_leaves_one_complete_result(undisturbed: ResultSet) -> None:
    found = losses(undisturbed)
    assert len(found) == STEPS
    assert found[-20:].mean() < 0.7 * found[:20].mean()
    ledger = json.loads(undisturbed.path("ledger.json").read_text())
    assert [ledger["kinds"][kind]["count"] for kind in ("mono", "cross", "multi")] == [40, 40, 40]
    assert ledger["largest_prefix_deviation"] <= 1
    validations = records(undisturbed, "validation")
    assert [line["step"] for line in validations] == [50, 100, 120]
    assert validations[-1]["multi"]["mAP"] > validations[0]["multi"]["mAP"] * 0.9
    encoder, _ = load_encoder(undisturbed.folder / "encoder")
    assert sum(parameter.numel() for parameter in encoder.parameters()) > 10_000
    root = undisturbed.folder.parents[1]
    assert not (root / "training").exists() or not list((root / "training").rglob("*.safetensors"))
    assert not [path for path in (root / ".staging").rglob("*") if path.is_file()]


def test_a_killed_worker_changes_no_loss(cluster: None, undisturbed: ResultSet, tmp_path: Path) -> None:
    disturbed = train_and_kill(small_spec(tmp_path, STEPS, workers=2), after_step=40)
    np.testing.assert_allclose(losses(disturbed), losses(undisturbed), rtol=1e-6)
    assert json.loads(disturbed.path("ledger.json").read_text()) == json.loads(
        undisturbed.path("ledger.json").read_text()
    )


def test_a_run_goes_on_with_another_number_of_workers(cluster: None, undisturbed: ResultSet, tmp_path: Path) -> None:
    spec = small_spec(tmp_path, STEPS, workers=2, max_failures=0)
    with pytest.raises(WorkError, match="go on from the newest checkpoint"):
        train_and_kill(spec, after_step=40)
    done = next_step(spec)
    assert 40 <= done < STEPS
    resumed = train_encoder(with_training(spec, workers=1))
    before, after = losses(resumed)[:done], losses(resumed)[done:]
    np.testing.assert_allclose(before, losses(undisturbed)[:done], rtol=1e-6)
    # Dropout is drawn per worker, so later losses are other draws of the same curve; the data are the same.
    assert abs(after.mean() - losses(undisturbed)[done:].mean()) < 0.35 * losses(undisturbed)[done:].mean()
    assert json.loads(resumed.path("ledger.json").read_text()) == json.loads(
        undisturbed.path("ledger.json").read_text()
    )
    kinds = [(line["step"], line["kind"], line["source"]) for line in records(resumed, "step")]
    assert kinds == [(line["step"], line["kind"], line["source"]) for line in records(undisturbed, "step")]


def collapse_warnings() -> list[str]:
    """What training workers of this cluster have said of collapsed encoders so far."""
    import ray

    logs = Path(ray._private.worker._global_node.get_logs_dir_path())
    lines = [line for path in logs.glob("worker-*.err") for line in path.read_text(errors="replace").splitlines()]
    return [line for line in lines if "collapsed" in line]


def test_a_collapsed_encoder_is_warned_of_once(cluster: None, undisturbed: ResultSet, tmp_path: Path) -> None:
    assert collapse_warnings() == [], "healthy encoders are not warned of"
    rate = {"learning_rate": 1.0, "zero_stage": 1}
    train_encoder(small_spec(tmp_path, 60, workers=2, engine=rate, validation={"every": 0}))
    (line,) = collapse_warnings()
    assert "lower training.engine.learning_rate" in line


def test_an_error_that_no_retry_mends_ends_the_run_in_one_line(cluster: None, tmp_path: Path) -> None:
    spec = small_spec(tmp_path, 40)
    part = next(iter(spec.feed.groups.sources)).shards[0].path
    part.write_bytes(part.read_bytes()[:200])
    with pytest.raises(Exception, match=r"part-00000\.parquet") as error:
        train_encoder(spec)
    assert "\n" not in str(error.value)
    assert not open_store(spec.root).exists(spec.name)


def streamed(spec: FeedSpec, first: int, world_size: int) -> list[list[Any]]:
    streams = [rank_stream(spec, first, rank, world_size).iterator() for rank in range(world_size)]
    return [list(Batches(stream, first, prefetch=2)) for stream in streams]


@pytest.mark.parametrize(("world_size", "first", "cached"), [(1, 0, False), (2, 0, True), (4, 0, False), (2, 7, True)])
def test_any_number_of_ranks_sees_the_same_tokens(
    cluster: None, tmp_path: Path, world_size: int, first: int, cached: bool
) -> None:
    from retrieval.encoder.config import EncoderConfig
    from retrieval.encoder.folder import build_encoder

    groups = small_groups(tmp_path)
    texts = [pair.passage for group in groups.iter_groups() for pair in group.pairs.values()]
    config = EncoderConfig.model_validate({"fresh": {"layers": 1, "hidden": 8, "heads": 1, "vocabulary": 200}})
    _, tokens = build_encoder(config, texts)
    mix = dict.fromkeys(KINDS, "1/4")
    write_dictionary(tmp_path, dictionary_of(groups))
    dictionary = StoredDictionary(tmp_path)
    spec = FeedSpec(small_plan(groups, mix), groups, tokens, FeedConfig(steps_per_task=3), 14, dictionary)
    whole = BatchMaker(spec, 0, 1)
    if cached:
        (tmp_path / "tokens").mkdir()
        write_group_tokens(tmp_path / "tokens", groups, tokens)
        spec = dataclasses.replace(spec, cache=open_group_tokens(tmp_path / "tokens"))
    per_rank = streamed(spec, first, world_size)
    assert [len(batches) for batches in per_rank] == [14 - first] * world_size
    for place, step in enumerate(range(first, 14)):
        expected, shares = whole.make(step), [batches[place] for batches in per_rank]
        for name in ("query_ids", "passage_ids"):
            found = [ids.tolist() for share in shares for ids in getattr(share.local, name)]
            assert found == [ids.tolist() for ids in getattr(expected.local, name)]
        for name in ("query_group", "passage_group", "passage_passage_id", "passage_positive"):
            found = np.concatenate([getattr(share.local, name) for share in shares])
            np.testing.assert_array_equal(found, getattr(expected.local, name))
        assert all(share.slots.step == step for share in shares)


def test_a_batch_survives_the_arrow_table(tmp_path: Path) -> None:
    spec = small_spec(tmp_path, 5).feed
    for step in range(5):
        batch = BatchMaker(spec, 0, 1).make(step)
        again = from_row(to_table([batch, batch]), 1)
        for part in ("slots", "local"):
            for name, value in vars(getattr(batch, part)).items():
                np.testing.assert_equal(getattr(getattr(again, part), name), value)


def test_each_row_group_is_read_once_per_epoch(tmp_path: Path) -> None:
    spec = small_spec(tmp_path, 5).feed
    maker = BatchMaker(spec, 0, 1)
    source = spec.groups.sources[0]
    for step in range(source.num_groups // 16):
        maker.make(step)
    assert maker.fetcher.row_groups_read == source.num_row_groups
