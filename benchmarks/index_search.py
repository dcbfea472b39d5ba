"""Two flat shards on Ray against one FAISS index with two threads, then the kinds of index against each other.

    python benchmarks/index_search.py [--rows 1000000] [--dimension 384] [--kinds flat fp16 sq8 ivf ivfpq hnsw]

Vectors are drawn around 10,000 centres, so that clusters mean something, as they do for texts. Questions: what share of
plain FAISS's throughput do shards reach, and what do merging and transport cost; what does each kind of index find, how
fast, from how many bytes.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import faiss
import numpy as np

from cluster.ray_runtime import RayConfig, ray_cluster
from cluster.storage import Store, open_store, write_result_set
from retrieval.index.build import IndexSpec, describe_index
from retrieval.index.config import IndexConfig, ServiceConfig
from retrieval.index.service import SearchService
from retrieval.index.vector_files import write_vector_files

SHARDS, BATCH, K = 2, 1024, 100
BLOCK = 100_000


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, ray_cluster(RayConfig(object_store_mib=1024), 8):
        store = open_store(folder)
        queries = _write_vectors(store, options.rows, options.dimension, options.queries)
        _compare_with_faiss(store, queries, options.rounds)
        _compare_kinds(store, queries, options.kinds, options.rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--queries", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kinds", nargs="*", default=["flat", "fp16", "sq8", "ivf", "ivfpq", "hnsw"])
    parser.add_argument("--folder", help="where the vectors are written meanwhile")
    return parser.parse_args()


def _write_vectors(store: Store, rows: int, dimension: int, num_queries: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((10_000, dimension), dtype=np.float32)

    def drawn(number: int) -> np.ndarray:
        vectors = centres[rng.integers(len(centres), size=number)]
        vectors += 0.7 * rng.standard_normal((number, dimension), dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def blocks() -> Iterator[np.ndarray]:
        for first in range(0, rows, BLOCK):
            yield drawn(min(BLOCK, rows - first))

    with write_result_set(store, "vectors/drawn", {}) as folder:
        write_vector_files(folder / "passages", ["en"], [rows], blocks(), dimension)
    return drawn(num_queries)


def _spec(store: Store, kind: str, rows: int, shards: int = SHARDS) -> IndexSpec:
    lists = max(int(4 * rows**0.5), 1)
    config = IndexConfig(kind=kind, lists=lists, probes=min(64, lists), code_bytes=48, training_rows=100_000)
    return describe_index(store, "vectors/drawn", "passages", config, shards)


def _compare_with_faiss(store: Store, queries: np.ndarray, rounds: int) -> None:
    spec = _spec(store, "flat", 1)
    vectors = spec.vector_files(store).read(0, spec.vector_files(store).num_rows)
    one = faiss.IndexFlatIP(vectors.shape[1])
    for first in range(0, len(vectors), BLOCK):
        one.add(np.ascontiguousarray(vectors[first : first + BLOCK]))
    faiss.omp_set_num_threads(SHARDS)
    with SearchService(spec, ServiceConfig(batch=BATCH)) as service:

        def in_batches() -> tuple[np.ndarray, np.ndarray]:
            answers = [one.search(queries[first : first + BATCH], K) for first in range(0, len(queries), BATCH)]
            return np.concatenate([s for s, _ in answers]), np.concatenate([r for _, r in answers])

        seconds = _alternating(rounds, faiss=in_batches, shards=lambda: service.search(queries, K))
        same = float((in_batches()[1] == service.search(queries, K)[1]).mean())
    rate = {name: len(queries) / statistics.median(times) for name, times in seconds.items()}
    for name, value in rate.items():
        print(f"{name:>8}  {value:8.1f} queries/s  {value / rate['faiss']:5.2f} of faiss")
    print(f"rows in the same places: {same:.6f}")
    _line("throughput of two flat shards against faiss with two threads", rate | {"same": same, "seconds": seconds})


def _compare_kinds(store: Store, queries: np.ndarray, kinds: list[str], rows: int) -> None:
    exact: np.ndarray | None = None
    columns = f"{'recall@10':>9} {'@100':>6} {'queries/s':>9} {'p50 ms':>7} {'p99 ms':>7} {'build s':>8} bytes/row"
    print(f"{'kind':>6} {columns}")
    for kind in ["flat", *(kind for kind in kinds if kind != "flat")]:
        spec = _spec(store, kind, rows)
        started = time.perf_counter()
        with SearchService(spec, ServiceConfig(batch=BATCH)) as service:
            built = time.perf_counter() - started
            started = time.perf_counter()
            _, found = service.search(queries, K)
            rate = len(queries) / (time.perf_counter() - started)
            single = [_timed(lambda query=query: service.search(query[None], 10)) for query in queries[:200]]
        exact = found if exact is None else exact
        figures = {
            "kind": kind,
            "recall@10": _recall(found, exact, 10),
            "recall@100": _recall(found, exact, 100),
            "queries_per_second": rate,
            "p50_ms": 1e3 * float(np.percentile(single, 50)),
            "p99_ms": 1e3 * float(np.percentile(single, 99)),
            "build_seconds": built,
            "bytes_per_row": _bytes(store, spec) / rows,
        }
        print(
            f"{kind:>6} {figures['recall@10']:9.4f} {figures['recall@100']:6.4f} {rate:9.1f} {figures['p50_ms']:7.1f} "
            f"{figures['p99_ms']:7.1f} {built:8.1f} {figures['bytes_per_row']:9.1f}"
        )
        _line("what each kind of index finds, how fast, from how many bytes", figures)


def _bytes(store: Store, spec: IndexSpec) -> int:
    if spec.config.exact:
        return sum(facts["bytes"] for facts in spec.files.values())
    folders = [store.fetch_folder(spec.shard_name(shard)) for shard in range(spec.num_shards)]
    return sum(path.stat().st_size for folder in folders for path in Path(folder).rglob("*.faiss"))


def _recall(found: np.ndarray, exact: np.ndarray, k: int) -> float:
    return float(np.mean([len(set(a[:k]) & set(b[:k])) / k for a, b in zip(found, exact, strict=True)]))


def _alternating(rounds: int, **variants: Callable[[], object]) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds + 1):  # the first round warms up
        for name, work in variants.items():
            took = _timed(work)
            seconds[name] += [took] if number else []
    return seconds


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _line(question: str, figures: dict[str, object]) -> None:
    print(json.dumps({"question": question, **figures, "machine": platform.machine(), "faiss": faiss.__version__}))


if __name__ == "__main__":
    main()
