"""Repeats, shared passages and small coverages against the plainest way to find them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.preparation.arrange import connect, later_duplicates
from retrieval.preparation.coverage import merge_small
from retrieval.preparation.keys import order_key, text_key

COVERAGES = st.dictionaries(
    st.frozensets(st.sampled_from("abcde"), min_size=1).map(lambda codes: tuple(sorted(codes))),
    st.integers(1, 30),
    min_size=1,
    max_size=12,
)


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=40))
def test_later_duplicates_are_those_seen_before(keys: list[int]) -> None:
    expected = [key in keys[:place] for place, key in enumerate(keys)]
    assert later_duplicates(np.array(keys, dtype=np.uint64)).tolist() == expected


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 8)), max_size=30))
def test_groups_that_share_a_key_through_any_chain_are_one(entries: list[tuple[int, int]]) -> None:
    first = list(range(12))
    for _ in range(12):  # as many rounds as the longest chain
        for group, key in entries:
            for other, same in entries:
                if key == same != 0:
                    first[group] = first[other] = min(first[group], first[other])
    group, key = np.array(entries, dtype=np.int64).reshape(-1, 2).T
    assert connect(12, group.astype(np.uint32), key.astype(np.uint64)).tolist() == first


def test_a_small_coverage_joins_its_largest_subset() -> None:
    counts = {("de", "en", "es"): 3, ("de", "en"): 9, ("de", "es"): 4, ("en",): 50, ("tr",): 2}
    assert merge_small(counts, 10) == {
        ("de", "en", "es"): ("de", "en"),
        ("de", "en"): ("de", "en"),  # 9 of its own, 3 given
        ("de", "es"): None,  # no subset of it exists
        ("en",): ("en",),
        ("tr",): None,
    }


def test_a_small_coverage_passes_by_a_subset_that_stays_too_small() -> None:
    # (de, es) is the larger subset, but would lead nowhere.
    assert merge_small({("de", "en", "es"): 3, ("de", "es"): 4, ("en",): 50}, 10)["de", "en", "es"] == ("en",)


def test_small_coverages_add_up_on_the_way() -> None:
    counts = {("a", "b", "c"): 4, ("a", "b"): 4, ("a",): 4}
    assert merge_small(counts, 10) == dict.fromkeys(counts, ("a",))


@settings(deadline=None)
@given(COVERAGES, st.integers(1, 40))
def test_every_coverage_ends_in_a_large_enough_subset_or_nowhere(
    counts: dict[tuple[str, ...], int], min_groups: int
) -> None:
    goes_to = merge_small(counts, min_groups)
    assert goes_to.keys() == counts.keys()
    received: dict[tuple[str, ...], int] = {}
    for coverage, target in goes_to.items():
        if target is not None:
            assert set(target) <= set(coverage)
            assert goes_to[target] == target
            received[target] = received.get(target, 0) + counts[coverage]
        if counts[coverage] >= min_groups:
            assert target == coverage
    assert all(size >= min_groups for size in received.values())
    assert merge_small(dict(reversed(counts.items())), min_groups) == goes_to


@settings(deadline=None)
@given(st.lists(st.text(max_size=3), max_size=3), st.lists(st.text(max_size=3), max_size=3))
def test_keys_tell_sequences_of_texts_apart(one: list[str], other: list[str]) -> None:
    assert (text_key(*one) == text_key(*other)) == (one == other)
    assert 0 < text_key(*one) < 2**64


def test_keys_are_pinned() -> None:
    # BLAKE2b, 8 bytes, of the length as 8 bytes and the text. Another value would reorder everything ever prepared.
    assert text_key("Zürich") == 12611470696354191950
    assert order_key("set/1", 0) != order_key("set/1", 1)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_is_a_shuffle(seed: int) -> None:
    order = np.argsort([order_key(f"set/{number}", seed) for number in range(2000)])
    # Rank correlation of a shuffle has standard deviation 1 / sqrt(n); 5 of them never happen by chance.
    assert abs(np.corrcoef(order, np.arange(2000))[0, 1]) < 5 / np.sqrt(2000)
