"""Collections in which images ask or are found: who is relevant to whom, and what each setting then says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.errors import ConfigError, DataError
from retrieval.datasets import parse_dataset
from retrieval.datasets.captions import collection_of_captions
from retrieval.evaluate import evaluate_vectors
from retrieval.images import IMAGE, Search
from retrieval.records import Collection, Group, Pair, collection_from_groups

CAPTIONS = {"de": {"cat": ["Katze", "Kater"], "dog": ["Hund"]}, "en": {"cat": ["cat"], "dog": ["dog", "pet"]}}
FILES = {"cat": Path("cat.png"), "dog": Path("dog.png")}


def answers(collection: Collection) -> dict[tuple[str, Any], set[Any]]:
    """(language, text or image) of each query -> texts and images that answer it and count."""
    queries = collection.query_images or [None] * len(collection.query_texts)
    passages = collection.passage_images or [None] * len(collection.passage_texts)
    names = collection.languages
    found: dict[tuple[str, Any], set[Any]] = {
        (names[language], image or text): set()
        for language, text, image in zip(collection.query_language, collection.query_texts, queries, strict=True)
    }
    asking = list(found)
    for query, passage in zip(collection.judged_query, collection.judged_passage, strict=True):
        found[asking[query]].add(passages[passage] or collection.passage_texts[passage])
    return found


def test_captions_and_images_answer_each_other_by_image() -> None:
    def found(search: Search) -> dict[tuple[str, Any], set[Any]]:
        return answers(collection_of_captions("set", "set", CAPTIONS, "left_out", search, FILES))

    cat, dog = {"Katze", "Kater", "cat"}, {"Hund", "dog", "pet"}
    assert found("text_to_image") == {
        **{(language, text): {FILES["cat"]} for language, text in (("de", "Katze"), ("de", "Kater"), ("en", "cat"))},
        **{(language, text): {FILES["dog"]} for language, text in (("de", "Hund"), ("en", "dog"), ("en", "pet"))},
    }
    assert found("image_to_text") == {(IMAGE, FILES["cat"]): cat, (IMAGE, FILES["dog"]): dog}
    everything = found("everything")
    assert everything[IMAGE, FILES["cat"]] == cat  # an image is not its own answer
    assert everything["de", "Katze"] == {"Kater", "cat", FILES["cat"]}
    assert found("captions")["de", "Katze"] == {"Kater", "cat"}


GROUPS = [
    Group("a", {"en": Pair("q1", "one"), "de": Pair("f1", "eins")}, "p", image=b"1"),
    Group("b", {"en": Pair("q2", "one again"), "de": Pair("f2", "eins")}, "p", image=b"1"),
    Group("c", {"en": Pair("q3", "two"), "de": Pair("f3", "zwei")}, image=b"2"),
]


def test_groups_of_one_image_ask_it_once_and_share_its_answers() -> None:
    def found(search: Search) -> dict[tuple[str, Any], set[Any]]:
        return answers(collection_from_groups("set", GROUPS, ("de", "en"), search))

    assert found("text_to_image") == {
        **{("de", f"f{number}"): {b"1" if number < 3 else b"2"} for number in (1, 2, 3)},
        **{("en", f"q{number}"): {b"1" if number < 3 else b"2"} for number in (1, 2, 3)},
    }
    assert found("image_to_text") == {(IMAGE, b"1"): {"one", "one again", "eins"}, (IMAGE, b"2"): {"two", "zwei"}}
    assert found("everything")["en", "q3"] == {"two", "zwei", b"2"}
    assert found("everything")[IMAGE, b"2"] == {"two", "zwei"}
    without = [Group("d", GROUPS[2].pairs)]
    assert collection_from_groups("set", without, ("de", "en")).query_images is None
    with pytest.raises(DataError, match="group d has no image"):
        collection_from_groups("set", without, ("de", "en"), "image_to_text")


def test_an_image_is_a_pool_of_its_own_and_never_a_monolingual_one() -> None:
    """Vectors by hand: captions point at their images, but for one that points at another's."""
    east, north = np.eye(2, dtype=np.float32)
    collection = collection_of_captions("set", "set", CAPTIONS, None, "text_to_image", FILES)
    queries = np.stack([north if text in ("Hund", "dog", "pet", "Kater") else east for text in collection.query_texts])
    passages = np.stack([east if image == FILES["cat"] else north for image in collection.passage_images])
    summary = evaluate_vectors(collection, queries, passages, resamples=2).summary
    assert set(summary["settings"]) == {"cross", "multi"}
    by_pair = {(pair["setting"], pair["query_language"], pair["pool_language"]): pair for pair in summary["pairs"]}
    assert by_pair.keys() == {(s, q, p) for q in ("de", "en") for s, p in (("cross", IMAGE), ("multi", "*"))}
    # Of three German captions one finds the wrong image first: R@1 2/3, mAP (1 + 1 + 1/2) / 3.
    assert by_pair["cross", "de", IMAGE]["R@1"] == pytest.approx(2 / 3)
    assert by_pair["cross", "de", IMAGE]["mAP"] == pytest.approx(2.5 / 3)
    assert by_pair["cross", "en", IMAGE]["mAP"] == 1

    collection = collection_of_captions("set", "set", CAPTIONS, None, "image_to_text", FILES)
    pairs = evaluate_vectors(collection, np.stack([east, north]), np.stack([east] * 6), resamples=2).summary["pairs"]
    assert {(pair["setting"], pair["query_language"], pair["pool_language"]) for pair in pairs} == {
        ("cross", IMAGE, "de"),
        ("cross", IMAGE, "en"),
        ("multi", IMAGE, "*"),
    }


def test_searching_images_needs_their_folder() -> None:
    with pytest.raises(ConfigError, match="search: text_to_image needs the image files; give their folder as images"):
        parse_dataset({"dataset": "xflickrco", "search": "text_to_image"})
