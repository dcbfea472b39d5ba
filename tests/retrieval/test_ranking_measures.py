"""Measures against values worked out by hand and against trec_eval, through pytrec_eval and ir_measures."""

import math

import ir_measures
import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.measures.ranking import MEASURES, Rankings, ndcg, precision, rankings_from

TREC_NAMES = {
    "mAP": "map",
    "R@1": "recall_1",
    "R@5": "recall_5",
    "R@10": "recall_10",
    "R@100": "recall_100",
    "P@1": "P_1",
    "P@10": "P_10",
    "S@1": "success_1",
    "S@10": "success_10",
    "MRR": "recip_rank",
    "nDCG@10": "ndcg_cut_10",
}
IR_MEASURES_NAMES = {
    "mAP": "AP",
    "R@1": "R@1",
    "R@5": "R@5",
    "R@10": "R@10",
    "R@100": "R@100",
    "P@1": "P@1",
    "P@10": "P@10",
    "S@1": "Success@1",
    "S@10": "Success@10",
    "MRR": "RR",
    "nDCG@10": "nDCG@10",
}


def one_ranking(ranks: list[int], grades: list[int]) -> Rankings:
    return rankings_from(np.zeros(len(ranks), np.int64), np.array(ranks), np.array(grades))


def test_values_worked_out_by_hand() -> None:
    rankings = one_ranking([6, 1, 3], [1, 1, 1])
    value = {name: measure(rankings)[0] for name, measure in MEASURES.items()}
    assert value["mAP"] == pytest.approx((1 / 1 + 2 / 3 + 3 / 6) / 3)
    assert value["R@1"] == pytest.approx(1 / 3)
    assert value["R@5"] == pytest.approx(2 / 3)
    assert value["R@10"] == value["R@100"] == value["P@1"] == value["S@1"] == value["S@10"] == value["MRR"] == 1.0
    assert value["P@10"] == pytest.approx(0.3)
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    assert value["nDCG@10"] == pytest.approx((1 + 1 / 2 + 1 / math.log2(7)) / ideal)


def test_ndcg_takes_the_plain_grade_as_gain_and_cuts_both_sums() -> None:
    rankings = one_ranking([1, 3, 11], [1, 2, 3])
    found = 1 / 1 + 2 / math.log2(4)
    assert ndcg(rankings, 10)[0] == pytest.approx(found / (3 + 2 / math.log2(3) + 1 / 2))
    assert ndcg(rankings, 2)[0] == pytest.approx(1 / (3 + 2 / math.log2(3)))


def test_relevant_passages_out_of_reach_count_as_missed() -> None:
    rankings = one_ranking([101, 11, 5000], [1, 1, 1])
    value = {name: measure(rankings)[0] for name, measure in MEASURES.items()}
    assert value["R@10"] == value["P@10"] == value["S@10"] == value["nDCG@10"] == 0.0
    assert value["R@100"] == pytest.approx(1 / 3)
    assert value["MRR"] == pytest.approx(1 / 11)
    assert value["mAP"] == pytest.approx((1 / 11 + 2 / 101 + 3 / 5000) / 3)


def test_rankings_do_not_mix() -> None:
    together = rankings_from(np.array([4, 4, 7, 9, 9]), np.array([3, 1, 2, 8, 5]), np.array([1, 2, 1, 3, 1]))
    apart = [one_ranking([3, 1], [1, 2]), one_ranking([2], [1]), one_ranking([8, 5], [3, 1])]
    for measure in MEASURES.values():
        np.testing.assert_array_equal(measure(together), [measure(ranking)[0] for ranking in apart])
    np.testing.assert_array_equal(precision(together, 5), [2 / 5, 1 / 5, 1 / 5])


@st.composite
def judged_pools(draw: st.DrawFn) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """For each of some queries: size of the pool, ranks of its relevant passages, their grades."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pools = []
    for _ in range(draw(st.integers(1, 5))):
        size = draw(st.integers(1, 130))
        number = draw(st.integers(1, min(size, 12)))
        ranks = rng.choice(size, number, replace=False) + 1
        pools.append((size, ranks, rng.integers(1, draw(st.integers(1, 4)) + 1, number)))
    return pools


@settings(deadline=None)
@given(pools=judged_pools())
def test_agreement_with_pytrec_eval_and_ir_measures(pools: list[tuple[int, np.ndarray, np.ndarray]]) -> None:
    qrels, run = {}, {}
    for number, (size, ranks, grades) in enumerate(pools):
        qrels[str(number)] = {f"p{rank}": int(grade) for rank, grade in zip(ranks, grades, strict=True)}
        run[str(number)] = {f"p{rank}": float(size - rank) for rank in range(1, size + 1)}
    rankings = rankings_from(
        np.repeat(np.arange(len(pools)), [len(ranks) for _, ranks, _ in pools]),
        np.concatenate([ranks for _, ranks, _ in pools]),
        np.concatenate([grades for _, _, grades in pools]),
    )
    trec = pytrec_eval.RelevanceEvaluator(
        qrels, {"map", "recall.1,5,10,100", "P.1,10", "success.1,10", "recip_rank", "ndcg_cut.10"}
    ).evaluate(run)
    parsed = {name: ir_measures.parse_measure(theirs) for name, theirs in IR_MEASURES_NAMES.items()}
    theirs = {
        (str(metric.measure), metric.query_id): metric.value
        for metric in ir_measures.iter_calc(list(parsed.values()), qrels, run)
    }
    for name, measure in MEASURES.items():
        ours = measure(rankings)
        np.testing.assert_allclose(ours, [trec[str(n)][TREC_NAMES[name]] for n in range(len(pools))], rtol=0, atol=1e-9)
        np.testing.assert_allclose(
            ours, [theirs[str(parsed[name]), str(n)] for n in range(len(pools))], rtol=0, atol=1e-9
        )
