"""Records to collections: rows in blocks by language, judgements by row, and nothing that answers a query left out."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import DataError
from retrieval.records import (
    LANGUAGE_CODE,
    Collection,
    Group,
    Pair,
    PassageRecord,
    QueryRecord,
    collection_from,
    collection_from_groups,
)

LANGUAGES = ("de", "en", "th")


def judged(collection: Collection) -> dict[tuple[str, str], set[str]]:
    """(query id, language) -> texts of its relevant passages, with their languages."""
    found: dict[tuple[str, str], set[str]] = {}
    for query, passage in zip(collection.judged_query, collection.judged_passage, strict=True):
        key = collection.query_ids[query], collection.languages[collection.query_language[query]]
        language = collection.languages[collection.passage_language[passage]]
        found.setdefault(key, set()).add(f"{collection.passage_texts[passage]} [{language}]")
    return found


@st.composite
def evaluations(draw: st.DrawFn) -> tuple[list[QueryRecord], list[PassageRecord]]:
    shuffle = random.Random(draw(st.integers(0, 1000)))
    passages = [
        PassageRecord(f"p{number}", draw(st.sampled_from(LANGUAGES)), f"passage {number}")
        for number in range(draw(st.integers(1, 12)))
    ]
    shuffle.shuffle(passages)
    ids = [passage.id for passage in passages]
    relevant = st.dictionaries(st.sampled_from(ids), st.integers(1, 3), min_size=1, max_size=4)
    queries = [
        QueryRecord(f"q{number}", draw(st.sampled_from(LANGUAGES)), f"query {number}", draw(relevant))
        for number in range(draw(st.integers(1, 8)))
    ]
    return queries, passages


@settings(deadline=None)
@given(evaluations())
def test_rows_are_numbered_and_nothing_is_lost(records: tuple[list[QueryRecord], list[PassageRecord]]) -> None:
    queries, passages = records
    collection = collection_from("test", LANGUAGES, queries, passages)
    # By language in the order of `languages`, within a language in the order given.
    expected = [passage for language in LANGUAGES for passage in passages if passage.language == language]
    assert collection.passage_ids == [passage.id for passage in expected]
    assert collection.passage_texts == [passage.text for passage in expected]
    bounds = collection.language_bounds
    assert bounds[0] == 0 and bounds[-1] == len(passages)
    for number, language in enumerate(LANGUAGES):
        block = collection.passage_ids[bounds[number] : bounds[number + 1]]
        assert block == [passage.id for passage in passages if passage.language == language]
    assert collection.query_ids == [query.id for query in queries]
    triples = list(zip(collection.judged_query, collection.judged_passage, collection.grade, strict=True))
    assert triples == sorted(triples)
    row_of = {id: row for row, id in enumerate(collection.passage_ids)}
    assert {tuple(map(int, triple)) for triple in triples} == {
        (row, row_of[id], grade) for row, query in enumerate(queries) for id, grade in query.relevant.items()
    }
    assert len(triples) == sum(len(query.relevant) for query in queries)
    assert collection.judged_query.dtype == collection.judged_passage.dtype == np.int64


def test_contexts_are_kept_where_there_are_any() -> None:
    query = QueryRecord("q", "en", "?", {"b": 1})
    passages = [PassageRecord("a", "th", "x", "around x"), PassageRecord("b", "en", "y")]
    assert collection_from("test", LANGUAGES, [query], passages).passage_contexts == ["", "around x"]
    assert collection_from("test", LANGUAGES, [query], passages[1:]).passage_contexts is None


PASSAGES = (PassageRecord("a", "en", "x"), PassageRecord("b", "th", "y"))


@pytest.mark.parametrize(
    ("queries", "passages", "problem"),
    [
        ([QueryRecord("q", "en", "?", {"c": 1})], PASSAGES, r"query q \(en\) judges passage c, which is not there"),
        ([QueryRecord("q", "en", "?", {"a": 1})], [*PASSAGES, *PASSAGES], "passage id a stands twice"),
        ([QueryRecord("q", "el", "?", {"a": 1})], PASSAGES, "language el is not among de, en, th"),
        ([QueryRecord("q", "en", "?", {"z": 1})], [PassageRecord("z", "vi", "")], "language vi is not among"),
        ([], PASSAGES, "0 queries, 2 passages and 0 judgements"),
        ([QueryRecord("q", "en", "?", {})], PASSAGES, "1 queries, 2 passages and 0 judgements"),
        ([QueryRecord("q", "en", "?", {})], [], "1 queries, 0 passages and 0 judgements"),
    ],
)
def test_records_that_do_not_fit_are_named(
    queries: Sequence[QueryRecord], passages: Sequence[PassageRecord], problem: str
) -> None:
    with pytest.raises(DataError, match=f"^test: .*{problem}"):
        collection_from("test", LANGUAGES, queries, passages)


def test_a_collection_put_together_by_hand_is_checked() -> None:
    whole = vars(collection_from("test", LANGUAGES, [QueryRecord("q", "en", "?", {"a": 1})], PASSAGES))
    for name, value in (
        ("query_texts", ["?", "?"]),
        ("query_language", np.zeros(3, np.int16)),
        ("passage_ids", ["a"]),
        ("passage_language", np.array([2, 1], np.int16)),
    ):
        with pytest.raises(DataError, match="^test: "):
            Collection(**whole | {name: value})


def group(id: str, passage_id: str = "", **passages: str) -> Group:
    pairs = {language: Pair(f"{id} in {language}?", passage) for language, passage in passages.items()}
    return Group(id, pairs, passage_id)


def test_groups_become_queries_and_distinct_passages() -> None:
    groups = [
        group("1", de="Stadt", en="city"),
        group("2", passage_id="p", de="Fluss", en="river"),
        group("3", passage_id="p", de="Fluss", en="river"),
        group("4", en="city"),
        group("5", th="เมือง"),
    ]
    collection = collection_from_groups("test", iter(groups), LANGUAGES)
    assert list(zip(collection.passage_ids, collection.passage_texts, strict=True)) == [
        ("1@de", "Stadt"),
        ("p@de", "Fluss"),
        ("1@en", "city"),
        ("p@en", "river"),
        ("5@th", "เมือง"),
    ]
    assert collection.query_ids == ["1", "2", "3", "1", "2", "3", "4", "5"]
    assert judged(collection) == {
        ("1", "de"): {"Stadt [de]", "city [en]"},
        ("1", "en"): {"Stadt [de]", "city [en]"},
        **{(id, language): {"Fluss [de]", "river [en]"} for id in "23" for language in ("de", "en")},
        ("4", "en"): {"city [en]"},
        ("5", "th"): {"เมือง [th]"},
    }


def test_a_passage_id_with_several_texts_loses_none_of_them() -> None:
    """Captions of one image, say: each text is a candidate, and all of them answer."""
    groups = [
        group("1", passage_id="image", de="Ein Hund", en="a dog"),
        group("2", passage_id="image", en="a dog that runs"),
        group("3", passage_id="image", en="a dog"),
        group("4", passage_id="image@en", en="a cat"),
        group("5", passage_id="other", en="a dog"),
    ]
    collection = collection_from_groups("test", groups, LANGUAGES)
    assert list(collection.passage_texts) == ["Ein Hund", "a dog", "a dog that runs", "a cat"]
    everything = {"Ein Hund [de]", "a dog [en]", "a dog that runs [en]"}
    assert judged(collection) == {
        ("1", "de"): everything,
        ("1", "en"): everything,
        ("2", "en"): everything,
        ("3", "en"): everything,
        ("4", "en"): {"a cat [en]"},
        ("5", "en"): {"a dog [en]"},
    }


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "p", "q"]),
            st.dictionaries(st.sampled_from(LANGUAGES), st.sampled_from("xyz"), min_size=1),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_every_query_finds_its_own_passage_and_all_that_share_its_id(
    drawn: list[tuple[str, dict[str, str]]],
) -> None:
    groups = [group(f"g{number}", pid, **passages) for number, (pid, passages) in enumerate(drawn)]
    collection = collection_from_groups("test", groups, LANGUAGES)
    found = judged(collection)
    assert found.keys() == {(g.id, language) for g in groups for language in g.pairs}
    for g in groups:
        alike = [other for other in groups if other is g or (g.passage_id and other.passage_id == g.passage_id)]
        expected = {f"{pair.passage} [{language}]" for other in alike for language, pair in other.pairs.items()}
        assert all(found[g.id, language] == expected for language in g.pairs)
    rows = list(zip(collection.passage_texts, collection.passage_language, strict=True))
    assert len(rows) == len(set(rows)), "equal texts in a language are one candidate"


def test_only_the_languages_asked_for_are_searched() -> None:
    groups = [group("1", de="Stadt", en="city"), group("2", th="เมือง")]
    collection = collection_from_groups("test", groups, ("en", "th"))
    assert collection.languages == ("en", "th") and list(collection.passage_texts) == ["city", "เมือง"]
    with pytest.raises(DataError, match="0 queries, 0 passages"):
        collection_from_groups("test", groups, ("vi",))


def test_a_group_that_stands_twice_is_named() -> None:
    with pytest.raises(DataError, match="test: group 1 stands twice"):
        collection_from_groups("test", [group("1", en="city"), group("1", de="Stadt")], LANGUAGES)


def test_language_codes() -> None:
    for code in ("en", "pt-BR", "zh-Hans", "eng_Latn", "zh_Hant_TW", "quz"):
        assert LANGUAGE_CODE.fullmatch(code)
    for code in ("", "e", "english", "en-", "de:at", "en/us", "../en", "e\u0301n"):
        assert not LANGUAGE_CODE.fullmatch(code)
