"""Bias measures on pooled rankings small enough to follow by eye."""

import math

import numpy as np
import pytest

from retrieval.measures.bias import (
    PooledRanking,
    bias_measures,
    lang_ndcg,
    language_counts,
    language_preference,
    rank_distance,
    same_language_share,
    top_passage,
)
from retrieval.measures.robustness import robustness

EN, DE, TH = 0, 1, 2


def pooled(
    query_languages: list[int], relevant: list[list[tuple[int, int]]], best: list[list[int]] | None = None
) -> PooledRanking:
    """Rankings from each query's relevant passages as (language, pooled rank), sorted by language."""
    flat = [(query, language, rank) for query, pairs in enumerate(relevant) for language, rank in pairs]
    query, language, rank = np.array(flat, np.int64).T
    return PooledRanking(
        query_language=np.array(query_languages, np.int16),
        query=query,
        language=language,
        rank=rank,
        gain=np.ones(len(flat), np.int16),
        best_language=np.array(best or [[EN, EN]] * len(query_languages)),
        languages_in_pool=np.array([True, True, False]),
    )


def test_rank_distance_is_highest_minus_lowest_rank_over_languages() -> None:
    ranking = pooled(
        [EN, DE, TH],
        [
            [(EN, 4), (DE, 1), (TH, 9)],
            [(EN, 7), (EN, 2), (DE, 3), (DE, 50)],  # the best of each language: 2 and 3
            [(TH, 5), (TH, 8)],  # one language only: nothing to compare
        ],
    )
    np.testing.assert_array_equal(rank_distance(ranking), [8, 1, np.nan])


def test_language_preference_looks_at_the_first_of_the_parallel_passages() -> None:
    ranking = pooled(
        [EN, DE, TH, EN],
        [
            [(EN, 4), (DE, 1), (TH, 9)],  # German first for an English query
            [(EN, 70), (DE, 30), (TH, 90)],  # German first for a German query, however deep
            [(EN, 1), (DE, 2)],  # no Thai passage: no preference to tell
            [(EN, 1)],  # no other language: no preference to tell
        ],
    )
    np.testing.assert_array_equal(language_preference(ranking), [0, 1, np.nan, np.nan])


def test_lang_ndcg_halves_the_gain_of_other_languages() -> None:
    ranking = pooled([EN, TH], [[(EN, 4), (DE, 1), (TH, 10)], [(EN, 1)]])
    found = 0.5 / 1 + 1 / math.log2(5) + 0.5 / math.log2(11)
    ideal = 1 + 0.5 / math.log2(3) + 0.5 / math.log2(4)
    np.testing.assert_allclose(lang_ndcg(ranking, 10), [found / ideal, np.nan])
    own_first = pooled([EN], [[(EN, 1), (DE, 2), (TH, 3)]])
    assert lang_ndcg(own_first, 10)[0] == pytest.approx(1.0)


def test_shares_of_languages_among_the_best() -> None:
    ranking = pooled([EN, EN, DE, TH], [[(EN, 1)]] * 4, best=[[EN, EN], [DE, EN], [DE, -1], [EN, DE]])
    np.testing.assert_array_equal(same_language_share(ranking, 10), [1, 0.5, 1, np.nan])  # no Thai passages in the pool
    np.testing.assert_array_equal(language_counts(ranking, 3, 10), [[3, 1, 0], [0, 1, 0], [1, 1, 0]])


def test_top_passage_is_one_of_four_kinds() -> None:
    ranking = pooled(
        [EN, EN, EN, EN],
        [[(EN, 1), (DE, 5)], [(EN, 5), (DE, 1)], [(EN, 2), (DE, 5)], [(EN, 2), (DE, 3)]],
        best=[[EN, DE], [DE, EN], [EN, EN], [TH, EN]],
    )
    kinds = top_passage(ranking)
    np.testing.assert_array_equal(np.stack(list(kinds.values())), np.eye(4))
    assert list(kinds) == [
        "top_relevant_same_language",
        "top_relevant_other_language",
        "top_irrelevant_same_language",
        "top_irrelevant_other_language",
    ]
    assert set(kinds) < set(bias_measures(ranking))


def test_robustness_by_hand() -> None:
    values = [0.9, 0.5, 0.7, 0.5, 0.8, 0.6, 0.9, 0.9, 0.9, 0.9, 0.1]  # eleven pairs: the lowest tenth is two
    spread = robustness([f"q{n}" for n in range(11)], ["p"] * 11, values)
    assert spread["std_over_pairs"] == pytest.approx(np.std(values))
    assert [pair["query_language"] for pair in spread["worst_pairs"]] == ["q10", "q1", "q3", "q5", "q2"]
    assert spread["worst_pairs"][0] == {"query_language": "q10", "pool_language": "p", "value": 0.1}
    assert spread["lowest_decile"] == pytest.approx((0.1 + 0.5) / 2)
