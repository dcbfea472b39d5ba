"""What perturbed queries cost an encoder: against the records, against hand-made encoders, and on disk."""

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.errors import DataError
from retrieval.evaluate import evaluate_vectors_to, read_evaluation
from retrieval.perturb.names import PerturbationName
from retrieval.perturb.perturbation import LOWER_CASE, NO_DIACRITICS, PERTURBATIONS, TYPING_NOISE, Perturbation
from retrieval.records import Collection, PassageRecord, QueryRecord, collection_from
from retrieval.robustness import perturb_queries, read_drops, relative_drops, write_drops

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


class Compared:
    """An encoder evaluated on queries as they are and under a perturbation."""

    def __init__(
        self,
        folder: Path,
        encode: Callable[..., np.ndarray],
        collection: Collection,
        perturbation: Perturbation,
        measures: Sequence[str] = ("mAP",),
        resamples: int = 20,
        seed: int = 0,
    ) -> None:
        names = np.array(collection.languages)
        passages = encode(collection.passage_texts, "passage", names[collection.passage_language].tolist())
        perturbed = perturb_queries(collection, perturbation, seed)
        for name, judged in (("clean", collection), (perturbation.name, perturbed.collection)):
            (folder / name).mkdir(parents=True)
            queries = encode(judged.query_texts, "query", names[judged.query_language].tolist())
            evaluate_vectors_to(folder / name, judged, queries, passages, resamples=5)
        self.folder = folder / perturbation.name
        self.table = write_drops(
            self.folder, folder / "clean", perturbed, measures=measures, resamples=resamples, seed=seed
        )
        self.queries = pq.read_table(self.folder / "perturbed_queries.parquet")
        self.clean, self.perturbed = (read_evaluation(place) for place in (folder / "clean", self.folder))


def row_of(table: object, **wanted: str) -> dict[str, object]:
    rows = [row for row in table.to_pylist() if all(row[name] == value for name, value in wanted.items())]  # type: ignore[attr-defined]
    assert len(rows) == 1
    return rows[0]


def test_drops_are_those_of_the_changed_queries_records(collection: Collection, tmp_path: Path) -> None:
    found = Compared(tmp_path, trigrams, collection, NO_DIACRITICS, ["mAP", "R@1"], resamples=50)
    changed = found.queries.filter(found.queries["changed"])
    assert set(changed["text"].to_pylist()) == {
        "Hohe des Brocken?",
        "Grosse von Osterreich?",
        "Fluss durch Koln?",
        "Erfinder der Gluhbirne?",
    }
    row = row_of(found.table, setting="mono", query_language="de", measure="mAP")
    ids = changed["query_id"].to_pylist()
    means = []
    for evaluation in (found.clean, found.perturbed):
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


def test_queries_that_cannot_be_changed_are_counted_and_left_out(collection: Collection, tmp_path: Path) -> None:
    found = Compared(tmp_path, trigrams, collection, NO_DIACRITICS)
    hindi = row_of(found.table, setting="mono", query_language="hi", measure="mAP")
    assert (hindi["num_queries"], hindi["num_changed"]) == (6, 0)
    assert hindi["clean"] is hindi["relative_drop"] is hindi["low"] is None
    everyone = row_of(found.table, setting="multi", query_language="*", measure="mAP")
    assert (everyone["num_queries"], everyone["num_changed"]) == (18, 4)


def test_an_encoder_that_ignores_case_loses_nothing_by_it(collection: Collection, tmp_path: Path) -> None:
    found = Compared(tmp_path, caseless, collection, LOWER_CASE, ["mAP", "nDCG@10"])
    rows = [row for row in found.table.to_pylist() if row["num_changed"]]
    assert {row["setting"] for row in rows} == {"mono", "cross", "multi"}
    assert all(row["relative_drop"] == row["low"] == row["high"] == 0.0 for row in rows)


