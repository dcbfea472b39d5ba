"""Whole evaluations against a slow one that sorts every pool, and what surrounds them: files, errors, tiles."""

import json
from collections import defaultdict
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import DataError, WorkError
from retrieval.evaluate import (
    Evaluation,
    evaluate_scores,
    evaluate_scores_to,
    evaluate_vectors,
    evaluate_vectors_to,
    read_evaluation,
)
from retrieval.records import Collection, PassageRecord, QueryRecord, collection_from

ALL_LANGUAGES = ("de", "en", "th", "zh")
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


class Searched:
    """A random collection with vectors whose products are exact in any order, and its rankings by sorting."""

    def __init__(self, seed: int, num_languages: int, max_passages: int, max_relevant: int) -> None:
        rng = np.random.default_rng(seed)
        languages = ALL_LANGUAGES[:num_languages]
        passages = [
            PassageRecord(f"{language}/{number}", language, "text")
            for language in languages
            for number in range(rng.integers(1, max_passages + 1))
        ]
        ids = [passage.id for passage in passages]
        queries = []
        for language in languages[: rng.integers(1, num_languages + 1)]:  # some languages are only searched
            for number in range(rng.integers(1, 5)):
                judged = rng.choice(ids, min(len(ids), rng.integers(0, max_relevant + 1)), replace=False)
                relevant = {str(passage): int(rng.integers(1, 4)) for passage in judged}
                queries.append(QueryRecord(f"q{number}", language, "text", relevant))
        queries.append(QueryRecord("last", languages[0], "text", {ids[-1]: 1}))  # at least one judgement
        self.collection = collection_from("random", languages, queries, passages)
        dimensions = int(rng.integers(1, 5))
        self.query_vectors = rng.integers(-2, 3, (len(queries), dimensions)).astype(np.float32)
        self.passage_vectors = rng.integers(-2, 3, (len(passages), dimensions)).astype(np.float32)
        self.scores = self.query_vectors @ self.passage_vectors.T

    def ranking(self, query: int, pool: str) -> list[int]:
        """Passage rows of a pool, best first, equal scores by row."""
        collection = self.collection
        rows = [
            row
            for row, language in enumerate(collection.passage_language)
            if pool in ("*", collection.languages[language])
        ]
        return sorted(rows, key=lambda row: (-self.scores[query, row], row))

    def relevant(self, query: int) -> dict[int, int]:
        mine = self.collection.judged_query == query
        return dict(
            zip(self.collection.judged_passage[mine].tolist(), self.collection.grade[mine].tolist(), strict=True)
        )

    def expected(self) -> dict[tuple[str, str, str, str], list[dict[str, float]]]:
        """(setting, query language, pool, query id) -> values of each such query, by ir_measures."""
        collection = self.collection
        expected = defaultdict(list)
        measures = {name: ir_measures.parse_measure(theirs) for name, theirs in IR_MEASURES_NAMES.items()}
        for query, query_id in enumerate(collection.query_ids):
            language = collection.languages[collection.query_language[query]]
            for pool in (*collection.languages, "*"):
                ranking, relevant = self.ranking(query, pool), self.relevant(query)
                qrels = {"q": {str(row): relevant[row] for row in ranking if row in relevant}}
                if not qrels["q"]:
                    continue
                run = {"q": {str(row): float(len(ranking) - place) for place, row in enumerate(ranking)}}
                values = ir_measures.calc_aggregate(list(measures.values()), qrels, run)
                setting = "multi" if pool == "*" else "mono" if pool == language else "cross"
                expected[setting, language, pool, query_id].append(
                    {name: values[measure] for name, measure in measures.items()}
                )
        return dict(expected)


searched = st.builds(
    Searched,
    seed=st.integers(0, 2**32 - 1),
    num_languages=st.integers(1, 4),
    max_passages=st.sampled_from([1, 4, 30]),
    max_relevant=st.sampled_from([1, 4, 100]),
)


@settings(deadline=None, max_examples=60)
@given(case=searched)
def test_every_value_agrees_with_ir_measures_on_the_sorted_pools(case: Searched) -> None:
    evaluation = evaluate_vectors(case.collection, case.query_vectors, case.passage_vectors, resamples=20)
    found = defaultdict(list)
    for row in evaluation.per_query.to_pylist():
        found[row["setting"], row["query_language"], row["pool_language"], row["query_id"]].append(row)
    expected = case.expected()
    assert found.keys() == expected.keys()
    for key, rows in found.items():
        assert len(rows) == len(expected[key])
        for row, values in zip(rows, expected[key], strict=True):
            assert {name: row[name] for name in values} == pytest.approx(values, rel=0, abs=1e-9)


