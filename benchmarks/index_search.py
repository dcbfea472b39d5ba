"""Two flat shards on Ray against one FAISS index with two threads; the kinds of index against each other; ten million.

    python benchmarks/index_search.py                  both tables: 1,000,000 x 384
    python benchmarks/index_search.py --ten-million    and 10,000,000 x 128 in product quantisation, with peak memory
    python benchmarks/index_search.py --rows 20000 --ten-million-rows 50000 --ten-million    to see that it works

Vectors are drawn around 10,000 centres, so that clusters mean something, as they do for texts. Questions: what share of
plain FAISS's throughput do shards reach, and what do merging and transport cost; what does each kind of index find, how
fast, from how many bytes; what memory do ten million vectors take.
"""

import argparse
import contextlib
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import faiss
import numpy as np
import psutil
from side_by_side import in_turns, line, seconds

from cluster.ray_runtime import RayConfig, ray_cluster
from cluster.storage import Store, open_store, write_result_set
from retrieval.index.build import IndexSpec, describe_index
from retrieval.index.config import IndexConfig, ServiceConfig
from retrieval.index.service import SearchService
from retrieval.index.vector_files import write_vector_files

SHARDS, BATCH, K = 2, 1024, 100
BLOCK = 100_000
SCANNED_QUERIES = 256
"""Queries of the throughput of fp16 and sq8, which FAISS scans row by row: they would take minutes otherwise."""
GRAPH_ROWS = 250_000
"""Rows of hnsw, for the same reason: a graph takes longest to build."""


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, ray_cluster(RayConfig(object_store_mib=1024), 8):
        store = open_store(folder)
        if options.rows:
            queries = _write_vectors(store, "all", options.rows, options.dimension, options.queries)
            _compare_with_faiss(store, queries, options.rounds)
            _compare_kinds(store, queries, options)
            store.delete("vectors/all")
        if options.ten_million:
            _hold_in_memory(store, options.ten_million_rows, options.queries)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="0 leaves both tables out")
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--queries", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kinds", nargs="*", default=["flat", "fp16", "sq8", "ivf", "ivfpq", "hnsw"])
    parser.add_argument("--ten-million", action="store_true", help="build and search many vectors, and measure memory")
    parser.add_argument("--ten-million-rows", type=int, default=10_000_000)
    parser.add_argument("--folder", help="where vectors and indexes are written meanwhile")
    return parser.parse_args()


