"""Validation gives the same figures on any number of ranks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from distributed.validation_worker import collections, groups

from cluster.config import build_config
from retrieval.encode import encode_texts
from retrieval.encoder.config import EncoderConfig
from retrieval.encoder.folder import build_encoder, save_encoder
from retrieval.evaluate import evaluate_vectors
from trainer.telemetry import brief


@pytest.mark.distributed
def test_ranks_together_measure_what_one_pass_over_all_texts_gives(
    run_workers: Callable[..., list[Any]], tmp_path: Path
) -> None:
    fresh = {"layers": 1, "hidden": 16, "heads": 2, "intermediate": 32, "vocabulary": 120, "dropout": 0.3}
    texts = [text for group in groups(12) for pair in group.pairs.values() for text in (pair.query, pair.passage)]
    encoder, tokens = build_encoder(build_config(EncoderConfig, {"fresh": fresh}), texts)
    save_encoder(tmp_path / "encoder", encoder, tokens)
    first, *others = run_workers("validation_worker.py", 3, str(tmp_path))
    assert others == [first, first], "all ranks have the same figures"
    for record, collection in zip(first, collections(), strict=True):
        queries = encode_texts(encoder, tokens, collection.query_texts, "query")
        passages = encode_texts(encoder, tokens, collection.passage_texts, "passage")
        expected = brief(evaluate_vectors(collection, queries, passages, resamples=2).summary)
        assert record.keys() == expected.keys()
        for setting, figures in expected.items():
            assert record[setting] == pytest.approx(figures, abs=1e-6)
    many, few = first
    assert many.keys() == {"mono", "cross", "multi", "rank_distance"}
    assert few.keys() == {"mono", "multi"}, "one language: no cross setting, and no rank distance"
