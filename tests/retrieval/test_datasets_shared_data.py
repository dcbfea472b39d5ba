"""The real files: counts as published or as counted when they were packed."""

from collections import Counter
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.config import build_config
from cluster.storage import open_store
from retrieval.cleaning import normalise
from retrieval.datasets import read_collection, read_groups
from retrieval.datasets.articles import read_articles
from retrieval.datasets.squad_parallel import SquadParallelConfig
from retrieval.datasets.squad_train import SquadTrainConfig
from retrieval.datasets.xquad_r import PUBLISHED_QUESTIONS, PUBLISHED_SENTENCES, XquadRConfig, evaluation_ids
from retrieval.groups import open_groups
from retrieval.prepare import PrepareConfig, prepare
from retrieval.records import Group

SHARED = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets are not in ../shared/data"),
]
# language: (questions, paragraphs)
PARALLEL_COUNTS = {
    "en": (9380, 1827),
    "es": (5851, 1766),
    "da": (6743, 1808),
    "it": (6117, 1614),
    "sv": (4492, 1029),
    "zh": (3445, 1006),
    "id": (3770, 1019),
}


def parallel(**fields: Any) -> SquadParallelConfig:
    return build_config(SquadParallelConfig, {"path": SHARED / "squad-parallel", "split": "all", **fields})


def xquad_r(**fields: Any) -> XquadRConfig:
    return build_config(XquadRConfig, {"path": SHARED / "xquad-r", **fields})


@pytest.fixture(scope="module")
def parallel_groups() -> list[Group]:
    return list(read_groups(parallel()))


def test_squad_parallel_has_the_questions_and_paragraphs_of_each_language() -> None:
    articles = read_articles(parallel())
    counts = {
        language: (len(articles.questions[language]), len(articles.paragraphs[language]))
        for language in articles.questions
    }
    assert counts == PARALLEL_COUNTS


def test_squad_parallel_questions_are_shared_by_as_many_languages(parallel_groups: list[Group]) -> None:
    assert Counter(len(group.pairs) for group in parallel_groups) == {
        1: 308,
        2: 1140,
        3: 2070,
        4: 2098,
        5: 1116,
        6: 1508,
        7: 1140,
    }
    coverages = [set(group.pairs) for group in parallel_groups]
    growing = accumulate((["en", "es"], ["da"], ["it"], ["sv"]))
    assert [sum(set(codes) <= coverage for coverage in coverages) for codes in growing] == [5851, 4473, 3189, 1719]


def test_squad_parallel_first_and_last_group(parallel_groups: list[Group]) -> None:
    first = next(group for group in parallel_groups if group.id == "squad_parallel/5725b33f6a3fe71400b8952d")
    assert first.passage_id == "squad_parallel/1973_oil_crisis#000"
    assert first.pairs["en"].query == "When did the 1973 oil crisis begin?"
    assert len({group.id for group in parallel_groups}) == len(parallel_groups) == 9380


def test_squad_parallel_splits_share_no_article() -> None:
    titles = {
        split: {p.title for of in read_articles(parallel(split=split)).paragraphs.values() for p in of.values()}
        for split in ("train", "validation", "test")
    }
    assert [len(titles[split]) for split in titles] == [36, 4, 8]
    assert len(set.union(*titles.values())) == 48
    # Every language has articles in every split, so each can be trained, validated and tested.
    for split in titles:
        assert all(read_articles(parallel(split=split)).questions.values())


def test_squad_parallel_collection_searches_all_held_out_paragraphs() -> None:
    articles = read_articles(parallel(split="test"))
    collection = read_collection(parallel(split="test"))
    paragraphs = sum(map(len, articles.paragraphs.values()))
    # Two Italian paragraphs of one article have the same text.
    assert paragraphs - 1 <= len(collection.passage_ids) <= paragraphs
    assert len(collection.query_ids) == sum(map(len, articles.questions.values()))
    assert np.bincount(collection.judged_query).min() >= 1


def test_squad_train_has_all_questions_and_paragraphs() -> None:
    config = build_config(SquadTrainConfig, {"path": SHARED / "squad-train"})
    articles = read_articles(config)
    assert {language: len(of) for language, of in articles.questions.items()} == {"en": 87599, "pt": 3286}
    assert {language: len(of) for language, of in articles.paragraphs.items()} == {"en": 18896, "pt": 506}
    assert len({paragraph.title for paragraph in articles.paragraphs["en"].values()}) == 442
    groups = list(read_groups(config))
    assert len(groups) == 87599
    assert not any("&quot;" in pair.passage for group in groups for pair in group.pairs.values())
    answered = read_articles(config, require_answer_in_context=True)
    assert len(answered.questions["pt"]) == 3286 - 1176


def test_xquad_r_has_the_published_sentences_and_questions() -> None:
    collection = read_collection(xquad_r())
    sizes = dict(zip(collection.languages, np.diff(collection.language_bounds), strict=True))
    assert sizes == PUBLISHED_SENTENCES
    assert sum(sizes.values()) == 13014
    assert len(collection.query_ids) == 11 * PUBLISHED_QUESTIONS
    # One relevant sentence in each of the 11 languages, for every question in every language.
    assert set(np.bincount(collection.judged_query)) == {11}
    language = collection.passage_language[collection.judged_passage].reshape(-1, 11)
    assert (np.sort(language, axis=1) == np.arange(11)).all()


def test_xquad_r_ids_are_the_published_ones() -> None:
    published = (SHARED / "xquad-r" / "xquad_question_ids.txt").read_text("utf-8").split()
    assert evaluation_ids(xquad_r(languages=["th"])) == set(published)


def test_squad_parallel_is_prepared_without_leaks_text_by_text(tmp_path: Path, parallel_groups: list[Group]) -> None:
    fields = {
        "sources": [{"dataset": "squad_parallel", "path": SHARED / "squad-parallel"}],
        "evaluation": [
            {"dataset": "xquad_r", "path": SHARED / "xquad-r"},
            {"dataset": "squad_parallel", "path": SHARED / "squad-parallel", "split": "test"},
            {"dataset": "squad_parallel", "path": SHARED / "squad-parallel", "split": "validation"},
        ],
    }
    groups = open_groups(prepare(build_config(PrepareConfig, fields), open_store(tmp_path)))
    assert groups.languages == tuple(sorted(PARALLEL_COUNTS))
    assert all(source.num_groups >= 256 for source in groups.sources)
    read = {group.id: group for group in parallel_groups}
    held_out = read_articles(parallel(split="test")).questions["en"]
    for group in groups.iter_groups():
        assert group.id.partition("/")[2] not in held_out
        assert group.passage_id.startswith(read[group.id].passage_id.partition("#")[0])
        for language, pair in group.pairs.items():
            original = read[group.id].pairs[language]
            assert (pair.query, pair.passage) == (normalise(original.query), normalise(original.passage))