def _write_vectors(store: Store, name: str, rows: int, dimension: int, num_queries: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((10_000, dimension), dtype=np.float32)

    def drawn(number: int) -> np.ndarray:
        vectors = rng.standard_normal((number, dimension), dtype=np.float32)
        vectors *= 0.7
        vectors += centres[rng.integers(len(centres), size=number)]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def blocks() -> Iterator[np.ndarray]:
        for first in range(0, rows, BLOCK):
            yield drawn(min(BLOCK, rows - first))

    queries = drawn(num_queries)  # first, so that they are the same for any number of rows
    with write_result_set(store, f"vectors/{name}", {}) as folder:
        write_vector_files(folder, ["en"], [rows], blocks(), dimension)
    return queries


def _spec(store: Store, kind: str, rows: int, name: str = "all", code_bytes: int = 48) -> IndexSpec:
    lists = min(max(int(2 * rows**0.5), 1), 4096)
    probes = min(32, lists)
    config = IndexConfig(kind=kind, lists=lists, probes=probes, code_bytes=code_bytes, training_rows=40 * lists + 256)
    return describe_index(store, f"vectors/{name}", "", config, SHARDS)


def _compare_with_faiss(store: Store, queries: np.ndarray, rounds: int) -> None:
    spec = _spec(store, "flat", 1)
    files = spec.vector_files(store)
    one = faiss.IndexFlatIP(files.dimension)
    for block in files.pieces(0, files.num_rows):
        one.add(np.ascontiguousarray(block))
    faiss.omp_set_num_threads(SHARDS)
    with SearchService(spec, ServiceConfig(batch=BATCH)) as service:
        inside: list[float] = []

        def in_batches() -> tuple[np.ndarray, np.ndarray]:
            answers = [one.search(queries[first : first + BATCH], K) for first in range(0, len(queries), BATCH)]
            return np.concatenate([s for s, _ in answers]), np.concatenate([r for _, r in answers])

        def in_shards() -> tuple[np.ndarray, np.ndarray]:
            before = service.busy_seconds()
            found = service.search(queries, K)
            inside.append(max(np.subtract(service.busy_seconds(), before)))
            return found

        found = in_turns(rounds, {"faiss": in_batches, "shards": in_shards})
        same = float((in_batches()[1] == service.search(queries, K)[1]).mean())
    shares = [1 - busy / took for busy, took in zip(inside[-rounds:], found["shards"], strict=True)]
    rate = {name: len(queries) / statistics.median(times) for name, times in found.items()}
    ratio, share = rate["shards"] / rate["faiss"], statistics.median(shares)
    print(
        f"{SHARDS} flat shards of one thread and FAISS with {SHARDS}: {files.num_rows:,} x {files.dimension},", end=" "
    )
    print(f"{len(queries)} queries in batches of {BATCH}, best {K}, medians of {rounds} alternating rounds")
    for name, value in rate.items():
        print(f"{name:>8}  {value:8.1f} queries/s  {value / rate['faiss']:5.2f} of faiss")
    print(f"merging and transport: {share:.1%} of the shards' time; rows in the same places: {same:.6f}\n")
    figures = {"ratio": ratio, "merging_and_transport": share, "same": same, "seconds": found}
    line("throughput of two flat shards against faiss with two threads", **rate, **figures)


def _compare_kinds(store: Store, queries: np.ndarray, options: argparse.Namespace) -> None:
    exact: dict[int, np.ndarray] = {}
    lines = []
    columns = f"{'rows':>10} {'recall@10':>9} {'@100':>6} {'queries/s':>9} {'p50 ms':>7} {'p99 ms':>7} {'build s':>8}"
    print(f"{'kind':>6} {columns} {'bytes/row':>9}")
    for kind in options.kinds:
        rows = min(options.rows, GRAPH_ROWS) if kind == "hnsw" else options.rows
        name = "all" if rows == options.rows else "fewer"
        if rows not in exact:
            if name == "fewer":
                _write_vectors(store, name, rows, options.dimension, len(queries))
            with SearchService(_spec(store, "flat", rows, name), ServiceConfig(batch=BATCH)) as service:
                exact[rows] = service.search(queries, K)[1]
        asked = queries[:SCANNED_QUERIES] if kind in ("fp16", "sq8") else queries
        figures = _measured(store, _spec(store, kind, rows, name), asked, exact[rows]) | {"rows": rows}
        print(
            f"{kind:>6} {rows:10,} {figures['recall@10']:9.4f} {figures['recall@100']:6.4f} "
            f"{figures['queries_per_second']:9.1f} {figures['p50_ms']:7.1f} {figures['p99_ms']:7.1f} "
            f"{figures['build_seconds']:8.1f} {figures['bytes_per_row']:9.1f}"
        )
        lines.append({"kind": kind} | figures)
    print(f"fp16 and sq8: throughput of {SCANNED_QUERIES} queries; latency: single queries, best 10\n")
    line("what each kind of index finds, how fast, from how many bytes", kinds=lines)


def _measured(store: Store, spec: IndexSpec, queries: np.ndarray, exact: np.ndarray) -> dict[str, object]:
    started = time.perf_counter()
    with SearchService(spec, ServiceConfig(batch=BATCH)) as service:
        built = time.perf_counter() - started
        service.search(queries[:1], K)  # compiles, and maps the files into memory
        started = time.perf_counter()
        _, found = service.search(queries, K)
        rate = len(queries) / (time.perf_counter() - started)
        single = [seconds(lambda query=query: service.search(query[None], 10)) for query in queries[:200]]
    return {
        "recall@10": _recall(found, exact, 10),
        "recall@100": _recall(found, exact, 100),
        "queries": len(queries),
        "queries_per_second": rate,
        "p50_ms": 1e3 * float(np.percentile(single, 50)),
        "p99_ms": 1e3 * float(np.percentile(single, 99)),
        "build_seconds": built,
        "bytes_per_row": _bytes(store, spec) / spec.vector_files(store).num_rows,
    }


def _hold_in_memory(store: Store, rows: int, num_queries: int) -> None:
    """Product quantisation of very many vectors; memory from the first vector drawn to the last answer."""
    with _peak_memory() as peak:
        started = time.perf_counter()
        queries = _write_vectors(store, "many", rows, 128, num_queries)
        drawn = time.perf_counter() - started
        few = queries[:256]
        with SearchService(_spec(store, "flat", 1, "many"), ServiceConfig(batch=BATCH)) as service:
            exact = service.search(few, K)[1]
        spec = _spec(store, "ivfpq", rows, "many", code_bytes=32)
        figures = _measured(store, spec, queries, exact)
    gib = {name: peak[name] / (1 << 30) for name in ("rss", "private")}
    print(f"ivfpq, {rows:,} x 128, {spec.config.lists} lists, {spec.config.probes} looked into, 32 bytes a vector")
    print(
        f"recall@10 {figures['recall@10']:.4f} @100 {figures['recall@100']:.4f} (256 queries), "
        f"{figures['queries_per_second']:.1f} queries/s, p50 {figures['p50_ms']:.1f} ms, "
        f"p99 {figures['p99_ms']:.1f} ms, built in {figures['build_seconds']:.1f} s "
        f"(vectors drawn and written in {drawn:.1f} s)"
    )
    verdict = "within" if gib["rss"] <= 16 else "NOT within"
    print(
        f"peak memory of all {int(peak['processes'])} processes: {gib['rss']:.2f} GiB resident ({verdict} 16 GiB), "
        f"{gib['private']:.2f} GiB without mapped files\n"
    )
    line("memory of very many vectors", **figures, rows=rows, peak_gib=gib, processes=peak["processes"])


@contextlib.contextmanager
def _peak_memory() -> Iterator[dict[str, float]]:
    """The largest sum over this process and all it started: resident memory, and that without shared pages."""
    peak = {"rss": 0.0, "private": 0.0, "processes": 0.0}
    done = threading.Event()

    def watch() -> None:
        this = psutil.Process()
        while not done.wait(0.5):
            rss = private = 0
            processes = [this, *this.children(recursive=True)]
            for process in processes:
                with contextlib.suppress(psutil.Error):
                    memory = process.memory_info()
                    rss, private = rss + memory.rss, private + memory.rss - memory.shared
            peak["rss"], peak["private"] = max(peak["rss"], rss), max(peak["private"], private)
            peak["processes"] = max(peak["processes"], len(processes))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _bytes(store: Store, spec: IndexSpec) -> int:
    if spec.config.exact:
        return sum(facts["bytes"] for facts in spec.files.values())
    folders = [store.fetch_folder(spec.shard_name(shard)) for shard in range(spec.num_shards)]
    return sum(path.stat().st_size for folder in folders for path in Path(folder).rglob("*.faiss"))


def _recall(found: np.ndarray, exact: np.ndarray, k: int) -> float:
    pairs: Sequence[tuple[np.ndarray, np.ndarray]] = list(zip(found, exact, strict=False))
    return float(np.mean([len(set(a[:k]) & set(b[:k])) / k for a, b in pairs]))


if __name__ == "__main__":
    main()
