"""Collections encoded by many processes: the vectors of one process, whatever is killed on the way, in folders and buckets."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from end_to_end.small_job import job_fields, write_job
from object_stores.servers import BUCKET, CREDENTIALS, moto_server

from cluster.config import build_config, load_config, with_overrides
from cluster.errors import DataError
from cluster.ray_runtime import RayConfig, ray_cluster
from cluster.storage import ResultSet, open_result_set
from jobs import encoding_pool
from jobs.config import EvaluationConfig, RunConfig
from jobs.encoding import PASSAGES, read_collection_vectors
from jobs.encoding_pool import EncodingJob, Shard, ShardEncoder
from jobs.mining_stage import _passage_vectors
from jobs.stages import Stages
from retrieval.groups import open_groups
from retrieval.index.build import IndexSpec, describe_index, open_shard
from retrieval.index.config import IndexConfig
from retrieval.index.merge import merged
from retrieval.index.vector_files import open_vector_files
from retrieval.mining.corpus import corpus_of

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[str]:
    """A bucket, and a Ray cluster whose processes may use it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        with moto_server() as url, ray_cluster(RayConfig(), 4):
            yield url


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return job_fields(tmp_path_factory.mktemp("job"))


def stages_of(fields: dict[str, Any], root: str | Path, *overrides: str) -> Stages:
    return Stages(build_config(RunConfig, with_overrides(fields, list(overrides))), str(root))


