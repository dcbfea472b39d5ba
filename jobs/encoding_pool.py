"""Texts -> vectors by many processes of a Ray cluster, a shard at a time; a shard that is there is not encoded again.

texts/<fingerprint>                                  the texts, a file per shard: what the processes read
vectors/<fingerprint>-parts/<rows>/<side>-00000      one shard's vectors, a result set, committed by who encoded it
vectors/<fingerprint>                                names the parts of the passages, holds the queries' vectors

Ray Data gives shard numbers to a pool of actors, each of which has loaded the encoder once; texts and vectors go
through the store, so nothing is held by who waits for them, and a run that was killed goes on with the shards that are
missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cluster import errors
from cluster.errors import MixlingualError, WorkError
from cluster.fingerprint import fingerprint
from cluster.logs import get_logger, progress
from cluster.ray_runtime import RayConfig, ray_cluster
from cluster.storage import Store, open_result_set, open_store, result_set_exists, write_result_set
from jobs.catalogue import manifest
from jobs.config import EncodingConfig, EvaluationConfig
from retrieval.encoder.config import Role
from retrieval.index.vector_files import Part, part_name, write_part
from trainer.worker import ENCODER_FOLDER

if TYPE_CHECKING:
    from ray.data import Dataset

VERSION = 1
RESTARTS = 3
"""How often a lost process is replaced, and a shard given out again, before encoding ends with an error."""
_logger = get_logger("encoding")


@dataclass(frozen=True)
class Side:
    """Texts that are encoded alike: the queries of a collection, or its passages."""

    name: str
    role: Role
    texts: Sequence[str]
    languages: Sequence[str]
    """Code of each text's language."""


@dataclass(frozen=True)
class Shard:
    """Neighbouring texts of a side."""

    side: str
    role: Role
    number: int
    """Of its side."""
    first: int
    rows: int


@dataclass(frozen=True)
class EncodingJob:
    """All that a process needs to know; travels to each."""

    root: str
    """URI of the store."""
    key: str
    """Result set of the vectors that the shards are parts of."""
    encoder: str
    texts: str
    """Result set of the texts."""
    shards: tuple[Shard, ...]
    shard_rows: int
    options: EvaluationConfig
    gpu: bool

    def part(self, shard: Shard) -> str:
        """Result set of a shard's vectors."""
        return f"{self.key}-parts/{self.shard_rows}/{shard.side}-{shard.number:05d}"


@dataclass(frozen=True)
class EncodedTexts:
    """What came of it."""

    texts: str
    """Result set of the texts."""
    dimension: int
    parts: Mapping[str, Sequence[Part]]
    """Parts of each side, in order."""


def encode_over_cluster(
    store: Store,
    key: str,
    encoder: str,
    sides: Sequence[Side],
    content: Mapping[str, Any],
    options: EvaluationConfig,
    config: EncodingConfig,
    ray: RayConfig,
) -> EncodedTexts:
    """Encode what is not encoded yet.

    Args:
        key: the result set that will name the parts.
        encoder: result set of the encoder.
        content: what the texts are, for the name of their files.

    Raises:
        WorkError: a process was lost too often. What is encoded stays, and the next call goes on from there.
        DataError, ConfigError: what a process met.
    """
    texts = _write_texts(store, sides, content, config.shard_rows)
    shards = tuple(shard for side in sides for shard in _shards(side, config.shard_rows))
    job = EncodingJob(store.uri, key, encoder, texts, shards, config.shard_rows, options, config.gpus > 0)
    missing = [n for n, shard in enumerate(shards) if not result_set_exists(store, job.part(shard))]
    if missing:
        _logger.info("encoding %d of %d shards on %d processes", len(missing), len(shards), config.workers)
        with ray_cluster(ray, config.workers * config.threads, config.workers * config.gpus):
            _encode(job, missing, config)
    parts: dict[str, list[Part]] = {side.name: [] for side in sides}
    for shard in shards:
        found = manifest(store, job.part(shard))
        sha256 = str(found["files"][part_name(shard.number)]["sha256"])
        parts[shard.side].append(Part(job.part(shard), shard.rows, sha256))
    return EncodedTexts(texts, int(found["about"]["dimension"]), parts)


def _shards(side: Side, rows: int) -> Iterator[Shard]:
    for number, first in enumerate(range(0, len(side.texts), rows)):
        yield Shard(side.name, side.role, number, first, min(rows, len(side.texts) - first))