def test_judgements_and_passages_are_never_touched(collection: Collection, tmp_path: Path) -> None:
    """A perturbation that would ruin every text sees queries only, and the judgements stay as they were."""
    before = (collection.judged_query.copy(), collection.judged_passage.copy(), collection.grade.copy())
    passages, queries = list(collection.passage_texts), list(collection.query_texts)
    seen: list[str] = []

    def ruin(text: str, language: str, rng: object) -> str:
        seen.append(text)
        return "x"

    found = Compared(tmp_path, trigrams, collection, Perturbation("ruined", "nothing left", ruin))
    assert seen == queries == list(collection.query_texts)
    assert passages == list(collection.passage_texts)
    for now, then in zip((collection.judged_query, collection.judged_passage, collection.grade), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert found.perturbed.per_query["num_relevant"].equals(found.clean.per_query["num_relevant"])


def test_the_interval_is_that_of_paired_resamples(collection: Collection, tmp_path: Path) -> None:
    """Drawing ids by hand and taking the drop of the drawn records gives the same interval."""
    found = Compared(tmp_path, trigrams, collection, TYPING_NOISE, resamples=200)
    row = row_of(found.table, setting="mono", query_language="en", measure="mAP")
    values = []
    for evaluation in (found.clean, found.perturbed):
        rows = [r for r in evaluation.per_query.to_pylist() if r["setting"] == "mono" and r["query_language"] == "en"]
        values.append(np.array([r["mAP"] for r in rows]))
    drawn = np.random.default_rng(0).integers(0, 6, size=(200, 6))
    assert not np.array_equal(*values)  # or there would be nothing to compare
    drops = 1 - values[1][drawn].mean(axis=1) / values[0][drawn].mean(axis=1)
    assert [row["low"], row["high"]] == pytest.approx(np.quantile(drops, [0.025, 0.975]).tolist())


def test_the_same_every_time_and_other_for_another_seed(collection: Collection, tmp_path: Path) -> None:
    first, second, other = (
        Compared(tmp_path / str(number), trigrams, collection, TYPING_NOISE, seed=seed)
        for number, seed in enumerate((4, 4, 5))
    )
    assert first.table.equals(second.table)
    assert first.queries.equals(second.queries)
    assert not first.queries.equals(other.queries)


def test_a_clean_mean_of_zero_has_no_drop(collection: Collection, tmp_path: Path) -> None:
    found = Compared(tmp_path, trigrams, collection, TYPING_NOISE)
    nothing = found.clean.per_query.set_column(
        found.clean.per_query.column_names.index("mAP"), "mAP", [np.zeros(found.clean.per_query.num_rows)]
    )
    rows = relative_drops(nothing, nothing, found.queries, ["mAP"], resamples=20).to_pylist()
    assert all(row["clean"] == 0.0 and row["relative_drop"] is None for row in rows)


def test_texts_as_numbers_or_as_they_are_give_the_same(collection: Collection, tmp_path: Path) -> None:
    """Records are read as numbers for texts, in pieces with numbers of their own where a file is large."""
    found = Compared(tmp_path, trigrams, collection, TYPING_NOISE)
    clean, perturbed = found.clean.per_query, found.perturbed.per_query
    plain = relative_drops(clean, perturbed, found.queries, ["mAP"], resamples=20)
    in_pieces = pa.concat_tables([clean.slice(0, 40), clean.slice(40)])
    assert plain.equals(found.table)
    assert relative_drops(in_pieces, perturbed, found.queries, ["mAP"], resamples=20).equals(plain)


def test_a_query_without_any_relevant_passage_is_in_no_comparison(tmp_path: Path) -> None:
    queries = [QueryRecord("a", "en", "some words", {"p": 1}), QueryRecord("b", "en", "other words", {})]
    passages = [PassageRecord("p", "en", "some"), PassageRecord("r", "en", "more")]
    found = Compared(tmp_path, trigrams, collection_from("two", ("en",), queries, passages), TYPING_NOISE)
    row = row_of(found.table, setting="mono", query_language="en", measure="mAP")
    assert (row["num_queries"], row["num_changed"]) == (1, 1)
    assert found.queries["changed"].to_pylist() == [True, True]


def test_mistakes_are_named(collection: Collection, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"per_query\.parquet: no measure 'mep'; it has mAP"):
        Compared(tmp_path, trigrams, collection, TYPING_NOISE, ["mep"])
    with pytest.raises(DataError, match=r"robustness\.parquet: missing"):
        read_drops(tmp_path)
    (tmp_path / "robustness.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"robustness\.parquet: not a whole Parquet file"):
        read_drops(tmp_path)


def test_what_is_on_disk(collection: Collection, tmp_path: Path) -> None:
    found = Compared(tmp_path, trigrams, collection, TYPING_NOISE)
    assert read_drops(found.folder).equals(found.table)
    assert found.queries["text"].to_pylist() != list(collection.query_texts)


def test_configurations_know_every_perturbation() -> None:
    assert get_args(PerturbationName) == (*(perturbation.name for perturbation in PERTURBATIONS), "code_switching")
