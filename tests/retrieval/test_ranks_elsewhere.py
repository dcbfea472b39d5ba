"""Ranks counted by torch, and ranks out of a search, against those counted over all scores."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import ConfigError
from retrieval import device_tiles as device_module
from retrieval.best import best_rows
from retrieval.device_tiles import best_rows_on, count_ahead_on, ranking_device
from retrieval.evaluate import evaluate_search_to, evaluate_vectors, read_evaluation
from retrieval.found_tiles import NOT_FOUND, Search, found_tiles
from retrieval.index.partition import shard_segments
from retrieval.index.shard import FlatShard
from retrieval.index.vector_files import write_vector_files
from retrieval.measures.ranking import rankings_from, reciprocal_rank, reciprocal_rank_within
from retrieval.ranks import count_ahead
from retrieval.records import Collection, PassageRecord, QueryRecord, collection_from

LANGUAGES = ("de", "en", "th")
WHOLE = {"mAP", "MRR"}
WHOLE_BIAS = {"rank_distance", "language_preference", "peer_relevant@1000", "peer_irrelevant@1000"}


def case(seed: int, passages_each: int = 40) -> tuple[Collection, np.ndarray, np.ndarray]:
    """Queries with no, one or many relevant passages, some of which are passages themselves; whole numbers in the
    vectors, so that scores are exact and many are equal."""
    rng = np.random.default_rng(seed)
    passages = [
        PassageRecord(f"{language}/{n}", language, "text") for language in LANGUAGES for n in range(passages_each)
    ]
    ids = [passage.id for passage in passages]
    queries = []
    for language in LANGUAGES:
        for number in range(7):
            own = f"{language}/{number}" if number % 3 == 0 else ""
            relevant = [one for one in rng.choice(ids, rng.integers(0, 12), replace=False) if one != own]
            grades = {str(one): int(rng.integers(1, 4)) for one in relevant}
            queries.append(QueryRecord(f"q{number}", language, "text", grades, own=own))
    queries.append(QueryRecord("last", "de", "text", {ids[-1]: 2}))
    collection = collection_from("random", LANGUAGES, queries, passages)
    return collection, rng.integers(-2, 3, (len(queries), 4)), rng.integers(-2, 3, (len(passages), 4))


def exact_search(folder: Path, vectors: np.ndarray, each: int) -> Search:
    files = write_vector_files(folder, LANGUAGES, [each] * 3, [vectors.astype(np.float32)], vectors.shape[1])
    shard = FlatShard(files, shard_segments(files.bounds, 0, 1))
    return lambda queries, k, languages: shard.search(queries, k, None if languages is None else frozenset(languages))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), scores_at_once=st.sampled_from([1, 100, 1 << 25]), tile=st.sampled_from([1, 4000])
)
def test_torch_counts_what_the_processors_count(seed: int, scores_at_once: int, tile: int) -> None:
    given_case = case(seed)
    expected = evaluate_vectors(*given_case, resamples=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device_module, "SCORES_AT_ONCE", scores_at_once)
        found = evaluate_vectors(*given_case, resamples=5, device="cpu", tile_bytes=tile)
    assert found.per_query.equals(expected.per_query)
    assert found.summary == expected.summary


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_counts_and_best_rows_of_any_scores(data: st.DataObject) -> None:
    """Signed zeros, infinities, denormals and ties, against the counting pass and the selection in numba."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    queries, bounds = (
        data.draw(st.integers(1, 6)),
        np.cumsum([0, *data.draw(st.lists(st.integers(0, 30), min_size=1, max_size=4))]),
    )
    if not bounds[-1]:
        return
    values = np.float32([0.0, -0.0, 1.5, -1.5, 1e-42, -1e-42, 3e38, -3e38, 0.5])
    score_QP = rng.choice(values, (queries, bounds[-1]))
    starts = np.cumsum([0, *rng.integers(0, bounds[-1] + 1, queries)])
    rows = [np.sort(rng.choice(bounds[-1], number, replace=False)) for number in np.diff(starts)]
    for score_P, judged in zip(score_QP, rows, strict=True):  # what is left out of a ranking is never judged
        others = np.setdiff1d(np.arange(bounds[-1]), judged)
        score_P[others[: rng.integers(0, 2)]] = -np.inf
    row_J = np.concatenate(rows).astype(np.int64)
    language_J = np.searchsorted(bounds, row_J, side="right") - 1
    scores = torch.tensor(score_QP)
    own_J, all_J = count_ahead(score_QP, starts, row_J, bounds[language_J], bounds[language_J + 1])
    found_own, found_all = count_ahead_on(scores, starts, row_J, language_J, bounds)
    np.testing.assert_array_equal(found_all, all_J)
    np.testing.assert_array_equal(found_own, own_J)
    keep = data.draw(st.integers(1, int(bounds[-1])))
    np.testing.assert_array_equal(best_rows_on(scores, keep), best_rows(score_QP, keep))


