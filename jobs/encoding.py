"""A collection's texts -> vectors: all of them into files and back, some queries anew, or against the clock.

queries/vectors.npy      in the order of the collection's queries
passages/                in the order of its passages, which is by language: what an index searches (vector_files)
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from jobs.config import EvaluationConfig
from retrieval.encode import encode_side, encode_texts, read_vectors, write_vectors
from retrieval.encoder.folder import load_encoder
from retrieval.index.vector_files import open_vector_files, write_vector_files
from retrieval.records import Collection
from retrieval.token_lookup import open_token_lookup

QUERIES, PASSAGES = "queries", "passages"


def write_collection_vectors(
    folder: Path, encoder: Path, collection: Collection, options: EvaluationConfig, known: Path | None = None
) -> None:
    """Encode queries and passages of a collection into `queries/` and `passages/`, rows in the collection's order.

    Args:
        known: folder with the token ids of texts that were tokenised before (token_lookup).
    """
    model, tokens = load_encoder(encoder)
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


def encode_query(encoder: Path, text: str, language: str, options: EvaluationConfig) -> np.ndarray:
    """Vector of one query, (1, D)."""
    return _encode_with(encoder, options)([text], "query", [language])


def encode_queries(encoder: Path, collection: Collection, rows: np.ndarray, options: EvaluationConfig) -> np.ndarray:
    """Vectors of the queries in the rows given (R), (R, D)."""
    texts = [collection.query_texts[row] for row in rows]
    languages = np.array(collection.languages)[collection.query_language[rows]].tolist()
    return _encode_with(encoder, options, progress=True)(texts, "query", languages)


def measure_throughput(
    encoder: Path, collection: Collection, vectors: Path, options: EvaluationConfig
) -> dict[str, Any]:
    """How fast an encoder encodes texts of a collection and searches its vectors; see `throughput_of`."""
    from retrieval.throughput import throughput_on

    _, passage_vectors = read_collection_vectors(vectors)
    return throughput_on(_encode_with(encoder, options), collection, passage_vectors)


def read_collection_vectors(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the queries (Q, D) and of the passages (P, D); memory-mapped, the passages where one part has all."""
    passages = open_vector_files(folder / PASSAGES)
    return read_vectors(folder / QUERIES), passages.read(0, passages.num_rows)


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
