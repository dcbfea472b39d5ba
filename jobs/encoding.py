"""A collection's texts -> vectors: all of them into files and back, some queries anew, or against the clock.

queries/vectors.npy      in the order of the collection's queries
passages/                in the order of its passages, which is by language: what an index searches (vector_files)

Collections that are large are encoded by many processes (encoding_pool), all others in this one.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from cluster.errors import ConfigError
from cluster.storage import ResultSet, Store, write_result_set
from jobs.config import EvaluationConfig, RunConfig
from retrieval.encode import encode_side, encode_texts, read_vectors, write_vectors
from retrieval.encoder.folder import load_encoder
from retrieval.index.vector_files import describe_parts, open_vector_files, read_parts, write_vector_files
from retrieval.records import Collection
from retrieval.token_lookup import open_token_lookup

QUERIES, PASSAGES = "queries", "passages"


def write_collection_vectors(
    folder: Path,
    encoder: Path,
    collection: Collection,
    options: EvaluationConfig,
    known: Path | None = None,
    gpu: bool = False,
) -> None:
    """Encode queries and passages of a collection into `queries/` and `passages/`, rows in the collection's order.

    Args:
        known: folder with the token ids of texts that were tokenised before (token_lookup).
    """
    model, tokens = load_on_device(encoder, gpu)
    if known is not None:
        tokens = tokens.knowing(open_token_lookup(known))
    names = np.array(collection.languages)
    for part, texts, images, role, language in (
        (QUERIES, collection.query_texts, collection.query_images, "query", collection.query_language),
        (PASSAGES, collection.passage_texts, collection.passage_images, "passage", collection.passage_language),
    ):
        vectors = encode_side(
            model,
            tokens,
            texts,
            images,
            role,  # type: ignore[arg-type]
            languages=names[language].tolist(),
            max_tokens_per_batch=options.max_tokens_per_batch,
            precision=options.precision,
            progress=True,
        )
        if part == QUERIES:
            write_vectors(folder / part, vectors)
        else:
            counts = np.diff(collection.language_bounds).tolist()
            write_vector_files(folder / part, collection.languages, counts, [vectors], vectors.shape[1])


def encode_collection_over_cluster(
    store: Store, key: str, about: dict[str, Any], encoder: str, collection: Collection, content: Any, config: RunConfig
) -> None:
    """Encode a collection by the processes of a cluster into the result set `key`; see `encode_over_cluster`.

    Args:
        encoder: result set of the encoder.
        content: what the collection is, for the name of its texts' files.
    """
    from jobs.encoding_pool import Side, encode_over_cluster

    names = np.array(collection.languages)
    sides = [
        Side(PASSAGES, "passage", collection.passage_texts, names[collection.passage_language].tolist()),
        Side(QUERIES, "query", collection.query_texts, names[collection.query_language].tolist()),
    ]
    done = encode_over_cluster(store, key, encoder, sides, content, config.evaluation, config.encoding, config.ray)
    counts = np.diff(collection.language_bounds).tolist()
    about = about | {"texts": done.texts, "parts": [part.name for part in done.parts[PASSAGES]]}
    with write_result_set(store, key, about) as folder:
        # Queries are few beside passages, and read as a whole.
        write_vectors(folder / QUERIES, read_parts(done.parts[QUERIES], done.dimension, store))
        describe_parts(folder / PASSAGES, collection.languages, counts, done.dimension, done.parts[PASSAGES])
    for part in done.parts[QUERIES]:
        store.delete(part.name)


def encode_query(encoder: Path, text: str, language: str, options: EvaluationConfig) -> np.ndarray:
    """Vector of one query, (1, D)."""
    return _encode_with(encoder, options)([text], "query", [language])


def encode_queries(encoder: Path, collection: Collection, rows: np.ndarray, options: EvaluationConfig) -> np.ndarray:
    """Vectors of the queries in the rows given (R), (R, D)."""
    texts = [collection.query_texts[row] for row in rows]
    languages = np.array(collection.languages)[collection.query_language[rows]].tolist()
    return _encode_with(encoder, options, progress=True)(texts, "query", languages)


def measure_throughput(
    encoder: Path, collection: Collection, vectors: ResultSet, options: EvaluationConfig
) -> dict[str, Any]:
    """How fast an encoder encodes texts of a collection and searches its vectors; see `throughput_of`."""
    from retrieval.throughput import throughput_on

    return throughput_on(_encode_with(encoder, options), collection, read_passage_vectors(vectors))


def load_on_device(encoder: Path, gpu: bool) -> tuple[Any, Any]:
    """The encoder in a folder, and its tokenizer; on the GPU where asked for.

    Raises:
        ConfigError: there is no GPU.
    """
    model, tokens = load_encoder(encoder)
    if gpu:
        import torch

        if not torch.cuda.is_available():
            raise ConfigError("encoding.gpus: torch finds no GPU in this process; set it to 0 to encode on CPUs")
        model.to("cuda")
    return model, tokens


def read_collection_vectors(folder: Path, root: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the queries (Q, D) and of the passages (P, D); memory-mapped, the passages where one part has all.

    Args:
        root: URI of the store that the folder comes from.
    """
    passages = open_vector_files(folder / PASSAGES, root)
    return read_vectors(folder / QUERIES), passages.read(0, passages.num_rows)


def read_passage_vectors(vectors: ResultSet) -> np.ndarray:
    """Vectors of the passages alone; see `read_collection_vectors`."""
    passages = open_vector_files(vectors.folder / PASSAGES, vectors.root)
    return passages.read(0, passages.num_rows)


def _encode_with(encoder: Path, options: EvaluationConfig, progress: bool = False) -> Any:
    """Texts, role, languages -> vectors, by the encoder in a folder."""
    model, tokens = load_encoder(encoder)
    return functools.partial(
        encode_texts,
        model,
        tokens,
        max_tokens_per_batch=options.max_tokens_per_batch,
        precision=options.precision,
        progress=progress,
    )
