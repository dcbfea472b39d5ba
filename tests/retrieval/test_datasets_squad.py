"""squad_parallel and squad_train on a few hand-written articles in the original form."""

import re
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.config import build_config
from cluster.errors import ConfigError, DataError
from retrieval.datasets import content_fingerprints, read_collection, read_groups
from retrieval.datasets.articles import articles_of_split
from retrieval.datasets.squad_parallel import SquadParallelConfig
from retrieval.datasets.squad_train import SquadTrainConfig
from retrieval.records import Collection, Group, Pair

FIXTURES = Path(__file__).parent / "fixtures"


def parallel(**fields: Any) -> SquadParallelConfig:
    fields = {"path": FIXTURES / "squad_parallel", "held_out_articles": 1, "validation_articles": 1, **fields}
    return build_config(SquadParallelConfig, fields)


def train(**fields: Any) -> SquadTrainConfig:
    return build_config(SquadTrainConfig, {"path": FIXTURES / "squad_train", **fields})


def by_id(config: Any) -> dict[str, Group]:
    groups = list(read_groups(config))
    assert len({group.id for group in groups}) == len(groups)
    return {group.id: group for group in groups}


def relevant(collection: Collection, query_id: str, language: str) -> set[str]:
    rows = [
        row
        for row, (id, number) in enumerate(zip(collection.query_ids, collection.query_language, strict=True))
        if (id, collection.languages[number]) == (query_id, language)
    ]
    (row,) = rows
    return {collection.passage_ids[passage] for passage in collection.judged_passage[collection.judged_query == row]}


def test_a_group_is_a_question_with_its_paragraph_in_every_language_it_exists_in() -> None:
    groups = by_id(parallel(split="all"))
    assert sorted(groups) == [f"squad_parallel/q0{number}" for number in range(1, 8)]
    first = groups["squad_parallel/q01"]
    assert first.passage_id == groups["squad_parallel/q02"].passage_id == "squad_parallel/Rhine#000"
    assert sorted(first.pairs) == ["en", "es", "sv"]
    assert first.pairs["sv"] == Pair(
        "Var rinner Rhen upp?", "Rhen rinner upp i Schweiziska Alperna och mynnar i Nordsjön."
    )
    assert sorted(groups["squad_parallel/q05"].pairs) == ["en", "sv"]  # no Spanish question, though a paragraph


def test_languages_and_min_languages_choose_pairs_and_groups() -> None:
    groups = by_id(parallel(split="all", languages=["sv", "es"]))
    assert {id: sorted(group.pairs) for id, group in groups.items()} == {
        "squad_parallel/q01": ["es", "sv"],
        "squad_parallel/q03": ["es"],
        "squad_parallel/q04": ["es"],
        "squad_parallel/q05": ["sv"],
        "squad_parallel/q07": ["es"],
    }
    assert sorted(by_id(parallel(split="all", min_languages=3))) == ["squad_parallel/q01"]
    with pytest.raises(DataError, match="no question of the all split exists in 3 of the languages es, sv; lower min"):
        by_id(parallel(split="all", languages=["es", "sv"], min_languages=3))


def test_splits_cut_between_articles_and_ignore_the_languages_chosen() -> None:
    articles_of: dict[str, set[str]] = {}
    for split in ("train", "validation", "test"):
        everything = by_id(parallel(split=split))
        articles_of[split] = {group.passage_id.split("#")[0] for group in everything.values()}
        for languages in (["sv"], ["en", "es"]):
            try:
                some = by_id(parallel(split=split, languages=languages))
            except DataError:  # Swedish has no article in this split
                continue
            assert some.keys() <= everything.keys()
    assert [len(articles_of[split]) for split in ("train", "validation", "test")] == [2, 1, 1]
    assert len(set.union(*articles_of.values())) == 4


@settings(deadline=None)
@given(
    titles=st.sets(st.text(max_size=8), min_size=3, max_size=60),
    held_out=st.fractions(0, 1, max_denominator=20),
    validation=st.fractions(0, 1, max_denominator=20),
    seed=st.integers(0, 5),
)
def test_splits_are_disjoint_complete_and_stable(
    titles: set[str], held_out: Fraction, validation: Fraction, seed: int
) -> None:
    def split(name: str, validation: Fraction = validation) -> set[str]:
        config = SquadParallelConfig.model_validate(
            {"split": name, "held_out_articles": held_out, "validation_articles": validation, "split_seed": seed}
        )
        try:
            return articles_of_split(config, titles)
        except DataError:
            return set()

    parts = [split(name) for name in ("train", "validation", "test")]
    if any(parts[:2]) or len(parts[2]) == len(titles):  # otherwise more was asked for than there is
        assert set.union(*parts) == titles
        assert sum(map(len, parts)) == len(titles)
        wanted = 1 if held_out == 1 else held_out * len(titles)
        assert abs(len(parts[2]) - wanted) < 1
        assert split("test", validation=Fraction(0)) == parts[2]
    assert split("all") == titles


def test_another_seed_holds_out_other_articles() -> None:
    titles = {f"article {number}" for number in range(48)}
    held_out = [articles_of_split(parallel(split="test", split_seed=seed), titles) for seed in range(20)]
    assert len(set.union(*held_out)) > 5


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"held_out_articles": 4, "split": "train"}, "ask for 5 articles, there are 4; lower them"),
        ({"held_out_articles": 3, "split": "train"}, "the train split has none of the 4 articles; change held_out"),
        ({"validation_articles": 0, "split": "validation"}, "the validation split has none of the 4 articles"),
        ({"languages": ["en", "fr"]}, "squad_parallel: has no language 'fr'; it has en, es, sv"),
        ({"path": "nowhere"}, "nowhere: no such folder; check the data set's path"),
    ],
)
def test_what_the_data_cannot_give_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=re.escape(said)):
        list(read_groups(parallel(**fields)))


