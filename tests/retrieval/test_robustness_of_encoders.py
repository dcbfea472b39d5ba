"""What perturbed queries cost an encoder: against the records, against hand-made encoders, and on disk."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from cluster.errors import DataError
from retrieval.evaluate import read_evaluation
from retrieval.perturb.perturbation import LOWER_CASE, NO_DIACRITICS, TYPING_NOISE, Perturbation
from retrieval.records import Collection, PassageRecord, QueryRecord, collection_from
from retrieval.robustness import relative_drops, robustness_of, write_robustness

DIMENSIONS = 9  # few, so that trigrams share them and not every query finds its passage
TOPICS = {
    "de": ["Höhe des Brocken", "Größe von Österreich", "Lied der Nibelungen", "Fluss durch Köln", "Autor des Faust", "Erfinder der Glühbirne"],
    "en": ["height of Mount Snowdon", "size of Ireland", "song of Roland", "river through London", "author of Hamlet", "inventor of the telephone"],
    "hi": ["हिमालय की ऊँचाई", "भारत का क्षेत्रफल", "रामायण का गीत", "दिल्ली की नदी", "गोदान का लेखक", "शून्य का आविष्कार"],
}  # fmt: skip


def trigrams(texts: Sequence[str], role: str, languages: Sequence[str]) -> np.ndarray:
    """A bag of hashed character trigrams: a real, if simple, encoder that slips of the finger hurt."""
    vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
    for row, text in enumerate(texts):
        for place in range(len(text) + 2):
            vectors[row, zlib.crc32(f"  {text}  "[place : place + 3].encode()) % DIMENSIONS] += 1
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def caseless(texts: Sequence[str], role: str, languages: Sequence[str]) -> np.ndarray:
    return trigrams([text.lower() for text in texts], role, languages)


@pytest.fixture(scope="module")
def collection() -> Collection:
    languages = tuple(TOPICS)
    passages = [
        PassageRecord(f"{lang}/{n}", lang, f"Die {text} Antwort")
        for lang in languages
        for n, text in enumerate(TOPICS[lang])
    ]
    queries = [
        QueryRecord(f"q{n}", lang, f"{text}?", {f"{other}/{n}": 1 for other in languages})
        for lang in languages
        for n, text in enumerate(TOPICS[lang])
    ]
    return collection_from("topics", languages, queries, passages)


def row_of(table: object, **wanted: str) -> dict[str, object]:
    rows = [row for row in table.to_pylist() if all(row[name] == value for name, value in wanted.items())]  # type: ignore[attr-defined]
    assert len(rows) == 1
    return rows[0]


def test_drops_are_those_of_the_changed_queries_records(collection: Collection) -> None:
    found = robustness_of(trigrams, collection, [NO_DIACRITICS, TYPING_NOISE], measures=["mAP", "R@1"], resamples=50)
    changed = found.queries.filter(
        pc.and_(found.queries["changed"], pc.equal(found.queries["perturbation"], "no_diacritics"))
    )
    assert set(changed["text"].to_pylist()) == {
        "Hohe des Brocken?",
        "Grosse von Osterreich?",
        "Fluss durch Koln?",
        "Erfinder der Gluhbirne?",
    }
    row = row_of(found.table, perturbation="no_diacritics", setting="mono", query_language="de", measure="mAP")
    ids = changed["query_id"].to_pylist()
    means = []
    for evaluation in (found.clean, found.perturbed["no_diacritics"]):
        values = [
            r["mAP"]
            for r in evaluation.per_query.to_pylist()
            if r["setting"] == "mono" and r["query_language"] == "de" and r["query_id"] in ids
        ]
        assert len(values) == 4
        means.append(np.mean(values))
    assert row["num_queries"] == 6
    assert row["num_changed"] == 4
    assert [row["clean"], row["perturbed"]] == pytest.approx(means)
    assert row["relative_drop"] == pytest.approx(1 - means[1] / means[0])
    assert row["low"] <= row["relative_drop"] <= row["high"]
    assert (
        row_of(found.table, perturbation="typing_noise", setting="mono", query_language="*", measure="mAP")[
            "relative_drop"
        ]
        > 0
    )


def test_queries_that_cannot_be_changed_are_counted_and_left_out(collection: Collection) -> None:
    found = robustness_of(trigrams, collection, [NO_DIACRITICS, LOWER_CASE], measures=["mAP"], resamples=20)
    hindi = row_of(found.table, perturbation="no_diacritics", setting="mono", query_language="hi", measure="mAP")
    assert (hindi["num_queries"], hindi["num_changed"]) == (6, 0)
    assert hindi["clean"] is hindi["relative_drop"] is hindi["low"] is None
    everyone = row_of(found.table, perturbation="no_diacritics", setting="multi", query_language="*", measure="mAP")
    assert (everyone["num_queries"], everyone["num_changed"]) == (18, 4)


def test_an_encoder_that_ignores_case_loses_nothing_by_it(collection: Collection) -> None:
    found = robustness_of(caseless, collection, [LOWER_CASE], measures=["mAP", "nDCG@10"], resamples=20)
    rows = [row for row in found.table.to_pylist() if row["num_changed"]]
    assert {row["setting"] for row in rows} == {"mono", "cross", "multi"}
    assert all(row["relative_drop"] == row["low"] == row["high"] == 0.0 for row in rows)


def test_judgements_and_passages_are_never_touched(collection: Collection) -> None:
    """A perturbation that would ruin every text sees queries only, and the judgements stay as they were."""
    before = (collection.judged_query.copy(), collection.judged_passage.copy(), collection.grade.copy())
    passages, queries = list(collection.passage_texts), list(collection.query_texts)
    seen: list[str] = []

    def ruin(text: str, language: str, rng: object) -> str:
        seen.append(text)
        return "x"

    found = robustness_of(trigrams, collection, [Perturbation("ruined", "nothing left", ruin)], resamples=20)
    assert seen == queries == list(collection.query_texts)
    assert passages == list(collection.passage_texts)
    for now, then in zip((collection.judged_query, collection.judged_passage, collection.grade), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert found.perturbed["ruined"].per_query["num_relevant"].equals(found.clean.per_query["num_relevant"])


def test_the_interval_is_that_of_paired_resamples(collection: Collection) -> None:
    """Drawing ids by hand and taking the drop of the drawn records gives the same interval."""
    found = robustness_of(trigrams, collection, [TYPING_NOISE], measures=["mAP"], resamples=200)
    row = row_of(found.table, perturbation="typing_noise", setting="mono", query_language="en", measure="mAP")
    values = []
    for evaluation in (found.clean, found.perturbed["typing_noise"]):
        rows = [r for r in evaluation.per_query.to_pylist() if r["setting"] == "mono" and r["query_language"] == "en"]
        values.append(np.array([r["mAP"] for r in rows]))
    drawn = np.random.default_rng(0).integers(0, 6, size=(200, 6))
    assert not np.array_equal(*values)  # or there would be nothing to compare
    drops = 1 - values[1][drawn].mean(axis=1) / values[0][drawn].mean(axis=1)
    assert [row["low"], row["high"]] == pytest.approx(np.quantile(drops, [0.025, 0.975]).tolist())


def test_the_same_every_time_and_other_for_another_seed(collection: Collection) -> None:
    first, second, other = (
        robustness_of(trigrams, collection, [TYPING_NOISE], measures=["mAP"], resamples=20, seed=seed)
        for seed in (4, 4, 5)
    )
    assert first.table.equals(second.table)
    assert first.queries.equals(second.queries)
    assert not first.queries.equals(other.queries)


def test_a_clean_mean_of_zero_has_no_drop(collection: Collection) -> None:
    found = robustness_of(trigrams, collection, [TYPING_NOISE], measures=["mAP"], resamples=20)
    nothing = found.clean.per_query.set_column(
        found.clean.per_query.column_names.index("mAP"), "mAP", [np.zeros(found.clean.per_query.num_rows)]
    )
    rows = relative_drops(nothing, nothing, found.queries, ["mAP"], resamples=20).to_pylist()
    assert all(row["clean"] == 0.0 and row["relative_drop"] is None for row in rows)


def test_mistakes_are_named(collection: Collection) -> None:
    with pytest.raises(DataError, match="names must differ"):
        robustness_of(trigrams, collection, [TYPING_NOISE, TYPING_NOISE])
    with pytest.raises(DataError, match="none may be 'clean'"):
        robustness_of(trigrams, collection, [Perturbation("clean", "", lambda text, language, rng: text)])
    with pytest.raises(DataError, match="no measure 'mep'; an evaluation has mAP"):
        robustness_of(trigrams, collection, [TYPING_NOISE], measures=["mep"])


def test_the_result_set_on_disk(collection: Collection, tmp_path: Path) -> None:
    found = robustness_of(trigrams, collection, [TYPING_NOISE, LOWER_CASE], resamples=20)
    write_robustness(tmp_path, found)
    assert pq.read_table(tmp_path / "robustness.parquet").equals(found.table)
    assert pq.read_table(tmp_path / "perturbed_queries.parquet").equals(found.queries)
    assert read_evaluation(tmp_path / "clean").per_query.equals(found.clean.per_query)
    assert read_evaluation(tmp_path / "typing_noise").per_query.equals(found.perturbed["typing_noise"].per_query)
