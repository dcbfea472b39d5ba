"""A query that is itself a passage: left out of its rankings, in every setting."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import DataError
from retrieval.evaluate import evaluate_scores, evaluate_vectors
from retrieval.records import Collection, PassageRecord, QueryRecord, collection_from


def captions(own: bool = True) -> Collection:
    """Two images, two captions each in en, one in de; every caption searches all others."""
    ids = {"1": ("1a@en", "1b@en", "1@de"), "2": ("2a@en", "2b@en", "2@de")}
    passages = [PassageRecord(id, id[-2:], f"text {id}") for of_image in ids.values() for id in of_image]
    queries = [
        QueryRecord(id, id[-2:], f"text {id}", {o: 1 for o in of_image if own or o != id}, own=id if own else "")
        for of_image in ids.values()
        for id in of_image
    ]
    return collection_from("captions", ("de", "en"), queries, passages)


def values(evaluation, measure: str) -> dict[tuple[str, str], float]:  # type: ignore[no-untyped-def]
    rows = evaluation.per_query.to_pylist()
    return {(row["query_id"], row["pool_language"]): row[measure] for row in rows}


def identity_scores(collection: Collection) -> np.ndarray:
    """Every query scores its own text 1 and everything else by row, falling."""
    score_QP = np.tile(-np.arange(len(collection.passage_texts), dtype=np.float32) / 100, (6, 1))
    for query, id in enumerate(collection.query_ids):
        score_QP[query, list(collection.passage_ids).index(id)] = 1.0
    return score_QP


def test_the_own_text_takes_no_rank() -> None:
    collection = captions()
    score_QP = identity_scores(collection)
    before = score_QP.copy()
    found = values(evaluate_scores(collection, lambda first, end, out: score_QP[first:end]), "MRR")
    # Passages stand as 1@de 2@de 1a 1b 2a 2b; without its own row a query meets them in this order.
    assert found["1a@en", "en"] == 1.0
    assert found["2a@en", "en"] == 1 / 3
    assert found["2@de", "*"] == 1 / 4
    assert ("1@de", "de") not in found
    np.testing.assert_array_equal(score_QP, before)
    kept = values(evaluate_scores(captions(own=False), lambda first, end, out: score_QP[first:end]), "MRR")
    assert kept["1a@en", "en"] == 1 / 2


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 50))
def test_it_equals_an_evaluation_in_which_the_own_passage_does_not_exist(seed: int) -> None:
    collection = captions()
    rng = np.random.default_rng(seed)
    query_QD, passage_PD = (rng.normal(size=(6, 3)).astype(np.float32) for _ in range(2))
    found = values(evaluate_vectors(collection, query_QD, passage_PD, resamples=2), "mAP")
    for query, id in enumerate(collection.query_ids):
        row = list(collection.passage_ids).index(id)
        others = np.delete(np.arange(6), row)
        language = collection.languages[collection.query_language[query]]
        relevant = [r for r in others if collection.passage_ids[r][0] == id[0]]
        alone = collection_from(
            "alone",
            collection.languages,
            [QueryRecord(id, language, "text", {collection.passage_ids[r]: 1 for r in relevant})],
            [PassageRecord(collection.passage_ids[r], collection.passage_ids[r][-2:], "text") for r in others],
        )
        expected = values(evaluate_vectors(alone, query_QD[[query]], passage_PD[others], resamples=2), "mAP")
        assert {key: value for key, value in found.items() if key[0] == id} == expected


def test_an_own_passage_that_is_unknown_is_refused() -> None:
    passages = [PassageRecord("a@en", "en", "a")]
    with pytest.raises(DataError, match=r"query q \(en\): its own passage z@en is not there"):
        collection_from("c", ("en",), [QueryRecord("q", "en", "a", {"a@en": 1}, own="z@en")], passages)
    with pytest.raises(DataError, match="captions: 1 own passages for 6 queries"):
        dataclasses.replace(captions(), own_passage=np.array([0]))
