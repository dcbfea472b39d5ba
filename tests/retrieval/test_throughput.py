"""Throughput: that it measures what it says and is stored beside accuracy. How fast anything is, no test asserts."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import DataError
from retrieval.evaluate import evaluate_vectors, read_evaluation, write_evaluation
from retrieval.records import PassageRecord, QueryRecord, collection_from
from retrieval.throughput import search, throughput_of, with_throughput


class Encoder:
    """Vectors by length of text, and a record of what was asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def __call__(self, texts: Sequence[str], role: str, languages: Sequence[str]) -> np.ndarray:
        assert len(texts) == len(languages)
        self.calls.append((role, len(texts)))
        return np.array([[len(text), 1.0] for text in texts], np.float32)


def test_what_is_measured() -> None:
    encoder = Encoder()
    figures = throughput_of(
        encoder, ["a", "bb", "ccc"], ["en"] * 3, ["dddd"] * 5, ["de"] * 5, np.ones((7, 2)),
        single_queries=4, warm_up=2, rounds=2,
    )  # fmt: skip
    assert encoder.calls == [("query", 3)] * 3 + [("passage", 5)] * 3 + [("query", 1)] * 6
    assert {name: figures[name] for name in ("queries", "passages", "single_queries", "passages_searched", "dimensions")} == {
        "queries": 3, "passages": 5, "single_queries": 4, "passages_searched": 7, "dimensions": 2,
    }  # fmt: skip
    assert figures["queries_per_second"] > 0
    assert figures["passages_per_second"] > 0
    for part in figures["latency_ms"].values():
        assert 0 < part["p50"] <= part["p95"] <= part["p99"]
    assert figures["machine"]["threads"] >= 1


@given(seed=st.integers(0, 2**32 - 1), passages=st.integers(1, 30), k=st.integers(1, 35))
def test_search_is_exact_and_breaks_ties_by_row(seed: int, passages: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    query, vectors = rng.integers(-2, 3, 3).astype(np.float32), rng.integers(-2, 3, (passages, 3)).astype(np.float32)
    scores = vectors @ query
    expected = sorted(range(passages), key=lambda row: (-scores[row], row))[:k]
    assert search(query, vectors, k).tolist() == expected


def test_it_is_stored_beside_accuracy(tmp_path: Path) -> None:
    passages = [PassageRecord("p", "en", "text"), PassageRecord("r", "en", "other")]
    collection = collection_from("small", ("en",), [QueryRecord("q", "en", "text", {"p": 1})], passages)
    evaluation = evaluate_vectors(collection, np.ones((1, 2)), np.eye(2))
    figures = throughput_of(
        Encoder(), ["text"], ["en"], ["text"], ["en"], np.eye(2), single_queries=1, warm_up=0, rounds=1
    )
    write_evaluation(tmp_path, with_throughput(evaluation, figures))
    summary = read_evaluation(tmp_path).summary
    assert summary["throughput"] == json.loads(json.dumps(figures))
    assert summary["settings"] == evaluation.summary["settings"]
    assert "throughput" not in evaluation.summary


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(DataError, match="there are 0, 1 and 2"):
        throughput_of(Encoder(), [], [], ["text"], ["en"], np.eye(2))
