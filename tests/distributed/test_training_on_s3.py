"""Everything under an `s3:` root: groups, checkpoints and trained encoders, on machines that share no folder."""

import dataclasses
import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from distributed.small_run import pairs_fields, small_plan, small_spec, write_pairs
from object_stores.servers import BUCKET, CREDENTIALS, client, moto_server

from cluster.config import build_config
from cluster.ray_runtime import RayConfig, ray_cluster
from cluster.storage import Store, open_result_set, open_store, write_result_set
from jobs.code_switching import stored_dictionary
from retrieval.dictionary import write_dictionary
from retrieval.dictionary_of_groups import dictionary_of
from retrieval.encoder.folder import load_encoder
from retrieval.groups import open_groups
from retrieval.prepare import PrepareConfig, prepare
from trainer.checkpoint import Checkpoint, CheckpointConfig, CheckpointWriter, latest
from trainer.feed.payload import to_table
from trainer.feed.stream import BatchMaker
from trainer.launch import train_encoder
from trainer.state import FullState
from trainer.worker import ENCODER_FOLDER, TrainSpec


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        with moto_server() as url:
            yield url


@pytest.fixture
def driver(server: str, tmp_path: Path) -> Store:
    """An empty root, opened with a cache that only this machine has: the URI does not carry it."""
    return open_store(f"s3://{BUCKET}/{uuid.uuid4().hex[:12]}?endpoint={server}&cache={tmp_path / 'driver'}")


@pytest.fixture
def worker_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where other machines, which know the URI alone, keep their copies."""
    monkeypatch.setenv("MIXLINGUAL_STORAGE_CACHE", str(tmp_path / "worker"))
    return tmp_path / "worker"


def spec_on(store: Store, folder: Path, steps: int, workers: int = 1) -> TrainSpec:
    """The small run, all of it under a store."""
    folder.mkdir(exist_ok=True)
    spec = small_spec(folder, steps, workers=workers)
    write_pairs(folder / "pairs.jsonl", 300)
    fields = {"sources": [pairs_fields(folder / "pairs.jsonl")], "min_groups": 8, "row_group_rows": 32}
    groups = open_groups(prepare(build_config(PrepareConfig, fields), store))
    with write_result_set(store, "encoders/start", {}) as staged:
        shutil.copytree(spec.encoder_folder, staged / ENCODER_FOLDER)
    start = open_result_set(store, "encoders/start")
    return dataclasses.replace(
        spec,
        root=store.uri,
        start=start.name,
        encoder_folder=start.folder / ENCODER_FOLDER,
        feed=dataclasses.replace(spec.feed, groups=groups),
    )


def test_feeds_fetch_what_they_read_where_there_is_no_copy(driver: Store, worker_cache: Path, tmp_path: Path) -> None:
    spec = spec_on(driver, tmp_path, steps=4)
    groups = spec.feed.groups
    with write_result_set(driver, "dictionaries/one", {}) as staged:
        write_dictionary(staged, dictionary_of(groups))
    dictionary = stored_dictionary(open_result_set(driver, "dictionaries/one"))
    plan = small_plan(groups, {"mono": 0.5, "code_switched": 0.5}, granularity="slot")
    spec = dataclasses.replace(spec, feed=dataclasses.replace(spec.feed, plan=plan, dictionary=dictionary))
    expected = BatchMaker(spec.feed, rank=0, world_size=1).make(2)
    assert not spec.feed.groups.here().folder.is_relative_to(tmp_path / "driver"), "a worker knows the URI alone"
    shutil.rmtree(tmp_path / "driver")
    batch = BatchMaker(spec.feed, rank=0, world_size=1).make(2)
    assert to_table([batch]).equals(to_table([expected]))


def test_groups_prepared_again_by_force_take_the_place_of_the_old_ones(driver: Store, tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.jsonl", 60)
    config = build_config(PrepareConfig, {"sources": [pairs_fields(tmp_path / "pairs.jsonl")], "min_groups": 8})
    first, second = prepare(config, driver), prepare(config, driver, force=True)
    assert first.name == second.name and first.files == second.files
    assert [group.id for group in open_groups(second).iter_groups()] == [
        group.id for group in open_groups(first).iter_groups()
    ]


def checkpoint(step: int) -> Checkpoint:
    weights, first, second = ({"a.weight": torch.full((4, 3), step + offset)} for offset in (0.0, 0.25, 0.5))
    state = FullState(weights=weights, first_moments=first, second_moments=second, optimizer_steps=step)
    return Checkpoint(step=step, state=state, fingerprint="f", seed=5)


def test_checkpoints_are_kept_dropped_and_passed_over_as_in_a_folder(
    server: str, driver: Store, worker_cache: Path
) -> None:
    writer = CheckpointWriter(driver, "training/one", CheckpointConfig(keep_last=2))
    for step in (1, 2, 3, 4):
        writer.save(checkpoint(step), best_step=1)
    writer.wait()
    kept = sorted({key.split("/")[3] for key in driver.list("training/one")})
    assert kept == ["step-00000001", "step-00000003", "step-00000004"]
    prefix = driver.uri.removeprefix(f"s3://{BUCKET}/").partition("?")[0]
    listed = client(server).list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/training")["Contents"]
    assert len(listed) == 3 * 5, "what was dropped left nothing"
    damaged = next(item["Key"] for item in listed if "step-00000004" in item["Key"] and "weights" in item["Key"])
    client(server).put_object(Bucket=BUCKET, Key=damaged, Body=b"damaged")
    elsewhere = open_store(driver.uri)
    found = latest(elsewhere, "training/one", "f")
    assert found is not None and found.step == 3
    assert torch.equal(found.state.weights["a.weight"], torch.full((4, 3), 3.0))
    elsewhere.delete("training/one")
    assert latest(driver, "training/one", "f") is None and not driver.exists("training/one")


@pytest.mark.ray
@pytest.mark.distributed
def test_workers_that_share_no_folder_train(driver: Store, worker_cache: Path, tmp_path: Path) -> None:
    spec = spec_on(driver, tmp_path / "run", steps=12, workers=2)
    shutil.rmtree(tmp_path / "driver")
    shutil.rmtree(tmp_path / "run")
    with ray_cluster(RayConfig(), cpus_needed=6):
        trained = train_encoder(spec)
    assert trained.folder.is_relative_to(worker_cache)
    steps = [json.loads(line) for line in trained.path("telemetry.jsonl").read_text().splitlines()]
    assert [line["step"] for line in steps if line["event"] == "step"] == [*range(1, 13)]
    load_encoder(trained.folder / ENCODER_FOLDER)
    assert not open_store(spec.root).exists(spec.prefix), "checkpoints of a finished run are dropped"
