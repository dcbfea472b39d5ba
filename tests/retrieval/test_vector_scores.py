"""Equal passages get equal scores; vectors that cannot be ranked are refused with a message that helps."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import DataError, WorkError
from retrieval import scores
from retrieval.scores import first_with_same_vector, vector_scores


def score_all(queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
    out = np.empty((len(queries), len(passages)), np.float32)
    return vector_scores("test", queries, passages, len(queries), len(passages))(0, len(queries), out)


@pytest.mark.parametrize(("num_passages", "dimensions"), [(1000, 384), (1013, 384), (1013, 100), (257, 7)])
def test_equal_passages_get_equal_scores_at_every_column(num_passages: int, dimensions: int) -> None:
    """BLAS rounds differently in the last columns of a matrix; without repair this fails in the last bit."""
    rng = np.random.default_rng(0)
    distinct = rng.standard_normal((5, dimensions)).astype(np.float32)
    which = rng.integers(0, 5, num_passages)
    for num_queries in (1, 7, 64):
        score_QP = score_all(rng.standard_normal((num_queries, dimensions)), distinct[which])
        for vector in range(5):
            same = score_QP[:, which == vector]
            np.testing.assert_array_equal(same, np.repeat(same[:, :1], same.shape[1], axis=1))


def test_minus_zero_is_zero() -> None:
    np.testing.assert_array_equal(first_with_same_vector(np.array([[0.0, 1.0], [-0.0, 1.0]], np.float32)), [0, 0])


def all_zero_hashes(words: np.ndarray, hashes: np.ndarray) -> None:
    hashes[:] = 0


@pytest.mark.parametrize("hashes_collide", [False, True])
@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), number=st.integers(1, 40), dimensions=st.integers(1, 4))
def test_first_with_same_vector(hashes_collide: bool, seed: int, number: int, dimensions: int) -> None:
    vectors = np.random.default_rng(seed).integers(-1, 2, (number, dimensions)).astype(np.float32)
    expected = [next(i for i in range(row + 1) if (vectors[i] == vectors[row]).all()) for row in range(number)]
    with pytest.MonkeyPatch.context() as patch:
        if hashes_collide:
            patch.setattr(scores, "_hash_rows", all_zero_hashes)
        np.testing.assert_array_equal(first_with_same_vector(vectors), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])  # the square of 1e30 overflows float32
@pytest.mark.parametrize("side", ["query", "passage"])
def test_vectors_that_are_not_finite_are_refused(bad: float, side: str) -> None:
    vectors = {"query": np.eye(4), "passage": np.eye(4)}
    vectors[side][1:3, 2] = bad
    with pytest.raises(WorkError, match=rf"2 of 4 {side} vectors hold NaN or infinite numbers \(first: 1\)"):
        score_all(vectors["query"], vectors["passage"])


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="query vectors have 3 dimensions, passage vectors 4"):
        vector_scores("test", np.ones((2, 3)), np.ones((2, 4)), 2, 2)
    with pytest.raises(DataError, match=r"passage vectors have shape \(2, 3\); need one row for each of 5"):
        vector_scores("test", np.ones((2, 3)), np.ones((2, 3)), 2, 5)
    with pytest.raises(DataError, match="no dimensions"):
        vector_scores("test", np.ones((2, 0)), np.ones((2, 0)), 2, 2)


@pytest.mark.parametrize(
    ("vectors", "warned"),
    [
        (np.ones((8, 3)), True),
        (np.zeros((8, 3)), True),
        (np.ones((8, 3)) + 1e-5 * np.eye(8, 3), True),
        (np.ones((1, 3)), False),
        (np.eye(8, 8), False),
    ],
)
def test_collapsed_vectors_are_warned_about(
    caplog: pytest.LogCaptureFixture, vectors: np.ndarray, warned: bool
) -> None:
    logger = logging.getLogger("mixlingual.retrieval.scores")
    logger.addHandler(caplog.handler)  # whether or not another test has set up logs
    try:
        vector_scores("test", np.eye(3, vectors.shape[1]), vectors, 3, len(vectors))
    finally:
        logger.removeHandler(caplog.handler)
    assert any("collapsed" in message for message in caplog.messages) == warned