def _write_texts(store: Store, sides: Sequence[Side], content: Mapping[str, Any], shard_rows: int) -> str:
    """The texts where every process can read them, once for all encoders; the name of their result set."""
    identity = {"stage": "texts", "version": VERSION, "shard_rows": shard_rows, "content": content}
    name = f"texts/{fingerprint(identity)}"
    if not result_set_exists(store, name):
        with write_result_set(store, name, identity) as folder:
            for side in sides:
                for shard in _shards(side, shard_rows):
                    part = slice(shard.first, shard.first + shard.rows)
                    columns = {"text": side.texts[part], "language": side.languages[part]}
                    pq.write_table(pa.table(columns), folder / _texts_file(shard), compression="zstd")
    return name


def _texts_file(shard: Shard) -> str:
    return f"{shard.side}-{shard.number:05d}.parquet"


def _encode(job: EncodingJob, missing: Sequence[int], config: EncodingConfig) -> None:
    from ray.exceptions import RayError

    try:
        for row in progress(_encoded(job, missing, config).iter_rows(), "encode", total=len(missing), unit="shard"):
            if row["error"]:
                raise getattr(errors, row["error"])(row["message"])
    except RayError as error:
        line = str(error).strip().splitlines()[0]
        raise WorkError(
            f"encoding {job.key}: a process was lost more than {RESTARTS} times ({line}); look at its machine's "
            "memory, or lower evaluation.max_tokens_per_batch; start it again to go on with the missing shards"
        ) from error


def _encoded(job: EncodingJob, missing: Sequence[int], config: EncodingConfig) -> "Dataset":
    """A row for every shard as it is done, in any order."""
    import logging

    import ray.data
    from ray.data import ActorPoolStrategy

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    numbers = ray.data.from_items([{"shard": number} for number in missing], override_num_blocks=len(missing))
    numbers.context.enable_progress_bars = False
    # A shard lasts long, so none is given out before its process is free.
    pool = ActorPoolStrategy(size=min(config.workers, len(missing)), max_tasks_in_flight_per_actor=1)
    limits: dict[str, Any] = {"max_restarts": RESTARTS, "max_task_retries": RESTARTS}  # Ray Data's own: without end
    return numbers.map_batches(
        ShardEncoder,
        fn_constructor_args=(job,),
        batch_size=1,
        batch_format="numpy",
        num_cpus=config.threads,
        num_gpus=config.gpus,
        compute=pool,
        runtime_env={"env_vars": {"OMP_NUM_THREADS": str(config.threads)}},
        **limits,
    )


class ShardEncoder:
    """An encoder in a process of its own, asked for one shard after the other."""

    def __init__(self, job: EncodingJob) -> None:
        self._job = job
        self._loaded: tuple[Any, Any, Path] | None = None

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """Encode one shard. Errors of ours go back as they are: what Ray Data raises no longer says what went wrong."""
        number = int(batch["shard"][0])
        error = message = ""
        try:
            self._encode(self._job.shards[number])
        except MixlingualError as raised:
            known = next(kind for kind in type(raised).__mro__ if hasattr(errors, kind.__name__))
            error, message = known.__name__, str(raised)
        return {"shard": [number], "error": [error], "message": [message]}

    def _encode(self, shard: Shard) -> None:
        from retrieval.encode import encode_texts

        job, store = self._job, open_store(self._job.root)
        if result_set_exists(store, job.part(shard)):
            return  # another run's process was quicker
        model, tokens, texts = self._load(store)
        rows = pq.read_table(texts / _texts_file(shard))
        vectors = encode_texts(
            model,
            tokens,
            rows["text"].to_pylist(),
            shard.role,
            languages=rows["language"].to_pylist(),
            max_tokens_per_batch=job.options.max_tokens_per_batch,
            precision=job.options.precision,
        )
        about: dict[str, Any] = {"stage": "encode", "encoder": job.encoder, "texts": job.texts, "side": shard.side}
        about |= {"first": shard.first, "rows": shard.rows, "dimension": vectors.shape[1]}
        with write_result_set(store, job.part(shard), about) as folder:
            write_part(folder, shard.number, vectors, shard.first)

    def _load(self, store: Store) -> tuple[Any, Any, Path]:
        """Encoder, tokenizer and the folder of texts; the files of both are checked."""
        if self._loaded is None:
            from jobs.encoding import load_on_device

            encoder = open_result_set(store, self._job.encoder).folder / ENCODER_FOLDER
            model, tokens = load_on_device(encoder, self._job.gpu)
            self._loaded = model, tokens, open_result_set(store, self._job.texts).folder
        return self._loaded