@pytest.mark.parametrize("amount", ["2.5", "-1", "many"])
def test_an_amount_of_articles_is_a_number_or_a_share(amount: str) -> None:
    with pytest.raises(ConfigError, match="held_out_articles: must be"):
        parallel(held_out_articles=amount)


def edited(tmp_path: Path, file: str, old: str, new: str) -> Path:
    folder = tmp_path / "squad_parallel"
    shutil.copytree(FIXTURES / "squad_parallel", folder)
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("questions.es.jsonl", '"pid": "Kenya#000"', '"pid": "Rhine#000"', "question 'q07' asks about paragraph"),
        ("paragraphs.es.jsonl", '"title": "Kenya"', '"title": "Nairobi"', "paragraph 'Kenya#000' belongs to article"),
        ("questions.es.jsonl", '"id": "q07"', '"id": 7.5', "questions.es.jsonl: line 4: 'id' is a number, expected"),
        ("paragraphs.sv.jsonl", '"context"', '"content"', "paragraphs.sv.jsonl: line 1: 'context' is missing; there"),
    ],
)
def test_records_that_disagree_over_languages_are_refused(
    tmp_path: Path, file: str, old: str, new: str, said: str
) -> None:
    with pytest.raises(DataError, match=re.escape(said)) as refusal:
        list(read_groups(parallel(path=edited(tmp_path, file, old, new))))
    assert file in str(refusal.value)


def test_the_collection_searches_all_paragraphs_of_the_split_in_every_language() -> None:
    collection = read_collection(parallel(split="all"))
    assert collection.languages == ("en", "es", "sv")
    assert (len(collection.query_ids), len(collection.passage_ids)) == (7 + 4 + 2, 6 + 5 + 3)
    # The Spanish paragraph answers though the question was never translated; there is no Spanish Warsaw#001.
    assert relevant(collection, "squad_parallel/q05", "en") == {
        f"squad_parallel/Warsaw#000@{language}" for language in ("en", "es", "sv")
    }
    assert relevant(collection, "squad_parallel/q06", "en") == {
        f"squad_parallel/Warsaw#001@{language}" for language in ("en", "sv")
    }
    held_out = read_collection(parallel(split="test"))
    groups = by_id(parallel(split="test"))
    assert set(held_out.query_ids) == groups.keys()
    assert {id.split("@")[0] for id in held_out.passage_ids} >= {group.passage_id for group in groups.values()}


def test_paragraphs_of_one_language_with_the_same_text_are_one_candidate(tmp_path: Path) -> None:
    # As in the Italian original: two paragraphs came out of the translation as one text.
    same = "Colonia es la mayor ciudad a orillas del Rin."
    first = "El Rin nace en los Alpes suizos y desemboca en el mar del Norte."
    collection = read_collection(parallel(split="all", path=edited(tmp_path, "paragraphs.es.jsonl", first, same)))
    for id in ("q01", "q03"):
        spanish = {passage for passage in relevant(collection, f"squad_parallel/{id}", "es") if passage.endswith("es")}
        assert spanish == {"squad_parallel/Rhine#000@es"}
    assert len(collection.passage_ids) == 6 + 4 + 3
    assert np.all(np.diff(collection.judged_query) >= 0)


def test_content_is_fingerprinted_over_the_files_that_decide_it(tmp_path: Path) -> None:
    before = content_fingerprints(parallel(languages=["en"]))
    # Paragraphs of every language decide the split; questions of a language not chosen decide nothing.
    assert sorted(before) == [
        "paragraphs.en.jsonl",
        "paragraphs.es.jsonl",
        "paragraphs.sv.jsonl",
        "questions.en.jsonl",
    ]
    folder = edited(tmp_path, "questions.en.jsonl", "Who named oxygen?", "Who gave oxygen its name?")
    after = content_fingerprints(parallel(languages=["en"], path=folder))
    assert {name for name in before if before[name] != after[name]} == {"questions.en.jsonl"}


def test_squad_train_resolves_entities_in_portuguese_only() -> None:
    groups = by_id(train())
    group = groups["squad_train/t000-000-00"]
    assert group.pairs["pt"].passage == 'Seu amigo o chamou de "o poeta do piano" em uma carta de 1835.'
    assert group.pairs["pt"].query == "Como o amigo d'ele o chamou?"
    assert group.passage_id == "squad_train/t000-000"
    assert groups["squad_train/t001-000-00"].pairs == {
        "en": Pair("Which light can a bee see, and what does &lt; mean in HTML?", "A bee can see ultraviolet light.")
    }


def test_squad_train_can_leave_out_translations_without_their_answer() -> None:
    groups = by_id(train(require_answer_in_context=True))
    assert {id: sorted(group.pairs) for id, group in groups.items()} == {
        "squad_train/t000-000-00": ["en"],
        "squad_train/t000-000-01": ["en", "pt"],
        "squad_train/t001-000-00": ["en"],
    }
    # Counted after leaving out: what is left in one language is not parallel.
    assert sorted(by_id(train(require_answer_in_context=True, min_languages=2))) == ["squad_train/t000-000-01"]