@pytest.fixture(scope="module")
def here(fields: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """What one process gives."""
    return read_collection_vectors(stages_of(fields, fields["root"]).vectors("untrained", "test").folder)


def same_as(found: tuple[np.ndarray, np.ndarray], expected: tuple[np.ndarray, np.ndarray]) -> bool:
    return all(np.allclose(one, other, atol=1e-6) for one, other in zip(found, expected, strict=True))


@pytest.fixture(scope="module")
def spread(fields: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Stages, ResultSet]:
    """What two processes give, one of which is killed on the way."""
    root = tmp_path_factory.mktemp("spread")
    stages = stages_of(fields, root, "encoding.workers=2", "encoding.min_rows=0", "encoding.shard_rows=7")
    killed: list[int] = []

    def kill_one() -> None:
        while not killed:
            if encoded(root):
                killed.append(processes()[0])
                os.kill(killed[0], signal.SIGKILL)
            time.sleep(0.005)

    thread = threading.Thread(target=kill_one, daemon=True)
    thread.start()
    vectors = stages.vectors("untrained", "test")
    thread.join(timeout=10)
    assert killed
    return stages, vectors


def test_processes_give_the_vectors_of_one(fields: dict[str, Any], here: Any, spread: tuple[Stages, ResultSet]) -> None:
    stages, vectors = spread
    assert vectors.name == stages_of(fields, fields["root"]).vectors("untrained", "test").name
    found = read_collection_vectors(vectors.folder, vectors.root)
    assert same_as(found, here)
    files = open_vector_files(vectors.folder / PASSAGES, vectors.root)
    assert files.part_rows == (*[7] * 17, 1) and len(set(files.apart)) == 18
    rows = np.array([119, 0, 6, 7])
    np.testing.assert_array_equal(files.rows(rows), found[1][rows])
    names = {name.split("/")[-2] for name in stages.store.list(f"{vectors.name}-parts")}
    assert names == {f"passages-{number:05d}" for number in range(18)}, "those of queries are copied and go"


def test_an_index_reads_the_parts_and_refuses_a_damaged_one(here: Any, spread: tuple[Stages, ResultSet]) -> None:
    stages, vectors = spread
    queries, passages = here

    def spec() -> IndexSpec:
        return describe_index(stages.store, vectors.name, PASSAGES, IndexConfig(), 2)

    answers = [open_shard(spec(), number).search(queries, 5) for number in range(2)]
    _, rows = merged([s for s, _ in answers], [r for _, r in answers], 5)
    scores = queries.astype(np.float64) @ passages.astype(np.float64).T
    best = np.sort(scores, axis=1)[:, ::-1][:, :5]
    np.testing.assert_allclose(np.take_along_axis(scores, rows, 1), best, atol=1e-6)

    part = open_vector_files(vectors.folder / PASSAGES, vectors.root).apart[17]
    path = open_result_set(stages.store, part.name).path("part-00017.npy")
    data = path.read_bytes()
    path.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    with pytest.raises(DataError, match=r"passages-00017/part-00017.npy: damaged"):
        open_shard(spec(), 1)
    path.write_bytes(data)


def test_a_killed_command_goes_on_with_the_shards_that_are_missing(
    here: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = write_job(tmp_path)
    overrides = ["encoding.workers=1", "encoding.min_rows=0", "encoding.shard_rows=2"]
    command = [sys.executable, "-m", "jobs.cli", "encode", "--config", str(job), "--arm", "untrained", *overrides]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 120
        while len(encoded(tmp_path / "root")) < 2:
            assert process.poll() is None and time.monotonic() < deadline, process.stderr and process.stderr.read()
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    while processes():  # Ray's outlive their driver for a moment
        time.sleep(0.1)
    before = encoded(tmp_path / "root")
    assert 2 <= len(before) < 60, "it was killed on the way"
    given_out, real = [], encoding_pool._encoded
    monkeypatch.setattr(
        encoding_pool, "_encoded", lambda job, missing, config: given_out.extend(missing) or real(job, missing, config)
    )
    vectors = Stages(load_config(RunConfig, job, overrides)).vectors("untrained", "test")
    assert same_as(read_collection_vectors(vectors.folder, vectors.root), here)
    after = encoded(tmp_path / "root")
    assert before.items() <= after.items() and len(after) == 60
    passages = [number for number in given_out if number < 60]  # those of queries come after them
    assert len(passages) == 60 - len(before) and len(given_out) - len(passages) <= 60


def encoded(root: Path) -> dict[str, int]:
    """Shards of passages that are encoded -> when."""
    return {path.parent.name: path.stat().st_mtime_ns for path in root.glob("vectors/*-parts/*/passages-*/COMMIT")}


def processes() -> list[int]:
    """Processes that encode."""
    lines = {process.pid: " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])}
    return [pid for pid, line in lines.items() if line.startswith("ray::") and "ShardEncoder" in line]


def test_a_bucket_serves_as_well(
    fields: dict[str, Any], here: Any, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that encodes knows the URI alone; its copies stand elsewhere."""
    monkeypatch.setenv("MIXLINGUAL_STORAGE_CACHE", str(tmp_path / "driver"))
    overrides = ["encoding.workers=1", "encoding.min_rows=0", "encoding.shard_rows=50"]
    vectors = stages_of(fields, f"s3://{BUCKET}/encoding?endpoint={server}", *overrides).vectors("untrained", "test")
    assert not (vectors.folder / PASSAGES / "part-00000.npy").exists()
    assert same_as(read_collection_vectors(vectors.folder, vectors.root), here)


def test_mined_passages_are_spread_too(fields: dict[str, Any], tmp_path: Path) -> None:
    stages = stages_of(fields, tmp_path, "encoding.workers=1", "encoding.min_rows=0", "encoding.shard_rows=300")
    corpus = corpus_of(open_groups(stages.groups).iter_groups(), open_groups(stages.groups).languages)
    found = []
    for mining, name in ((stages, "spread"), (stages_of(fields, tmp_path), "here")):
        vectors = _passage_vectors(mining, stages.start, corpus, {"which": name})
        files = open_vector_files(vectors.folder, vectors.root)
        found.append(files.read(0, files.num_rows))
        assert files.bounds == tuple(corpus.bounds) and bool(files.apart) == (name == "spread")
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_what_a_process_meets_is_told(fields: dict[str, Any], spread: tuple[Stages, ResultSet]) -> None:
    stages, vectors = spread
    shards = (Shard("passages", "passage", 0, 0, 50),)
    job = EncodingJob(
        stages.store.uri, "vectors/a", "encoders/none", "texts/none", shards, 50, EvaluationConfig(), False
    )
    told = ShardEncoder(job)({"shard": np.array([0])})
    assert told["error"] == ["DataError"] and "encoders/none: no committed result set" in told["message"][0]
    job = dataclasses.replace(job, encoder=str(vectors.about["encoder"]), texts=str(vectors.about["texts"]), gpu=True)
    if not torch.cuda.is_available():
        told = ShardEncoder(job)({"shard": np.array([0])})
        assert told["error"] == ["ConfigError"] and told["message"][0].startswith("encoding.gpus: torch finds no GPU")
