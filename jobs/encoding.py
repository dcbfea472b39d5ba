"""A collection's texts -> two files of vectors, and back."""

from pathlib import Path

import numpy as np

from jobs.config import EvaluationConfig
from retrieval.encode import encode_texts, read_vectors, write_vectors
from retrieval.encoder.folder import load_encoder
from retrieval.records import Collection

QUERIES, PASSAGES = "queries", "passages"


def write_collection_vectors(folder: Path, encoder: Path, collection: Collection, options: EvaluationConfig) -> None:
    """Encode queries and passages of a collection into `queries/` and `passages/`, rows in the collection's order."""
    model, tokens = load_encoder(encoder)
    names = np.array(collection.languages)
    for part, texts, role, language in (
        (QUERIES, collection.query_texts, "query", collection.query_language),
        (PASSAGES, collection.passage_texts, "passage", collection.passage_language),
    ):
        vectors = encode_texts(
            model,
            tokens,
            texts,
            role,  # type: ignore[arg-type]
            languages=names[language].tolist(),
            max_tokens_per_batch=options.max_tokens_per_batch,
            precision=options.precision,
            progress=True,
        )
        (folder / part).mkdir()
        write_vectors(folder / part, vectors)


def read_collection_vectors(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the queries (Q, D) and of the passages (P, D), memory-mapped."""
    return read_vectors(folder / QUERIES), read_vectors(folder / PASSAGES)