def test_real_vectors_rank_alike_but_for_rounding() -> None:
    collection, queries, passages = case(0, passages_each=300)
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((len(queries), 32)), rng.standard_normal((len(passages), 32))
    vectors[1][7] = vectors[1][500]  # a repeated passage: its scores are equal wherever it stands
    expected = evaluate_vectors(collection, *vectors, resamples=2).per_query
    found = evaluate_vectors(collection, *vectors, resamples=2, device="cpu").per_query
    for name in ("mAP", "R@10", "nDCG@10"):
        np.testing.assert_allclose(found[name].to_numpy(), expected[name].to_numpy(), atol=0.02)
    assert np.mean(found["mAP"].to_numpy() == expected["mAP"].to_numpy()) > 0.9


def test_a_gpu_is_taken_where_there_is_one() -> None:
    passages = np.zeros((3, 4), np.float32)
    assert ranking_device("cpu", passages) is None
    if torch.cuda.is_available():
        assert ranking_device("auto", passages) == "cuda"
    else:
        assert ranking_device("auto", passages) is None
        with pytest.raises(ConfigError, match="evaluation.device: cuda is asked for and torch finds no GPU"):
            ranking_device("cuda", passages)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("seed", range(5))
def test_a_gpu_counts_what_the_processors_count(seed: int) -> None:
    given_case = case(seed)
    expected = evaluate_vectors(*given_case, resamples=5)
    assert evaluate_vectors(*given_case, resamples=5, device="cuda").per_query.equals(expected.per_query)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("depth", [100, 1000])
def test_a_search_gives_what_all_scores_give(tmp_path: Path, seed: int, depth: int) -> None:
    """Every value that both compute is the same, bit for bit; what only whole rankings tell is not there."""
    collection, queries, passages = case(seed, passages_each=150)
    expected = evaluate_vectors(collection, queries, passages, resamples=20)
    search = exact_search(tmp_path / "vectors", passages, 150)
    summary = evaluate_search_to(tmp_path, collection, queries, search, depth, resamples=20)
    found = read_evaluation(tmp_path)
    missing = set(expected.per_query.column_names) - set(found.per_query.column_names)
    assert missing == WHOLE and set(found.per_query.column_names) - set(expected.per_query.column_names) == {
        f"MRR@{depth}"
    }
    for name in expected.per_query.column_names:
        if name not in missing:
            assert found.per_query[name].equals(expected.per_query[name]), name
    bias_missing = {name for name in WHOLE_BIAS if depth < 1000 or not name.startswith("peer")}
    assert set(expected.per_query_bias.column_names) - set(found.per_query_bias.column_names) == bias_missing
    for name in found.per_query_bias.column_names:
        assert found.per_query_bias[name].equals(expected.per_query_bias[name]) or np.array_equal(
            found.per_query_bias[name].to_numpy(), expected.per_query_bias[name].to_numpy(), equal_nan=True
        ), name
    assert summary["depth"] == depth and summary["language_share@10"] == expected.summary["language_share@10"]
    for setting, measures in summary["settings"].items():
        for name in measures.keys() - {f"MRR@{depth}"}:
            assert measures[name] == expected.summary["settings"][setting][name]


def test_reciprocal_ranks_are_cut_where_they_say() -> None:
    rankings = rankings_from(np.array([0, 0, 1, 2]), np.array([4, 2, 101, NOT_FOUND]), np.array([1, 1, 1, 1]))
    np.testing.assert_array_equal(reciprocal_rank_within(rankings, 100), [0.5, 0, 0])
    np.testing.assert_array_equal(reciprocal_rank_within(rankings, 101), [0.5, 1 / 101, 0])
    np.testing.assert_array_equal(reciprocal_rank(rankings), [0.5, 1 / 101, 1 / NOT_FOUND])


def test_tiles_and_the_passage_of_a_query_itself_by_hand() -> None:
    """Two queries that are passages 0 and 3; a search that knows one ranking, whatever it is asked."""
    passages = [PassageRecord(f"p{n}", "de", "text") for n in range(4)]
    queries = [
        QueryRecord("a", "de", "text", {"p1": 1, "p2": 1}, own="p0"),
        QueryRecord("b", "de", "text", {"p0": 1}, own="p3"),
    ]
    collection = collection_from("hand", ("de",), queries, passages)
    asked = []

    def search(vectors: np.ndarray, k: int, languages: object) -> tuple[np.ndarray, np.ndarray]:
        asked.append((len(vectors), k, languages))
        return np.zeros((len(vectors), k)), np.tile([2, 0, 1], (len(vectors), 1))

    (first, second) = found_tiles(collection, np.zeros((2, 1)), search, depth=2, tile_queries=1)
    assert asked == [(1, 3, None), (1, 3, [0])] * 2
    assert first.pool_rank.tolist() == first.own_rank.tolist() == [2, 1]  # 2, then 1: 0 is the query itself
    assert second.pool_rank.tolist() == [2] and second.best_row.tolist() == [[2, 0]]


def test_less_depth_than_the_measures_need_is_refused(tmp_path: Path) -> None:
    collection, queries, passages = case(0)
    search = exact_search(tmp_path / "vectors", passages, 40)
    with pytest.raises(ConfigError, match="evaluation.depth: 99 is less than the 100 ranks that R@100 needs"):
        evaluate_search_to(tmp_path, collection, queries, search, 99)
