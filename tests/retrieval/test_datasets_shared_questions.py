"""The real questions of Mintaka, EXAMS, AfriQA and TyDi QA: counts as published or as counted when they were packed."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrieval.datasets import parse_dataset, read_collection, read_groups
from retrieval.datasets.afriqa import PUBLISHED_PASSAGES, PUBLISHED_QUERIES
from retrieval.datasets.exams import read_questions
from retrieval.datasets.tydi_qa import PUBLISHED_QUESTIONS
from retrieval.language_codes import canonical_code
from retrieval.records import Collection

SHARED = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets are not in ../shared/data"),
]
FOLDERS = {"mintaka": "mintaka", "exams": "exams", "afriqa": "afriqa", "tydi_qa": "tydiqa-goldp"}
EXAMS_COUNTS = {
    "sq": 1505, "ar": 562, "bg": 2937, "hr": 2879, "fr": 318, "de": 577, "hu": 2267, "it": 1256, "lt": 593, "mk": 2075,
    "pl": 1971, "pt": 924, "sr": 1637, "es": 235, "tr": 1964, "vi": 2443,
}  # fmt: skip


def shared(name: str, **fields: Any) -> Any:
    return parse_dataset({"dataset": name, "path": SHARED / FOLDERS[name], **fields})


def languages_of(config: Any) -> Counter[str]:
    return Counter(language for group in read_groups(config) for language in group.pairs)


def queries_by_language(collection: Collection) -> dict[str, int]:
    counts = np.bincount(collection.query_language, minlength=len(collection.languages))
    return dict(zip(collection.languages, counts.tolist(), strict=True))


def test_mintaka_has_2000_questions_in_nine_languages() -> None:
    counts = languages_of(shared("mintaka"))
    assert counts == dict.fromkeys(["en", "ar", "de", "ja", "hi", "pt", "es", "it", "fr"], 2000)


def test_mintaka_answers_are_english_and_shared() -> None:
    collection = read_collection(shared("mintaka", task="answers", languages=["de", "hi"]))
    assert queries_by_language(collection) == {"de": 2000, "hi": 2000, "en": 0}
    assert set(collection.passage_language) == {2}
    assert np.bincount(collection.judged_query).tolist() == [1] * 4000
    assert len(set(collection.passage_texts)) == len(collection.passage_texts) < 2000


def test_exams_has_the_questions_of_each_language_and_split() -> None:
    questions = read_questions(shared("exams", split="all"))
    assert Counter(question.language for question in questions) == EXAMS_COUNTS
    assert Counter(question.right is None for question in questions) == {False: 24_139, True: 4}
    assert len({question.group for question in questions}) == 17_396


def test_exams_groups_are_translations_with_wrong_choices_as_negatives() -> None:
    groups = list(read_groups(shared("exams", split="train")))
    first = next(group for group in groups if sorted(group.pairs) == ["hr", "it", "sr"])
    assert all(2 <= len(pair.negatives) <= 4 for pair in first.pairs.values())
    parallel = list(read_groups(shared("exams", split="train", task="parallel_questions", query="stem")))
    assert all(len(group.pairs) > 1 for group in parallel)
    assert {group.id for group in parallel} <= {group.id for group in groups}
    # The id of a question does not depend on the languages read.
    croatian = {group.id for group in read_groups(shared("exams", split="train", languages=["hrv", "ita"]))}
    assert croatian <= {group.id for group in groups}


def test_afriqa_has_the_questions_and_gold_passages_of_each_language() -> None:
    counts = languages_of(shared("afriqa", split="all", task="parallel_questions"))
    african = {canonical_code(code): count for code, count in PUBLISHED_QUERIES.items()}
    french = PUBLISHED_QUERIES["fon"] + PUBLISHED_QUERIES["wol"]
    assert counts == {**african, "fr": french, "en": sum(african.values()) - french}
    assert sum(PUBLISHED_PASSAGES.values()) == 7210


def test_afriqa_searches_pivot_passages_only() -> None:
    collection = read_collection(shared("afriqa", split="test"))
    assert {collection.languages[number] for number in set(collection.passage_language)} == {"en", "fr"}
    counts = queries_by_language(collection)
    assert counts["sw"] == 295 and "wo" not in counts
    assert counts["en"] + counts["fr"] == sum(counts.values()) / 2
    # 156 gold passages or questions are empty, counted without our code.
    groups = sum(1 for _ in read_groups(shared("afriqa", split="all")))
    assert groups == 7210 - 156


def test_tydi_qa_has_the_questions_of_each_language() -> None:
    assert languages_of(shared("tydi_qa", split="dev")) == PUBLISHED_QUESTIONS["dev"]
    assert languages_of(shared("tydi_qa")) == {code: PUBLISHED_QUESTIONS["train"][code] for code in ("en", "ko", "sw")}


def test_tydi_qa_paragraphs_are_candidates_once() -> None:
    collection = read_collection(shared("tydi_qa", split="dev"))
    sizes = dict(zip(collection.languages, np.diff(collection.language_bounds).tolist(), strict=True))
    # The number of different paragraphs, counted without our code.
    assert sizes == {
        "ar": 842, "bn": 105, "en": 429, "fi": 634, "id": 514, "ko": 228, "ru": 778, "sw": 357, "te": 601,
    }  # fmt: skip
    assert len(collection.query_ids) == sum(PUBLISHED_QUESTIONS["dev"].values())