@settings(deadline=None, max_examples=40)
@given(case=searched)
def test_bias_agrees_with_the_sorted_pool(case: Searched) -> None:
    evaluation = evaluate_vectors(case.collection, case.query_vectors, case.passage_vectors, resamples=20)
    language_of = case.collection.passage_language
    rows = iter(evaluation.per_query_bias.to_pylist())
    for query, own in enumerate(case.collection.query_language):
        relevant = case.relevant(query)
        if not relevant:
            continue
        row, ranking = next(rows), case.ranking(query, "*")
        best_rank: dict[int, int] = {}
        for place, passage in enumerate(ranking):
            if passage in relevant:
                best_rank.setdefault(int(language_of[passage]), place + 1)
        several = len(best_rank) > 1
        distance = max(best_rank.values()) - min(best_rank.values()) if several else None
        assert row["rank_distance"] == pytest.approx(np.nan if distance is None else distance, nan_ok=True)
        first = min(best_rank, key=best_rank.__getitem__) == own if several and own in best_rank else np.nan
        assert row["language_preference"] == pytest.approx(float(first), nan_ok=True)
        assert row["same_language_share@10"] == pytest.approx(np.mean(language_of[ranking[:10]] == own))
        kind = ("relevant" if ranking[0] in relevant else "irrelevant") + (
            "_same" if language_of[ranking[0]] == own else "_other"
        )
        assert row[f"top_{kind}_language"] == 1.0
    assert next(rows, None) is None


@settings(deadline=None, max_examples=40)
@given(case=searched, bytes_per_tile=st.sampled_from([1, 300, 1000]))
def test_tiles_do_not_show(case: Searched, bytes_per_tile: int) -> None:
    whole = evaluate_vectors(case.collection, case.query_vectors, case.passage_vectors, resamples=20)
    tiled = evaluate_vectors(
        case.collection, case.query_vectors, case.passage_vectors, resamples=20, tile_bytes=bytes_per_tile
    )
    assert tiled.per_query.equals(whole.per_query)
    assert json.dumps(tiled.summary) == json.dumps(whole.summary)  # as text, for NaN would not equal NaN
    assert str(tiled.per_query_bias.to_pydict()) == str(whole.per_query_bias.to_pydict())


@settings(deadline=None, max_examples=30)
@given(case=searched)
def test_summary_is_the_macro_average_of_the_records(case: Searched) -> None:
    evaluation = evaluate_vectors(case.collection, case.query_vectors, case.passage_vectors, resamples=50)
    by_pair = defaultdict(list)
    for row in evaluation.per_query.to_pylist():
        by_pair[row["setting"], row["query_language"], row["pool_language"]].append(row)
    assert [
        (pair["setting"], pair["query_language"], pair["pool_language"]) for pair in evaluation.summary["pairs"]
    ] == sorted(by_pair, key=lambda key: (["mono", "cross", "multi"].index(key[0]), key[1:]))
    for pair in evaluation.summary["pairs"]:
        rows = by_pair[pair["setting"], pair["query_language"], pair["pool_language"]]
        assert pair["num_queries"] == len(rows)
        assert pair["mAP"] == pytest.approx(np.mean([row["mAP"] for row in rows]))
    for setting, figures in evaluation.summary["settings"].items():
        pairs = [pair for pair in evaluation.summary["pairs"] if pair["setting"] == setting]
        for name, figure in figures.items():
            assert figure["mean"] == pytest.approx(np.mean([pair[name] for pair in pairs]))
            assert 0 <= figure["low"] <= figure["high"] <= 1 + 1e-12
    spread = evaluation.summary["robustness"]["mAP"]
    over = [pair["mAP"] for pair in evaluation.summary["pairs"] if pair["setting"] == spread["over"]]
    assert spread["std_over_pairs"] == pytest.approx(np.std(over))
    assert spread["worst_pairs"][0]["value"] == pytest.approx(min(over))


def parallel_collection(languages: tuple[str, ...], number: int) -> Collection:
    """One passage per query and language, each relevant to the query of that number in every language."""
    passages = [PassageRecord(f"{language}/{n}", language, "text") for language in languages for n in range(number)]
    queries = [
        QueryRecord(f"q{n}", language, "text", {f"{other}/{n}": 1 for other in languages})
        for language in languages
        for n in range(number)
    ]
    return collection_from("parallel", languages, queries, passages)


def perfect() -> tuple[Collection, Evaluation]:
    collection = parallel_collection(("de", "en", "th"), 12)
    vectors = np.tile(np.eye(12), (3, 1))
    return collection, evaluate_vectors(collection, vectors, vectors)


