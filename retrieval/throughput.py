"""An encoder and texts in, how fast it is out: queries and passages per second in bulk, and the time one query takes.

A figure of speed is worth as much as what is known of its making, so the machine, threads and sizes stand beside it.
Single queries are encoded and searched one after the other, as a server with one caller would; search is exact, by
inner product over all given passage vectors. The first calls are not counted: they compile, allocate and fill caches.
"""

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cluster.documents import parse_json
from cluster.errors import DataError
from retrieval.ranks import num_threads
from retrieval.records import Collection

THROUGHPUT = "throughput.json"
PERCENTILES = (50, 95, 99)
FOUND = 10
SAMPLE = 512

Encode = Callable[[Sequence[str], str, Sequence[str]], np.ndarray]
"""Texts, role ("query", "passage"), languages -> (N, D) vectors: `functools.partial(encode_texts, encoder, tokens)`."""


def throughput_on(encode: Encode, collection: Collection, passage_vectors: np.ndarray) -> dict[str, Any]:
    """Measure an encoder on queries and passages of a collection, as `throughput_of` does.

    Up to 512 different texts of each are taken at even distances, so every language has its part. Equal texts would be
    encoded once and look fast; images are not among them.
    """
    names = np.array(collection.languages)
    queries = _spread(collection.query_texts, names[collection.query_language])
    passages = _spread(collection.passage_texts, names[collection.passage_language])
    return throughput_of(encode, *queries, *passages, passage_vectors)


def _spread(texts: Sequence[str], languages: np.ndarray) -> tuple[list[str], list[str]]:
    """Some of the different texts, with their languages."""
    different = [pair for pair in dict.fromkeys(zip(texts, languages.tolist(), strict=True)) if pair[0]]
    rows = np.unique(np.linspace(0, len(different) - 1, SAMPLE).astype(int)) if different else ()
    chosen = [different[row] for row in rows]
    return [text for text, _ in chosen], [language for _, language in chosen]


def throughput_of(
    encode: Encode,
    queries: Sequence[str],
    query_languages: Sequence[str],
    passages: Sequence[str],
    passage_languages: Sequence[str],
    passage_vectors: np.ndarray,
    *,
    single_queries: int = 200,
    warm_up: int = 10,
    rounds: int = 3,
) -> dict[str, Any]:
    """Measure an encoder on this machine.

    Args:
        encode: the encoder, on the device and in the precision that are to be measured.
        queries: some queries; all are encoded at once `rounds` times, the first ones singly.
        query_languages: their languages.
        passages: some passages, enough to fill several batches.
        passage_languages: their languages.
        passage_vectors: (P, D) of all passages that a query searches.
        single_queries: queries whose latency is taken; from the start again where there are fewer.
        warm_up: calls before that.
        rounds: of bulk encoding; the median counts.

    Returns:
        Plain values: queries_per_second, passages_per_second, latency_ms {encode, search, both: {p50, p95, p99}}, the
        sizes they were measured at, and `machine`.

    Raises:
        DataError: no queries, no passages or no vectors.
    """
    if not len(queries) or not len(passages) or not len(passage_vectors):
        raise DataError(
            f"throughput needs queries, passages and passage vectors; there are {len(queries)}, {len(passages)} "
            f"and {len(passage_vectors)}"
        )
    query_seconds = _median_seconds(lambda: encode(queries, "query", query_languages), rounds)
    passage_seconds = _median_seconds(lambda: encode(passages, "passage", passage_languages), rounds)
    searched = np.ascontiguousarray(passage_vectors, dtype=np.float32)
    timed = []
    for number in range(warm_up + single_queries):
        row = number % len(queries)
        start = time.perf_counter()
        vector = encode([queries[row]], "query", [query_languages[row]])
        encoded = time.perf_counter()
        search(vector[0], searched, FOUND)
        timed.append((encoded - start, time.perf_counter() - encoded))
    seconds = np.array(timed[warm_up:])
    return {
        "queries_per_second": len(queries) / query_seconds,
        "passages_per_second": len(passages) / passage_seconds,
        "latency_ms": {
            "encode": _percentiles(seconds[:, 0]),
            "search": _percentiles(seconds[:, 1]),
            "both": _percentiles(seconds.sum(axis=1)),
        },
        "queries": len(queries),
        "passages": len(passages),
        "single_queries": single_queries,
        "passages_searched": len(searched),
        "dimensions": searched.shape[1],
        "machine": machine(),
    }


def search(query_vector: np.ndarray, passage_vectors: np.ndarray, k: int) -> np.ndarray:
    """Rows of the k best passages of one query, best first, equal scores by row; exact, (min(k, P)) int64."""
    score_P = passage_vectors @ query_vector
    if k < len(score_P):
        worst = np.partition(score_P, len(score_P) - k)[len(score_P) - k]
        rows = np.flatnonzero(score_P >= worst)
    else:
        rows = np.arange(len(score_P))
    return rows[np.argsort(-score_P[rows], kind="stable")][:k]


def machine() -> dict[str, Any]:
    """What speed was measured on: processor, threads, and the GPU where there is one."""
    import torch

    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": num_threads(),
        "torch_threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def write_throughput(folder: Path, figures: Mapping[str, Any]) -> None:
    """Write the figures into a folder (the staging folder of a result set)."""
    (folder / THROUGHPUT).write_text(json.dumps(figures, indent=1), encoding="utf-8")


def read_throughput(folder: Path) -> dict[str, Any]:
    """Read what `write_throughput` wrote.

    Raises:
        DataError: the file is missing or damaged.
    """
    path = folder / THROUGHPUT
    try:
        figures: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: missing; measure again") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); measure again") from None
    return figures


def _median_seconds(work: Callable[[], object], rounds: int) -> float:
    work()  # not counted
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def _percentiles(seconds: np.ndarray) -> dict[str, float]:
    return {f"p{part}": float(1000 * np.percentile(seconds, part)) for part in PERCENTILES}
