"""BM25: terms for every script, scores by the formula, an evaluation like any other."""

import math

import pyarrow.compute as pc
import pytest

from retrieval.bm25 import bm25_scores, lexical_units
from retrieval.evaluate import evaluate_scores
from retrieval.records import Collection, PassageRecord, QueryRecord, collection_from


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("The CAT's 3 Straßen.", ["the", "cat", "s", "3", "strassen"]),
        ("भारत की राजधानी", ["भारत", "की", "राजधानी"]),  # vowel signs belong to their words
        ("ΟΔΟΣ οδός", ["οδοσ", "οδόσ"]),  # final sigma is sigma
        ("Việt Nam", ["việt", "nam"]),  # precomposed and combining accents alike
        ("東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("中 国", ["中", "国"]),
        ("ที่นี่", ["ที่นี่"]),  # two characters with their marks are one pair
        ("2024年5月", ["2024", "年", "5", "月"]),
        ("ＡＢＣ ﾜｲ", ["abc", "ワイ"]),
        ("ມື້ນີ້ ထမင်း ភាសា", ["ມື້ນີ້", "ထမ", "မင်", "င်း", "ភាសា"]),
        ("…!?", []),
    ],
)
def test_terms(text: str, units: list[str]) -> None:
    assert lexical_units(text) == units


def collection() -> Collection:
    passages = [
        PassageRecord("de/a", "de", "Die Hauptstadt von Frankreich ist Paris"),
        PassageRecord("de/b", "de", "Die Hauptstadt von Italien ist Rom"),
        PassageRecord("en/a", "en", "The capital of France is Paris"),
        PassageRecord("en/b", "en", "The capital of Italy is Rome, Rome"),
        PassageRecord("en/c", "en", "Nothing of that kind"),
    ]
    queries = [
        QueryRecord("a", "en", "capital Paris", {"en/a": 1, "de/a": 1}),
        QueryRecord("b", "en", "Rome", {"en/b": 1, "de/b": 1}),
        QueryRecord("b", "de", "?", {"en/b": 1, "de/b": 1}),
    ]
    return collection_from("capitals", ["de", "en"], queries, passages)


def test_evaluation_over_pooled_passages_with_ties_by_row() -> None:
    evaluation = evaluate_scores(collection(), bm25_scores(collection()))
    rows = {
        (row["query_language"], row["query_id"], row["pool_language"]): row for row in evaluation.per_query.to_pylist()
    }
    assert rows["en", "a", "en"]["MRR"] == 1.0
    assert rows["en", "a", "de"]["MRR"] == 1.0  # Paris is the same word in German
    assert rows["en", "a", "*"]["mAP"] == pytest.approx((1 / 1 + 2 / 2) / 2)
    assert rows["en", "b", "en"]["MRR"] == 1.0
    assert rows["en", "b", "de"]["MRR"] == 1 / 2  # nothing matches: all scores are 0, de/b is the second row
    assert rows["en", "b", "*"]["mAP"] == pytest.approx((1 / 1 + 2 / 3) / 2)  # en/b, then de/a, then de/b
    assert rows["de", "b", "*"]["mAP"] == pytest.approx((1 / 2 + 2 / 4) / 2)  # no terms at all: by row
    assert pc.unique(evaluation.per_query["setting"]).to_pylist() == ["cross", "mono", "multi"]


def test_scores_follow_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """idf = ln(1 + (N - n + 0.5) / (n + 0.5)), term weight tf / (tf + k1 (1 - b + b length / mean length))."""
    import bm25s

    seen = []
    original = bm25s.BM25.get_scores_from_ids
    monkeypatch.setattr(
        bm25s.BM25, "get_scores_from_ids", lambda self, ids: seen.append(original(self, ids)) or seen[-1]
    )
    evaluate_scores(collection(), bm25_scores(collection()))
    lengths = [6, 6, 6, 7, 4]
    mean_length = sum(lengths) / 5
    idf = math.log(1 + (5 - 1 + 0.5) / (1 + 0.5))
    assert seen[1][3] == pytest.approx(idf * 2 / (2 + 1.5 * (1 - 0.75 + 0.75 * 7 / mean_length)), rel=1e-6)
    assert len(seen) == 2  # the query without terms is not asked
