"""Collections in an index: the vectors of a run's encoder, searched over a Ray cluster."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.errors import ConfigError
from jobs.encoding import PASSAGES, QUERIES, encode_query
from jobs.stages import Stages
from retrieval.encode import read_vectors
from retrieval.found_tiles import Search
from retrieval.records import Collection
from trainer.worker import ENCODER_FOLDER

if TYPE_CHECKING:
    from retrieval.index.build import IndexSpec
    from retrieval.index.service import SearchService


@dataclass(frozen=True)
class Hit:
    """A passage that was found."""

    rank: int
    score: float
    id: str
    language: str
    text: str


@contextlib.contextmanager
def searching(stages: Stages, arm: str, name: str) -> Iterator["SearchService"]:
    """An index of a collection's passages by an arm's encoder, ready to be asked; encoded and built if it is not."""
    from cluster.ray_runtime import ray_cluster
    from retrieval.index.build import describe_index
    from retrieval.index.service import SearchService

    config = stages.config
    spec = describe_index(stages.store, stages.vectors(arm, name).name, PASSAGES, config.index, config.search.shards)
    with (
        ray_cluster(config.ray, config.search.cpus_needed, config.search.gpus_needed),
        SearchService(spec, config.search) as service,
    ):
        yield service


@contextlib.contextmanager
def search_in(stages: Stages, vectors: str, folder: str) -> Iterator[tuple[Search, "IndexSpec"]]:
    """A search over the vectors of a result set, in this process where one shard holds them, else over a cluster."""
    from cluster.ray_runtime import ray_cluster
    from retrieval.index.build import build_shard, describe_index, open_shard
    from retrieval.index.service import SearchService

    config = stages.config
    spec = describe_index(stages.store, vectors, folder, config.index, config.search.shards)
    if config.search.shards == 1:
        build_shard(spec, 0)
        shard = open_shard(spec, 0, config.search.gpus > 0)

        def search(queries: np.ndarray, k: int, languages: Sequence[int] | None) -> tuple[np.ndarray, np.ndarray]:
            return shard.search(queries, k, None if languages is None else frozenset(languages))

        yield search, spec
        return
    with (
        ray_cluster(config.ray, config.search.cpus_needed, config.search.gpus_needed),
        SearchService(spec, config.search) as service,
    ):
        yield service.search, spec


def find(
    stages: Stages,
    service: "SearchService",
    arm: str,
    name: str,
    question: tuple[str, str],
    k: int,
    languages: Sequence[str] | None = None,
) -> list[Hit]:
    """The best passages for one question.

    Args:
        question: its text and the code of its language.
        languages: search only passages in these.

    Raises:
        ConfigError: the collection has no passages in a language.
    """
    collection = stages.collection(name)
    chosen = None if languages is None else [_number(collection, language) for language in languages]
    text, language = question
    encoder = stages.encoder(arm).folder / ENCODER_FOLDER
    vector = encode_query(encoder, text, language, stages.config.evaluation)
    scores, rows = service.search(vector, k, chosen)
    return [
        Hit(
            rank=place,
            score=float(score),
            id=collection.passage_ids[row],
            language=collection.languages[collection.passage_language[row]],
            text=collection.passage_texts[row],
        )
        for place, (score, row) in enumerate(zip(scores[0], rows[0], strict=True), start=1)
        if row >= 0
    ]


def bench(stages: Stages, service: "SearchService", arm: str, name: str, k: int, singles: int = 100) -> dict[str, Any]:
    """Queries per second in batches and the time of single queries, with the collection's own queries.

    Returns:
        {"queries", "k", "queries_per_second", "p50_ms", "p95_ms", "p99_ms", "recoveries"}
    """
    queries = read_vectors(stages.vectors(arm, name).folder / QUERIES)
    service.search(queries[:1], k)  # compiles, and maps the files into memory
    started = time.perf_counter()
    service.search(queries, k)
    rate = len(queries) / (time.perf_counter() - started)
    milliseconds = []
    for query in queries[np.linspace(0, len(queries) - 1, min(singles, len(queries))).astype(int)]:
        started = time.perf_counter()
        service.search(query[None], k)
        milliseconds.append(1e3 * (time.perf_counter() - started))
    times = {f"p{q}_ms": float(np.percentile(milliseconds, q)) for q in (50, 95, 99)}
    return {
        "queries": len(queries),
        "k": k,
        "queries_per_second": rate,
        **times,
        "recoveries": len(service.recoveries),
    }


def _number(collection: Collection, language: str) -> int:
    if language not in collection.languages:
        raise ConfigError(
            f"--languages: {collection.name} has no passages in '{language}'; it has {', '.join(collection.languages)}"
        )
    return collection.languages.index(language)
