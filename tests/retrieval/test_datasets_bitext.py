"""What the bitext data sets have in common: groups and judgements of parallel sentences."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import DataError
from retrieval.datasets.bitext import Sentences, collection_of_sentences, groups_of_sentences
from retrieval.datasets.checksums import check_content, content_sha256, in_normal_form, published_digests
from retrieval.evaluate import evaluate_vectors
from retrieval.records import Collection, Pair

SENTENCES = {
    "de": {"1": "Hallo", "2": "Danke", "3": "Bitte"},
    "en": {"1": "Hello", "2": "Thanks", "3": "Please", "4": "Only here"},
    "fr": {"1": "Salut", "2": "Merci"},
}
# In small alphabets texts repeat, within a language and over languages.
languages_of_sentences = st.dictionaries(
    st.sampled_from(["de", "en", "fr"]),
    st.dictionaries(st.sampled_from("123456"), st.sampled_from("abc"), min_size=1),
    min_size=2,
)


def relevant_ids(collection: Collection) -> dict[tuple[str, str], set[str]]:
    """(query id, language) -> ids of its relevant passages."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for query, passage in zip(collection.judged_query, collection.judged_passage, strict=True):
        language = collection.languages[collection.query_language[query]]
        found[collection.query_ids[query], language].add(collection.passage_ids[passage])
    return found


def test_a_group_is_a_sentence_in_its_languages_as_query_and_as_passage() -> None:
    first, second, third = groups_of_sentences("x", SENTENCES)
    assert (first.id, sorted(first.pairs), sorted(third.pairs)) == ("x/1", ["de", "en", "fr"], ["de", "en"])
    assert second.pairs["fr"] == Pair("Merci", "Merci")


def test_relevant_are_the_translations_and_not_the_sentence_itself() -> None:
    collection = collection_of_sentences("x", "x", SENTENCES)
    assert list(collection.language_bounds) == [0, 3, 7, 9]
    assert list(collection.own_passage) == list(range(9))  # type: ignore[arg-type]
    found = relevant_ids(collection)
    assert found["x/1", "de"] == {"x/1@en", "x/1@fr"}
    assert found["x/3", "en"] == {"x/3@de"}
    assert ("x/4", "en") not in found


def test_sentences_with_the_text_of_a_right_one_are_right() -> None:
    repeated = {"de": {"1": "Hallo", "2": "Hallo", "3": "Tag"}, "en": {"1": "Hello", "2": "Hi", "3": "Hi"}}
    found = relevant_ids(collection_of_sentences("x", "x", repeated))
    # German 1 and 2 are one text, so both translations are right; so is whatever has a right one's text.
    assert found["x/1", "de"] == {"x/2@de", "x/1@en", "x/2@en", "x/3@en"}
    assert found["x/3", "en"] == {"x/2@en", "x/2@de", "x/1@de", "x/3@de"}


@given(sentences=languages_of_sentences, own=st.booleans())
def test_judgements_equal_those_found_by_comparing_all_texts(sentences: Sentences, own: bool) -> None:
    expected: dict[tuple[str, str], set[str]] = {}
    for language, of_language in sentences.items():
        for id, text in of_language.items():
            same = {other for other, its_text in of_language.items() if its_text == text}
            right = {
                f"x/{candidate}@{pool}"
                for pool, of_pool in sentences.items()
                for candidate, its_text in of_pool.items()
                if any(of_pool.get(other) == its_text for other in same)
            }
            expected[f"x/{id}", language] = right if own else right - {f"x/{id}@{language}"}
    expected = {query: right for query, right in expected.items() if right}
    if not expected:
        with pytest.raises(DataError, match="an evaluation needs some of each"):
            collection_of_sentences("x", "x", sentences, "left_out")
        return
    collection = collection_of_sentences("x", "x", sentences, "candidate" if own else "left_out")
    assert relevant_ids(collection) == expected
    order = np.lexsort((collection.judged_passage, collection.judged_query))
    assert (order == np.arange(len(order))).all()


def test_equal_vectors_for_translations_are_perfect_in_every_setting() -> None:
    rng = np.random.default_rng(0)
    meaning = {id: rng.normal(size=8) for id in "1234"}
    collection = collection_of_sentences("x", "x", SENTENCES)
    vectors = np.array([meaning[id.partition("/")[2]] for id in collection.query_ids], np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    settings = evaluate_vectors(collection, vectors, vectors, resamples=20).summary["settings"]
    assert settings["cross"]["mAP"]["mean"] == settings["multi"]["mAP"]["mean"] == 1
    assert "mono" not in settings or not settings["mono"]


def test_one_language_has_no_translations() -> None:
    with pytest.raises(DataError, match=r"x-dev: has one language \(de\); translations need two or more"):
        collection_of_sentences("x", "x-dev", {"de": SENTENCES["de"]})


def test_a_digest_depends_on_ids_and_texts_and_not_on_their_form() -> None:
    texts = in_normal_form({"1": "Zu\u0308rich ist hier.", "2": "Ja"})
    assert content_sha256(texts) == content_sha256(in_normal_form({"2": " Ja\r", "1": "Zürich  ist hier."}))
    assert len({content_sha256(t) for t in (texts, {"1": "Ja", "2": texts["1"]}, {"1": texts["1"]})}) == 3


def test_content_of_another_part_is_named() -> None:
    with pytest.raises(
        DataError, match="f.txt: .* SHA-256 .*: holds 2 texts, expected 3: cut short, or another release"
    ):
        check_content("f.txt", "sib_200", "eng_Latn", {"1": "a", "2": "b"}, 3)
    with pytest.raises(DataError, match=r"f.txt: its content has SHA-256 [0-9a-f]{12}…, expected [0-9a-f]{12}"):
        check_content("f.txt", "sib_200", "eng_Latn", {"1": "a"}, 1)
    check_content("f.txt", "sib_200", "no such part", {"1": "a"}, 1)
    with pytest.raises(
        DataError, match="f.txt: holds 1 texts, expected 2: cut short, or another release; fetch sib_200"
    ):
        check_content("f.txt", "sib_200", "no such part", {"1": "a"}, 2)
    assert len(set(published_digests("sib_200").values())) == 206