def test_a_perfect_encoder() -> None:
    """Parallel passages tie and stand by row: ranks 1 to 3 of the pool, German (the first block) always in front."""
    _, evaluation = perfect()
    summary = evaluation.summary
    for setting in ("mono", "cross", "multi"):
        assert summary["settings"][setting]["mAP"] == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert summary["settings"]["multi"]["R@1"]["mean"] == pytest.approx(1 / 3)
    assert summary["bias"]["rank_distance"] == {"mean": 2.0, "low": 2.0, "high": 2.0}
    assert summary["bias"]["language_preference"]["mean"] == pytest.approx(1 / 3)
    assert len([pair for pair in summary["pairs"] if pair["setting"] == "cross"]) == 6
    # The 3 relevant passages, then, at score 0, the German ones that stand first.
    assert summary["language_share@10"]["by_query_language"]["en"] == pytest.approx({"de": 0.8, "en": 0.1, "th": 0.1})
    assert summary["language_share@10"]["in_pool"] == pytest.approx({"de": 1 / 3, "en": 1 / 3, "th": 1 / 3})
    assert summary["robustness"]["mAP"]["over"] == "cross"
    assert summary["robustness"]["mAP"]["std_over_pairs"] == 0.0


def test_settings_that_a_collection_lacks_are_left_out() -> None:
    one_language = parallel_collection(("en",), 4)
    summary = evaluate_vectors(one_language, np.eye(4), np.eye(4)).summary
    assert list(summary["settings"]) == ["mono", "multi"]
    assert summary["bias"]["rank_distance"] == {"mean": None, "low": None, "high": None}
    assert summary["robustness"]["mAP"]["over"] == "mono"
    queries = [QueryRecord("q", "sw", "text", {"en/0": 1})]
    only_cross = collection_from("cross", ("en", "sw"), queries, [PassageRecord("en/0", "en", "text")])
    summary = evaluate_vectors(only_cross, np.ones((1, 2)), np.ones((1, 2))).summary
    assert list(summary["settings"]) == ["cross", "multi"]
    assert summary["bias"]["same_language_share@10"]["mean"] is None


def test_given_scores_give_the_evaluation_of_the_vectors_they_come_from() -> None:
    case = Searched(seed=11, num_languages=3, max_passages=30, max_relevant=4)
    by_vectors = evaluate_vectors(case.collection, case.query_vectors, case.passage_vectors)
    by_scores = evaluate_scores(case.collection, lambda first, end, out: case.scores[first:end], tile_bytes=500)
    assert by_scores.per_query.equals(by_vectors.per_query)
    assert json.dumps(by_scores.summary) == json.dumps(by_vectors.summary)


def test_scores_that_cannot_be_ranked_are_refused() -> None:
    collection = parallel_collection(("en",), 4)
    with pytest.raises(DataError, match=r"scores have shape \(4, 3\), not \(4, 4\)"):
        evaluate_scores(collection, lambda first, end, out: out[:, :3])
    with pytest.raises(WorkError, match="scores of queries 0 to 3 hold NaN"):
        evaluate_scores(collection, lambda first, end, out: np.full(out.shape, np.nan))
    with pytest.raises(WorkError, match="1 of 4 query vectors hold NaN"):
        evaluate_vectors(collection, np.diag([1, np.nan, 1, 1]), np.eye(4))
    with pytest.raises(DataError, match="encode both with the same encoder"):
        evaluate_vectors(collection, np.ones((4, 3)), np.ones((4, 4)))


def test_an_evaluation_survives_its_files(tmp_path: Path) -> None:
    collection, evaluation = perfect()
    vectors = np.tile(np.eye(12), (3, 1))
    scores = (vectors @ vectors.T).astype(np.float32)
    evaluate_scores_to(tmp_path, collection, lambda first, end, out: scores[first:end])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "per_query.parquet", "per_query_bias.parquet", "summary.json",
    ]  # fmt: skip
    again = read_evaluation(tmp_path)
    assert again.per_query.equals(evaluation.per_query)
    assert str(again.per_query_bias.to_pydict()) == str(evaluation.per_query_bias.to_pydict())  # as text, for the NaN
    assert again.summary == evaluation.summary


@pytest.mark.parametrize("name", ["per_query.parquet", "per_query_bias.parquet", "summary.json"])
def test_missing_and_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    evaluate_vectors_to(tmp_path, parallel_collection(("de", "en"), 4), np.tile(np.eye(4), (2, 1)), np.eye(8)[:, :4])
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=f"{name}: not "):
        read_evaluation(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=f"{name}: missing"):
        read_evaluation(tmp_path)
