"""An index as Ray actors: complete answers in order, also when shards are killed, stuck or built from damaged files."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cluster.errors import ConfigError, DataError, WorkError
from cluster.ray_runtime import RayConfig, ray_cluster
from cluster.storage import Store, open_store, result_set_exists, write_result_set
from retrieval.index.build import IndexSpec, describe_index
from retrieval.index.config import IndexConfig, ServiceConfig
from retrieval.index.service import SearchService
from retrieval.index.vector_files import write_vector_files

pytestmark = pytest.mark.ray

LANGUAGES, COUNTS = ("de", "en", "fr"), (300, 500, 200)
RNG = np.random.default_rng(0)
VECTORS = (RNG.integers(-4, 5, (1000, 16)) / 8).astype(np.float32)
VECTORS[RNG.choice(1000, 300, replace=False)] = VECTORS[0]
QUERIES = (RNG.integers(-4, 5, (200, 16)) / 8).astype(np.float32)
BEST = np.argsort(-(QUERIES @ VECTORS.T), axis=1, kind="stable")[:, :10]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = open_store(tmp_path_factory.mktemp("root"))
    with write_result_set(store, "vectors/some", {}) as folder:
        write_vector_files(folder / "passages", LANGUAGES, COUNTS, [VECTORS], 16)
    return store


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with ray_cluster(RayConfig(), 6):
        yield


def index(store: Store, shards: int = 2, **fields: object) -> IndexSpec:
    return describe_index(store, "vectors/some", "passages", IndexConfig(**fields), shards)


def process_of(service: SearchService, shard: int) -> int:
    import ray

    return ray.get(service._actors[shard][0].__ray_call__.remote(lambda actor: os.getpid()))


def batches(size: int = 20) -> Iterator[np.ndarray]:
    yield from np.split(QUERIES, range(size, len(QUERIES), size))


def test_shards_in_processes_answer_as_sorting_does(store: Store) -> None:
    with SearchService(index(store), ServiceConfig(batch=30)) as service:
        scores, rows = service.search(QUERIES, 10)
        np.testing.assert_array_equal(rows, BEST)
        np.testing.assert_array_equal(scores, np.take_along_axis(QUERIES @ VECTORS.T, BEST, 1))
        _, french = service.search(QUERIES, 10, [2])
        assert (french >= 800).all()
        assert len(service.busy_seconds()) == 2 and min(service.busy_seconds()) > 0
        with pytest.raises(ConfigError, match="k: 10001 is out of range"):
            service.search(QUERIES, 10_001)
        assert service.search(QUERIES[:0], 3)[1].shape == (0, 3)


def test_a_killed_shard_comes_back_and_no_answer_is_wrong(store: Store) -> None:
    with SearchService(index(store), ServiceConfig(in_flight=4)) as service:
        answers = []
        for number, (_, rows) in enumerate(service.stream(batches(), 10)):
            if number in (2, 6):
                os.kill(process_of(service, 1), signal.SIGKILL)
            answers.append(rows)
        np.testing.assert_array_equal(np.concatenate(answers), BEST)
        assert [recovery.shard for recovery in service.recoveries] == [1, 1]
        assert all(recovery.seconds > 0 for recovery in service.recoveries)


@pytest.mark.long
def test_a_thousand_batches_with_a_shard_killed_three_times(store: Store) -> None:
    """Every answer is right; what the losses cost is told."""
    with SearchService(index(store), ServiceConfig(in_flight=4)) as service:
        wrong, started, killed = [], time.monotonic(), 0.0
        stream = service.stream((QUERIES[number % 190 : number % 190 + 10] for number in range(1000)), 10)
        for number, (_, rows) in enumerate(stream):
            if number in (100, 500, 900):
                os.kill(process_of(service, number // 100 % 2), signal.SIGKILL)
            if not np.array_equal(rows, BEST[number % 190 : number % 190 + 10]):
                wrong.append(number)
        killed = sum(recovery.seconds for recovery in service.recoveries)
        assert number == 999 and not wrong and len(service.recoveries) == 3
        print(f"1000 batches in {time.monotonic() - started:.1f} s, of which {killed:.1f} s for 3 losses")


def test_a_shard_that_hangs_is_started_again(store: Store) -> None:
    with SearchService(index(store), ServiceConfig(timeout_seconds=5)) as service:
        os.kill(process_of(service, 0), signal.SIGSTOP)
        np.testing.assert_array_equal(service.search(QUERIES, 10)[1], BEST)
        assert "no answer in 5 s" in service.recoveries[0].reason


def test_a_shard_lost_too_often_ends_the_search_with_an_error(store: Store) -> None:
    with SearchService(index(store), ServiceConfig(restarts=0)) as service:
        os.kill(process_of(service, 1), signal.SIGKILL)
        with pytest.raises(WorkError, match=r"shard 1 of indexes/\w+ was lost 1 times"):
            service.search(QUERIES, 10)


def test_the_next_batch_is_read_only_when_there_is_a_place_for_it(store: Store) -> None:
    read = []

    def watched() -> Iterator[np.ndarray]:
        for number, batch in enumerate(batches()):
            read.append(number)
            yield batch

    with SearchService(index(store), ServiceConfig(in_flight=2, replicas=2)) as service:
        stream = service.stream(watched(), 10)
        next(stream)
        assert read == [0, 1]
        rest = [rows for _, rows in stream]
        np.testing.assert_array_equal(np.concatenate(rest), BEST[20:])


def test_an_index_file_is_built_once(store: Store) -> None:
    spec = index(store, kind="ivf", lists=8, probes=8)
    with SearchService(spec, ServiceConfig()) as service:
        np.testing.assert_array_equal(service.search(QUERIES, 1)[0][:, 0], (QUERIES @ VECTORS.T).max(1))
    assert result_set_exists(store, spec.shard_name(0)) and result_set_exists(store, spec.shard_name(1))
    files = sorted(Path(store.fetch_folder(spec.name)).rglob("*.faiss"))
    times = [path.stat().st_mtime_ns for path in files]
    looser = index(store, kind="ivf", lists=8, probes=4)
    assert looser.name == spec.name, "how widely one searches does not change the files"
    with SearchService(looser, ServiceConfig()):
        assert [path.stat().st_mtime_ns for path in files] == times and len(files) == 3


def test_damaged_files_are_refused_by_name(store: Store, tmp_path: Path) -> None:
    other = open_store(tmp_path)
    with write_result_set(other, "vectors/some", {}) as folder:
        write_vector_files(folder / "passages", LANGUAGES, COUNTS, [VECTORS], 16)
    spec = index(other, kind="sq8")
    with SearchService(spec, ServiceConfig()):
        pass
    broken = tmp_path / spec.shard_name(1) / "index.faiss"
    data = bytearray(broken.read_bytes())
    data[len(data) // 2] ^= 1
    broken.write_bytes(data)
    with pytest.raises(DataError, match=r"00001-of-00002/index.faiss: damaged"), SearchService(spec, ServiceConfig()):
        pass
    part = tmp_path / "vectors/some/passages/part-00000.npy"
    data = bytearray(part.read_bytes())
    data[-5] ^= 1
    part.write_bytes(data)
    with pytest.raises(DataError, match=r"part-00000.npy: damaged"):
        index(other)
