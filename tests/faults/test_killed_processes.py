"""Processes of a cluster killed with kill -9 at random moments, again and again: whoever waits for them is not misled."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed.small_run import small_spec
from end_to_end.small_job import job_fields
from faults.kills import KILLS, attempts_killed, below, killing
from faults.wholeness import assert_whole

from cluster.config import build_config, with_overrides
from cluster.ray_runtime import RayConfig, ray_cluster
from cluster.storage import ResultSet, open_store, write_result_set
from jobs.config import RunConfig
from jobs.encoding import read_collection_vectors
from jobs.stages import Stages
from retrieval.index.build import describe_index
from retrieval.index.config import IndexConfig, ServiceConfig
from retrieval.index.service import SearchService
from retrieval.index.vector_files import write_vector_files
from trainer.launch import train_encoder
from trainer.worker import TrainSpec

pytestmark = [pytest.mark.ray, pytest.mark.distributed, pytest.mark.faults, pytest.mark.timeout(1800)]
STEPS = 60


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with ray_cluster(RayConfig(), cpus_needed=6):
        yield


def spec_of(root: Path) -> TrainSpec:
    root.mkdir(exist_ok=True)
    return small_spec(root, STEPS, workers=2, max_failures=10_000, checkpoint={"every": 5}, validation={"every": 30})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> ResultSet:
    return train_encoder(spec_of(tmp_path_factory.mktemp("calm")))


def weights(encoder: ResultSet) -> dict[str, str]:
    """Checksums of the encoder's files, and the ledger of what it was trained on."""
    return {name: facts["sha256"] for name, facts in encoder.files.items() if name != "telemetry.jsonl"}


def assert_same(encoders: list[ResultSet], expected: ResultSet, folder: Path) -> None:
    for number, encoder in enumerate(encoders):
        assert weights(encoder) == weights(expected)
        assert not list((folder / str(number)).glob("training/*")) and len(assert_whole(folder / str(number))) == 2


def test_a_training_worker(trained: ResultSet, tmp_path: Path) -> None:
    """It is replaced, and training goes on from the newest checkpoint."""
    with killing(lambda: below("RayTrainWorker"), seed=1, longest=6) as killer:
        done = attempts_killed(lambda n: train_encoder(spec_of(tmp_path / str(n))), killer, "no attempt fails")
    assert_same(done, trained, tmp_path)


def test_the_controller_of_a_training(trained: ResultSet, tmp_path: Path) -> None:
    """The run ends with one line; started again, it goes on from the newest checkpoint."""
    again = "start it again to go on from the newest checkpoint"
    with killing(lambda: below("TrainController"), seed=2, longest=8) as killer:
        done = attempts_killed(lambda n: train_encoder(spec_of(tmp_path / str(n))), killer, again, free_cpus)
    assert_same(done, trained, tmp_path)


def free_cpus() -> None:
    """Give back what a lost controller held; Ray itself does when its driver ends, or where there is a dashboard."""
    from ray._raylet import PlacementGroupID
    from ray.util.placement_group import PlacementGroup, placement_group_table, remove_placement_group

    for name, group in placement_group_table().items():
        if group["state"] != "REMOVED":
            remove_placement_group(PlacementGroup(PlacementGroupID(bytes.fromhex(name))))


def test_a_process_that_encodes(tmp_path: Path) -> None:
    """It is replaced three times; then the command ends with one line, and started again goes on with what is missing."""
    fields = job_fields(tmp_path)
    alone = read_collection_vectors(stages_of(fields, tmp_path / "calm").vectors("untrained", "test").folder)
    spread = ["encoding.workers=2", "encoding.min_rows=0", "encoding.shard_rows=2"]

    def encode(number: int) -> ResultSet:
        return stages_of(fields, tmp_path / str(number), *spread).vectors("untrained", "test")

    with killing(lambda: below("ShardEncoder"), seed=3, longest=4) as killer:
        found = attempts_killed(encode, killer, "a process was lost more than 3 times")
    for number, vectors in enumerate(found):
        for one, other in zip(read_collection_vectors(vectors.folder, vectors.root), alone, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
        assert_whole(tmp_path / str(number))


def stages_of(fields: dict[str, Any], root: Path, *overrides: str) -> Stages:
    return Stages(build_config(RunConfig, with_overrides(fields, list(overrides))), str(root))


def test_a_shard_of_an_index(tmp_path: Path) -> None:
    """It comes back from its files, and every answer is complete and right."""
    rng = np.random.default_rng(0)
    vectors = (rng.integers(-4, 5, (1000, 16)) / 8).astype(np.float32)
    queries = (rng.integers(-4, 5, (20, 16)) / 8).astype(np.float32)
    best = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :10]
    store = open_store(tmp_path)
    with write_result_set(store, "vectors/some", {}) as folder:
        write_vector_files(folder / "passages", ("de", "en"), (400, 600), [vectors], 16)
    index = describe_index(store, "vectors/some", "passages", IndexConfig(), 2)
    answers = 0
    with (
        SearchService(index, ServiceConfig(in_flight=4, restarts=KILLS)) as service,
        killing(lambda: below("ShardActor"), seed=4, longest=2) as killer,
    ):
        while not killer.done:
            for _, rows in service.stream((queries for _ in range(20)), 10):
                np.testing.assert_array_equal(rows, best)
                answers += 1
    print(f"{killer.count} kills, {answers} answers, {len(service.recoveries)} times brought back")
    assert answers > KILLS
