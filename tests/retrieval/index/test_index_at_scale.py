"""A million vectors with many ties: any number of flat shards answer as one IndexFlatIP does, in all languages or some."""

from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
import pytest

from retrieval.index.merge import merged
from retrieval.index.shard import FlatShard
from retrieval.index.vector_files import VectorFiles, write_vector_files

pytestmark = pytest.mark.long

ROWS, DIMENSION, K = 1_000_000, 384, 100
LANGUAGES, COUNTS = ("de", "en", "th"), (300_000, 500_000, 200_000)
TIED = 30_000
MORE = 2_000
"""So many more are asked of the one index, whose order among equal scores is its own."""


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Small eighths, so that every inner product is exact, and 100 vectors that stand 300 times each."""
    rng = np.random.default_rng(0)
    vectors = np.empty((ROWS, DIMENSION), np.float32)
    for first in range(0, ROWS, 100_000):
        vectors[first : first + 100_000] = rng.integers(-4, 5, (100_000, DIMENSION), dtype=np.int8) / np.float32(8)
    places = rng.choice(ROWS, TIED, replace=False)
    vectors[places] = vectors[places[:100]].repeat(TIED // 100, axis=0)
    return vectors


@pytest.fixture(scope="module")
def files(vectors: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> VectorFiles:
    return write_vector_files(tmp_path_factory.mktemp("vectors"), LANGUAGES, COUNTS, [vectors], DIMENSION)


@pytest.fixture(scope="module")
def one(vectors: np.ndarray) -> Iterator[faiss.IndexFlatIP]:
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(vectors)
    yield index
    index.reset()


@pytest.fixture(scope="module")
def queries(vectors: np.ndarray) -> np.ndarray:
    """Some drawn like the vectors, some that are vectors which stand 300 times."""
    rng = np.random.default_rng(1)
    drawn = rng.integers(-4, 5, (16, DIMENSION)).astype(np.float32) / 8
    _, first, counts = np.unique(vectors[:50_000, :24], axis=0, return_index=True, return_counts=True)
    return np.concatenate([drawn, vectors[first[counts > 5][:16]]])


@pytest.mark.parametrize("languages", [None, (1,), (0, 2)])
def test_flat_shards_equal_one_index(
    files: VectorFiles, one: faiss.IndexFlatIP, queries: np.ndarray, languages: tuple[int, ...] | None, tmp_path: Path
) -> None:
    assert len(queries) == 32
    expected_scores, expected_rows = _of_one(files, one, queries, languages)
    assert np.mean(expected_scores[:, :-1] == expected_scores[:, 1:]) > 0.5, "there are ties in plenty"
    for shards in (1, 2, 7, 16):
        parts = [
            FlatShard(files, files.segments(number, shards)).search(
                queries, K, None if languages is None else frozenset(languages)
            )
            for number in range(shards)
        ]
        scores, rows = merged([s for s, _ in parts], [r for _, r in parts], K)
        np.testing.assert_array_equal(scores, expected_scores, err_msg=f"{shards} shards")
        np.testing.assert_array_equal(rows, expected_rows, err_msg=f"{shards} shards")


def _of_one(
    files: VectorFiles, one: faiss.IndexFlatIP, queries: np.ndarray, languages: tuple[int, ...] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and rows of the single index, filtered by language by FAISS itself; equal scores put in order of rows."""
    parameters = None
    if languages is not None:
        wanted = [np.arange(files.bounds[number], files.bounds[number + 1]) for number in languages]
        parameters = faiss.SearchParameters(sel=faiss.IDSelectorBatch(np.concatenate(wanted)))
    scores, rows = one.search(queries, K + MORE, params=parameters)
    assert (scores[:, K - 1] > scores[:, -1]).all(), "all that tie for the last place are among those asked for"
    order = np.lexsort((rows, -scores))[:, :K]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)
