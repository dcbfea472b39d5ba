"""Throughput: that it measures what it says, on different texts, and that the figures last. How fast anything is, no test asserts."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import DataError
from retrieval.records import PassageRecord, QueryRecord, collection_from
from retrieval.throughput import read_throughput, search, throughput_of, throughput_on, write_throughput


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


def test_each_different_text_of_a_collection_counts_once_and_all_languages_have_their_part(tmp_path: Path) -> None:
    passages = [
        PassageRecord(f"{language}{n}", language, f"text {n % 3}") for language in ("de", "en") for n in range(9)
    ]
    queries = [QueryRecord(f"q{n}", "en", f"question {n}", {"en0": 1}) for n in range(1000)]
    collection = collection_from("small", ("de", "en"), queries, passages)
    asked: list[tuple[str, str]] = []
    encoder = Encoder()

    def encode(texts: Sequence[str], role: str, languages: Sequence[str]) -> np.ndarray:
        asked.extend(zip(texts, languages, strict=True) if role == "passage" else [])
        return encoder(texts, role, languages)

    figures = throughput_on(encode, collection, np.ones((18, 2)))
    assert (figures["queries"], figures["passages"], figures["passages_searched"]) == (512, 6, 18)
    assert sorted(asked[:6]) == [(f"text {n}", language) for n in range(3) for language in ("de", "en")]
    write_throughput(tmp_path, figures)
    assert read_throughput(tmp_path) == json.loads(json.dumps(figures))


def test_missing_and_damaged_figures_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"throughput\.json: missing; measure again"):
        read_throughput(tmp_path)
    (tmp_path / "throughput.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"throughput\.json: not JSON"):
        read_throughput(tmp_path)


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(DataError, match="there are 0, 1 and 2"):
        throughput_of(Encoder(), [], [], ["text"], ["en"], np.eye(2))
