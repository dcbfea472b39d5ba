"""PEER worked by hand, against scipy's Kruskal-Wallis test on sorted rankings, and at its edges."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from retrieval.best import places_by_language
from retrieval.evaluate import evaluate_vectors
from retrieval.measures.peer import kruskal_wallis, peer_irrelevant, peer_relevant
from retrieval.records import PassageRecord, QueryRecord, collection_from

EN, DE, TH = 0, 1, 2


def of_relevant(passages: list[tuple[int, int]], depth: int = 100, grades: list[int] | None = None) -> float:
    """PEER of one query's relevant passages, given as (language, rank)."""
    language, rank = np.array(passages).T
    grade = np.array(grades or [1] * len(passages))
    return float(peer_relevant(np.zeros(len(passages), np.int64), language, rank, grade, depth)[0])


def of_irrelevant(best: list[int], relevant_ranks: list[int], languages: int = 2) -> float:
    """PEER of the irrelevant passages of one query, given the languages of its best passages."""
    rank = np.array(relevant_ranks, np.int64)
    return float(peer_irrelevant(np.zeros(len(rank), np.int64), rank, np.array([best]), np.ones(languages, bool))[0])


def test_two_languages_by_hand() -> None:
    """Places 1, 2 against 3, 4: H = 12 / (4 * 5) * (3^2 / 2 + 7^2 / 2) - 3 * 5 = 2.4, one degree of freedom."""
    p = math.erfc(math.sqrt(2.4 / 2))
    assert of_relevant([(EN, 10), (EN, 20), (DE, 30), (DE, 90)]) == pytest.approx(p)  # only their order counts
    assert of_irrelevant([EN, DE, EN, DE, DE], relevant_ranks=[2]) == pytest.approx(p)
    assert of_irrelevant([EN, EN, DE, DE, -1], relevant_ranks=[7]) == pytest.approx(p)
    # Alike: places 1, 4 against 2, 3 have equal means, so H = 0.
    assert of_relevant([(EN, 1), (EN, 4), (DE, 2), (DE, 3)]) == 1.0


def test_relevant_passages_below_the_depth_are_tied_behind_the_others() -> None:
    """Found at 2 and 3, one of each language; two German ones below 10: places 1, 2, 3.5, 3.5.

    Mean 2.5, sum of squares about it 2.25 + 0.25 + 1 + 1 = 4.5; English 1, German (2 + 3.5 + 3.5) / 3 = 3, so between
    1 * 1.5^2 + 3 * 0.5^2 = 3 and H = 3 * 3 / 4.5 = 2.
    """
    passages = [(EN, 2), (DE, 3), (DE, 500), (DE, 11)]
    assert of_relevant(passages, depth=10) == pytest.approx(math.erfc(math.sqrt(2 / 2)))
    assert of_relevant(passages, depth=1) == 1.0  # nothing found, all tied: nothing tells the languages apart


def test_grades_are_tested_apart_and_averaged() -> None:
    apart = [(EN, 1), (EN, 2), (DE, 3), (DE, 4)]
    alike = [(EN, 5), (EN, 8), (DE, 6), (DE, 7)]
    both = of_relevant(apart + alike, grades=[1] * 4 + [3] * 4)
    assert both == pytest.approx((of_relevant(apart) + 1.0) / 2)
    # A grade that says nothing does not count.
    assert of_relevant([*apart, (TH, 9)], grades=[1, 1, 1, 1, 2]) == pytest.approx(of_relevant(apart))


