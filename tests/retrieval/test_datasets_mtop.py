"""mtop: a few utterances in the published form and as JSON lines, and the real JSON file."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.config import build_config
from cluster.errors import DataError
from retrieval.datasets import read_collection, read_groups
from retrieval.datasets.mtop import MtopConfig, frame_of, read_utterances
from retrieval.evaluate import evaluate_vectors
from retrieval.records import Collection

SHARED = Path(__file__).parents[3] / "shared" / "data" / "mtop"
# id, (English, German), decoupled form
UTTERANCES = [
    ("1", ("call Ann on Skype", "ruf per Skype Ann an"), "[IN:CREATE_CALL [SL:CONTACT {0} ] [SL:NAME_APP {1} ] ]"),
    ("2", ("phone Bob by WhatsApp", "WhatsApp-Anruf an Bob"), "[IN:CREATE_CALL [SL:NAME_APP {1} ] [SL:CONTACT {0} ] ]"),
    ("3", ("stop", "stopp"), "[IN:STOP_MUSIC ]"),
    ("4", ("set an alarm", "stell einen Wecker"), "[IN:CREATE_ALARM ]"),
]


def tsv_line(id: str, text: str, form: str, language: str) -> str:
    intent = form.split()[0].strip("[]")
    tokens = json.dumps({"tokens": text.split(), "tokenSpans": [], "tokenType": []})
    return "\t".join((id, intent, "", text, "calling", f"{language}_XX", form, tokens))


def write_published(folder: Path, names: tuple[str, ...] = ("train", "eval", "test")) -> Path:
    for column, language in enumerate(("en", "de")):
        (folder / language).mkdir(parents=True)
        for number, name in enumerate(names):
            lines = [
                tsv_line(id if number == 0 else f"{name}{id}", texts[column], form.format("x", "y"), language)
                for id, texts, form in UTTERANCES
            ]
            (folder / language / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


def write_parallel(folder: Path) -> Path:
    lines = [
        json.dumps(
            {
                "id": id,
                "question": {"en": en, "de": de, "es": f"{en} es", "fr": f"{en} fr"},
                "slot_intent": dict.fromkeys(("en", "de", "es", "fr"), form.format("x", "y")),
            }
        )
        for id, (en, de), form in UTTERANCES
    ]
    (folder / "dev.en-de-es-fr.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def mtop(path: Path, **fields: Any) -> MtopConfig:
    return build_config(MtopConfig, {"path": path, "excerpt": True, **fields})


def grades(collection: Collection, id: str, language: str) -> dict[str, int]:
    """Passage text -> grade, of the passages relevant to one utterance."""
    found = {}
    judgements = zip(collection.judged_query, collection.judged_passage, collection.grade, strict=True)
    for query, passage, grade in judgements:
        if (collection.query_ids[query], collection.languages[collection.query_language[query]]) == (id, language):
            found[collection.passage_texts[passage]] = int(grade)
    return found


@pytest.mark.parametrize(
    ("form", "frame"),
    [
        ("[IN:STOP_MUSIC ]", "IN:STOP_MUSIC"),
        ("[IN:A [SL:Z one ] [SL:B two three ] ]", "IN:A(SL:B,SL:Z)"),
        ("[IN:A [SL:B [IN:C [SL:D x ] [SL:D y ] ] ] ]", "IN:A(SL:B(IN:C(SL:D,SL:D)))"),
    ],
)
def test_a_frame_is_the_form_without_its_words_and_their_order(form: str, frame: str) -> None:
    assert frame_of(form) == frame


@pytest.mark.parametrize("form", ["", "call Ann", "[IN:A [SL:B x ]", "[IN:A ] ]", "[IN:A ] [IN:B ]"])
def test_a_form_without_matching_brackets_is_refused(form: str) -> None:
    with pytest.raises(ValueError, match="bracket"):
        frame_of(form)


def test_graded_relevance_tells_translations_from_the_same_intent_and_slots(tmp_path: Path) -> None:
    collection = read_collection(mtop(write_published(tmp_path), split="train"))
    assert grades(collection, "mtop/1", "en") == {
        "ruf per Skype Ann an": 2,
        "phone Bob by WhatsApp": 1,
        "WhatsApp-Anruf an Bob": 1,
    }
    assert grades(collection, "mtop/3", "de") == {"stop": 2}


def test_relevance_can_be_binary_or_translations_only(tmp_path: Path) -> None:
    folder = write_parallel(tmp_path)
    meaning = read_collection(mtop(folder, relevance="meaning", languages=["de", "en"]))
    assert grades(meaning, "mtop/2", "de") == dict.fromkeys(
        ["ruf per Skype Ann an", "call Ann on Skype", "phone Bob by WhatsApp"], 1
    )
    utterance = read_collection(mtop(folder, relevance="utterance", languages=["de", "en"]))
    assert grades(utterance, "mtop/2", "de") == {"phone Bob by WhatsApp": 1}
    kept = read_collection(mtop(folder, relevance="graded", own_text="candidate", languages=["de", "en"]))
    assert grades(kept, "mtop/3", "de") == {"stop": 2, "stopp": 2}


def test_every_measure_takes_graded_many_to_many_judgements(tmp_path: Path) -> None:
    collection = read_collection(mtop(write_parallel(tmp_path)))
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(len(collection.passage_texts), 8)).astype(np.float32)
    query_vectors = rng.normal(size=(len(collection.query_texts), 8)).astype(np.float32)
    summary = evaluate_vectors(collection, query_vectors, vectors, resamples=5).summary
    assert set(summary["settings"]) == {"mono", "cross", "multi"}
    assert 0 < summary["settings"]["multi"]["nDCG@10"]["mean"] < 1
    assert summary["bias"]["rank_distance"]["mean"] > 0


def test_published_splits_are_files_and_the_json_form_is_split_by_id(tmp_path: Path) -> None:
    published = write_published(tmp_path / "published")
    sizes = {
        split: len(read_utterances(mtop(published, split=split))["en"]) for split in ("train", "validation", "all")
    }
    assert sizes == {"train": 4, "validation": 4, "all": 12}
    parallel = write_parallel(tmp_path)
    test, train = (set(read_utterances(mtop(parallel, split=split, held_out=1))["fr"]) for split in ("test", "train"))
    assert len(test) == 1 and test | train == {"1", "2", "3", "4"} and not test & train


def test_groups_pair_utterances_of_one_frame_or_translations(tmp_path: Path) -> None:
    folder = write_published(tmp_path)
    first, second, third, _ = read_groups(mtop(folder, split="train"))
    assert (first.pairs["en"].query, first.pairs["en"].passage) == ("call Ann on Skype", "phone Bob by WhatsApp")
    assert second.pairs["de"].passage == "ruf per Skype Ann an"
    assert first.passage_id == second.passage_id == "mtop/IN:CREATE_CALL(SL:CONTACT,SL:NAME_APP)"
    assert (third.pairs["de"].query, third.pairs["de"].passage) == ("stopp", "stopp")
    translation = next(iter(read_groups(mtop(folder, split="train", relevance="utterance"))))
    assert translation.pairs["en"].passage == "call Ann on Skype"
    assert translation.passage_id == ""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("en_XX", "fr_XX", "line 1: its locale is 'fr_XX', expected 'en'; was the file renamed?"),
        ("[IN:STOP_MUSIC ]", "[IN:STOP_MUSIC", "line 3: its form '[IN:STOP_MUSIC' is not one bracketed form"),
        ("2\tIN", "1\tIN", "line 2: id '1' stands twice in 'en'"),
        ("\tcalling", "", "line 1: 7 columns, expected 8: id, intent, slots"),
    ],
)
def test_lines_of_another_form_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = write_published(tmp_path) / "en" / "train.txt"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(said)):
        read_collection(mtop(tmp_path, split="train"))


def test_files_that_are_not_the_published_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.txt: holds 4 utterances, expected 15667: cut short"):
        read_collection(mtop(write_published(tmp_path / "tsv"), excerpt=False))
    with pytest.raises(DataError, match=r"jsonl: its content has SHA-256 \w+…, expected \w+…: cut short, changed"):
        read_collection(mtop(write_parallel(tmp_path), excerpt=False))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: holds neither dev"):
        read_collection(mtop(tmp_path / "empty"))
    with pytest.raises(DataError, match=r"th/train\.txt: no such file"):
        (tmp_path / "tsv" / "th").mkdir()
        read_collection(mtop(tmp_path / "tsv", languages=["th"]))


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets are not in ../shared/data")
def test_the_json_file_has_859_utterances_in_four_languages() -> None:
    config = build_config(MtopConfig, {"path": SHARED})
    assert {language: len(of) for language, of in read_utterances(config).items()} == dict.fromkeys(
        ("en", "de", "es", "fr"), 859
    )
    collection = read_collection(config)
    assert set(np.unique(collection.grade)) == {1, 2}
    translations = np.bincount(collection.judged_query, collection.grade == 2)
    assert translations.min() >= 3
    groups = list(read_groups(config))
    assert len(groups) == 859
