"""mlqa_r on a few paragraphs in both original forms, and the sentence rules against XQuAD-R's published sentences."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.config import build_config
from cluster.errors import DataError
from retrieval.datasets import read_collection, read_groups
from retrieval.datasets.mlqa_r import PUBLISHED_QUESTIONS, PUBLISHED_SENTENCES, MlqaRConfig
from retrieval.datasets.xquad_r import PUBLISHED_SENTENCES as XQUAD_SENTENCES
from retrieval.formats.squad import read_squad
from retrieval.records import Collection
from retrieval.sentences import sentence_spans

SHARED = Path(__file__).parents[3] / "shared" / "data" / "xquad-r"
# language: context, questions as id: (question, answer)
PARAGRAPHS: Mapping[str, tuple[str, Mapping[str, tuple[str, str]]]] = {
    "en": (
        "Dr. Tesla met J. P. Morgan in 1901. He paid $150,000! It was not enough.",
        {"a": ("Whom?", "J. P. Morgan"), "b": ("How much?", "$150,000")},
    ),
    "de": (
        "Am 2. Januar 1901 traf Tesla Morgan. Er zahlte z. B. 150.000 Dollar.",
        {"a": ("Wen?", "Morgan")},
    ),
    "hi": ("टेस्ला मॉर्गन से मिले। उसने पैसे दिए।", {"b": ("कितना?", "पैसे")}),
}


def write(folder: Path, form: str) -> Path:
    folder.mkdir(exist_ok=True)
    for language, (context, questions) in PARAGRAPHS.items():
        qas = [
            {"id": id, "question": question, "answers": [{"text": text, "answer_start": context.index(text)}]}
            for id, (question, text) in questions.items()
        ]
        paragraph: dict[str, Any] = {"context": context, "qas": qas}
        name = f"dev-context-{language}-question-{language}.json"
        if form == "lareqa":
            # Other sentences than our own rules give: the whole paragraph is one.
            paragraph |= {"sentence_breaks": [[0, len(context)]], "sentences": [context]}
            name = f"{language}.json"
        document = {"version": 1.0, "data": [{"title": "Tesla", "paragraphs": [paragraph]}]}
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
    return folder


def mlqa_r(path: Path, **fields: Any) -> MlqaRConfig:
    return build_config(MlqaRConfig, {"path": path, "excerpt": True, **fields})


def relevant(collection: Collection) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for query, passage in zip(collection.judged_query, collection.judged_passage, strict=True):
        language = collection.languages[collection.query_language[query]]
        found.setdefault((collection.query_ids[query], language), set()).add(collection.passage_texts[passage])
    return found


def test_mlqa_itself_is_split_into_sentences(tmp_path: Path) -> None:
    collection = read_collection(mlqa_r(write(tmp_path, "mlqa")))
    assert list(collection.passage_texts) == [
        "Am 2. Januar 1901 traf Tesla Morgan.",
        "Er zahlte z. B. 150.000 Dollar.",
        "Dr. Tesla met J. P. Morgan in 1901.",
        "He paid $150,000!",
        "It was not enough.",
        "टेस्ला मॉर्गन से मिले।",
        "उसने पैसे दिए।",
    ]
    assert collection.passage_ids[3] == "mlqa_r/Tesla#0000.01@en"
    assert collection.passage_contexts is not None
    assert collection.passage_contexts[3] == PARAGRAPHS["en"][0]
    first = {"Am 2. Januar 1901 traf Tesla Morgan.", "Dr. Tesla met J. P. Morgan in 1901."}
    assert relevant(collection) == {
        ("mlqa_r/a", "de"): first,
        ("mlqa_r/a", "en"): first,
        ("mlqa_r/b", "en"): {"He paid $150,000!", "उसने पैसे दिए।"},
        ("mlqa_r/b", "hi"): {"He paid $150,000!", "उसने पैसे दिए।"},
    }


def test_lareqas_own_sentences_are_taken_as_they_are(tmp_path: Path) -> None:
    collection = read_collection(mlqa_r(write(tmp_path, "lareqa"), languages=["en", "hi"]))
    assert list(collection.passage_texts) == [PARAGRAPHS["en"][0], PARAGRAPHS["hi"][0]]


def test_training_on_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mlqa_r: is for evaluation only"):
        read_groups(mlqa_r(tmp_path))


def test_files_that_are_not_the_published_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "mlqa", "mlqa")
    with pytest.raises(DataError, match=r"question-de\.json: holds 1 questions, expected 512: incomplete"):
        read_collection(mlqa_r(folder, excerpt=False, languages=["de"]))
    monkeypatch.setitem(PUBLISHED_QUESTIONS, "de", 1)
    with pytest.raises(DataError, match=r"holds 2 sentences, expected 2362, give or take 10%: incomplete"):
        read_collection(mlqa_r(folder, excerpt=False, languages=["de"]))
    monkeypatch.setitem(PUBLISHED_SENTENCES, "de", 2)
    assert read_collection(mlqa_r(folder, excerpt=False, languages=["de"])).languages == ("de",)
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    (folder / "dev-context-de-question-de.json").rename(renamed / "de.json")
    with pytest.raises(DataError, match=r"de\.json: article Tesla, paragraph 0: has no sentence_breaks; files of MLQA"):
        read_collection(mlqa_r(renamed))
    with pytest.raises(
        DataError, match=r"holds neither LAReQA's files, such as en\.json, nor MLQA's, such as dev-context-en"
    ):
        read_collection(mlqa_r(tmp_path))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answers": []}, "question a has no answer"),
        ({"answers": [{"text": "x", "answer_start": 500}]}, "question a: its answer starts at character 500, after"),
    ],
)
def test_questions_without_an_answer_in_the_paragraph_are_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    path = write(tmp_path, "mlqa") / "dev-context-de-question-de.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["data"][0]["paragraphs"][0]["qas"][0] |= change
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_collection(mlqa_r(tmp_path))


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("en", 'He said "Go." Then he left.', ['He said "Go."', "Then he left."]),
        ("en", "It is by J. A. Hobson, i.e. the author.[3] Really", ["It is by J. A. Hobson, i.e. the author.[3]", "Really"]),
        ("es", "Vive en EE. UU. ¿Sí? No.", ["Vive en EE.", "UU.", "¿Sí?", "No."]),
        ("de", "Es war am 3. Mai um 750 n. Chr. in Rom. Das 20. Jahrhundert.", ["Es war am 3. Mai um 750 n. Chr. in Rom.", "Das 20. Jahrhundert."]),
        ("zh", "他来了。她走了！“好。”1991年。", ["他来了。", "她走了！", "“好。”1991年。"]),
        ("ar", "هل جاء؟ نعم.", ["هل جاء؟", "نعم."]),
        ("vi", "  ", []),
    ],
)  # fmt: skip
def test_sentences_end_where_the_rules_say(language: str, text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text, language)] == sentences


@given(text=st.text(alphabet="aB .?。！1\u3000\n\"'"), language=st.sampled_from(["en", "de", "zh"]))
def test_every_character_lies_in_one_sentence(text: str, language: str) -> None:
    covered = [index for start, end in sentence_spans(text, language) for index in range(start, end)]
    assert covered == sorted(set(covered))
    assert {index for index, character in enumerate(text) if not character.isspace()} <= set(covered)
    assert all(
        not text[start].isspace() and not text[end - 1].isspace() for start, end in sentence_spans(text, language)
    )


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets are not in ../shared/data")
@pytest.mark.parametrize("language", sorted(PUBLISHED_SENTENCES))
def test_the_rules_agree_with_lareqas_sentences(language: str) -> None:
    right = ours = theirs = sentences = 0
    for paragraph in read_squad(SHARED / f"{language}.json.gz"):
        spans = sentence_spans(paragraph.context, language)
        sentences += len(spans)
        found, published = ({end for _, end in of[:-1]} for of in (spans, paragraph.sentences))
        right, ours, theirs = right + len(found & published), ours + len(found), theirs + len(published)
    assert 2 * right / (ours + theirs) > 0.96
    assert abs(sentences - XQUAD_SENTENCES[language]) < 0.031 * XQUAD_SENTENCES[language]
