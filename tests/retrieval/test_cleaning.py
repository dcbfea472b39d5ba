"""Texts in normal form, and the account of what was left out."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.cleaning import MAX_EXAMPLES, Dropped, clean_group, is_empty, normalise
from retrieval.records import Group, Pair

ANY_TEXT = st.text(st.characters(), max_size=30) | st.text(
    st.sampled_from(list(" \t\n\x00\x07\x1f\x7f\x85\xa0\u0301\u200b\u3000\ud800\udc00aé\u0065\uac00\u1100")),
    max_size=12,
)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("  a\t\nb\u00a0\u3000c ", "a b c"),
        ("Zu\u0308rich", "Zürich"),
        ("bell\x07 and null\x00", "bell and null"),
        ("a \x00 b", "a b"),
        ("e\x00\u0301", "é"),  # what stood between the letter and its accent goes first
        ("half \ud83d emoji", "half emoji"),
        ("\U0001f600", "\U0001f600"),
        ("क्\u200dष", "क्\u200dष"),  # a joiner spells this, it stays
    ],
)
def test_normal_form(text: str, normal: str) -> None:
    assert normalise(text) == normal


@settings(deadline=None)
@given(ANY_TEXT)
def test_normal_form_is_stable_encodable_and_composed(text: str) -> None:
    normal = normalise(text)
    assert normalise(normal) == normal
    assert normal.encode().decode() == normal
    assert unicodedata.is_normalized("NFC", normal)
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in normal)
    assert normal == " ".join(normal.split())


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=30))
def test_texts_that_differ_only_in_form_become_one(text: str) -> None:
    assert normalise(unicodedata.normalize("NFD", text)) == normalise(f"\n {text}\t")


def test_empty_means_nothing_to_read() -> None:
    assert all(map(is_empty, ["", " \n", "\u200b", "\ufeff \u200e"]))
    assert not any(map(is_empty, ["a", "\u200ba", "。"]))


def test_a_group_keeps_what_can_be_read_and_the_account_tells_the_rest() -> None:
    dropped = Dropped()
    group = Group(
        id="set/1",
        passage_id="set/p",
        pairs={
            "en": Pair("q\x07", " a  passage", ("wrong ", "wrong", " a passage", "\u200b", "other")),
            "de": Pair(" ", "ein Absatz"),
            "fr": Pair("q", "\n"),
            "tr": Pair("ignored", "ignored"),
        },
    )
    cleaned = clean_group(group, ["en", "de", "fr"], dropped)
    assert cleaned == Group("set/1", {"en": Pair("q", "a passage", ("wrong", "other"))}, "set/p")
    assert dropped.counts == {
        "characters_control_or_surrogate": 1,
        "negatives_repeated": 1,
        "negatives_equal_to_passage": 1,
        "negatives_empty": 1,
        "pairs_empty_query": 1,
        "pairs_empty_passage": 1,
    }
    assert dropped.examples["pairs_empty_query"] == ["set/1 (de): ein Absatz"]
    assert dropped.examples["characters_control_or_surrogate"] == ["set/1 (en): q\N{REPLACEMENT CHARACTER}"]


def test_a_group_without_anything_left_is_counted_but_not_one_in_other_languages() -> None:
    dropped = Dropped()
    assert clean_group(Group("set/1", {"en": Pair("", "p")}), None, dropped) is None
    assert clean_group(Group("set/2", {}), None, dropped) is None
    assert clean_group(Group("set/3", {"en": Pair("q", "p")}), ["de"], dropped) is None
    assert dropped.examples["groups_empty"] == ["set/1", "set/2"]


def test_examples_are_few_and_counts_are_all() -> None:
    dropped = Dropped()
    for number in range(100):
        dropped.add("reason", str(number), count=2)
    assert dropped.counts["reason"] == 200
    assert dropped.examples["reason"] == [str(number) for number in range(MAX_EXAMPLES)]
    assert dropped.account() == "reason: 200"