def test_where_every_ranking_has_the_same_value_there_is_none() -> None:
    assert math.isnan(of_relevant([(EN, 1), (DE, 2), (TH, 50)]))  # one parallel passage per language
    assert math.isnan(of_relevant([(EN, 1), (EN, 2)]))  # one language
    assert math.isnan(of_irrelevant([EN, EN, EN], [1], languages=1))
    assert of_irrelevant([EN, EN, EN, EN], [1]) == 1.0  # the published definition for a top K in one language


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), groups=st.integers(2, 5), size=st.integers(2, 40), tied=st.booleans())
def test_p_values_are_scipys(seed: int, groups: int, size: int, tied: bool) -> None:
    rng = np.random.default_rng(seed)
    value = rng.integers(0, 6, size) if tied else rng.permutation(size)
    group = rng.integers(0, groups, size)
    samples = [value[group == number] for number in range(groups)]
    rank = stats.rankdata(value)
    count = np.bincount(group, minlength=groups)
    spread = np.sum(rank**2) - size * ((size + 1) / 2) ** 2
    ours = kruskal_wallis(count[None], np.bincount(group, rank, minlength=groups)[None], np.array([spread]))[0]
    several = [sample for sample in samples if len(sample)]
    theirs = 1.0 if len(several) < 2 or np.ptp(value) == 0 else stats.kruskal(*several).pvalue
    assert ours == pytest.approx(theirs, rel=1e-9)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), depth=st.sampled_from([3, 12, 200]))
def test_both_levels_are_scipys_test_of_the_sorted_ranking(seed: int, depth: int) -> None:
    rng = np.random.default_rng(seed)
    num_passages, num_languages = 60, 3
    relevant = np.sort(rng.choice(num_passages, int(rng.integers(1, 25)), replace=False))
    language = rng.integers(0, num_languages, num_passages)  # in order of rank
    rank, is_relevant = relevant + 1, np.isin(np.arange(num_passages), relevant)

    order = np.argsort(language[relevant], kind="stable")
    ours = of_relevant(list(zip(language[relevant][order], rank[order], strict=True)), depth)
    tied = np.minimum(rank, depth + 1)
    samples = [tied[language[relevant] == number] for number in range(num_languages)]
    samples = [sample for sample in samples if len(sample)]
    if len(samples) < 2 or max(map(len, samples)) < 2:
        assert math.isnan(ours)
    else:
        assert ours == pytest.approx(1.0 if np.ptp(tied) == 0 else stats.kruskal(*samples).pvalue, rel=1e-9)

    shown = np.flatnonzero(~is_relevant[:depth])
    samples = [shown[language[:depth][shown] == number] for number in range(num_languages)]
    samples = [sample for sample in samples if len(sample)]
    expected = stats.kruskal(*samples).pvalue if len(samples) > 1 else 1.0
    assert of_irrelevant(language[:depth].tolist(), rank.tolist(), num_languages) == pytest.approx(expected, rel=1e-9)


def test_places_by_language_leave_out_what_is_not_there() -> None:
    count, places = places_by_language(np.array([[1, -1, 0, 1], [-1, -1, -1, -1]]), 3)
    np.testing.assert_array_equal(count, [[1, 2, 0], [0, 0, 0]])
    np.testing.assert_array_equal(places, [[2, 4, 0], [0, 0, 0]])


def test_an_evaluation_reports_it_with_an_interval() -> None:
    """English first for every query: at both levels the languages stand apart, by 5 against 5 and 15 against 15."""
    passages = [PassageRecord(f"{language}/{n}", language, "text") for language in ("de", "en") for n in range(20)]
    relevant = {f"{language}/{n}": 1 for language in ("de", "en") for n in range(5)}
    queries = [QueryRecord(f"q{n}", language, "text", relevant) for language in ("de", "en") for n in range(3)]
    collection = collection_from("apart", ("de", "en"), queries, passages)
    rng = np.random.default_rng(0)
    vectors = np.stack([np.r_[np.zeros(20), np.ones(20)] * 9, rng.random(40)], axis=1)
    bias = evaluate_vectors(collection, np.ones((6, 2)), vectors).summary["bias"]
    expected = stats.kruskal(np.arange(5), np.arange(5, 10)).pvalue
    assert bias["peer_relevant@1000"] == pytest.approx({"mean": expected, "low": expected, "high": expected})
    expected = stats.kruskal(np.arange(15), np.arange(15, 30)).pvalue
    assert bias["peer_irrelevant@1000"] == pytest.approx({"mean": expected, "low": expected, "high": expected})
