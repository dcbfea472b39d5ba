"""Evaluations that write their records as they come: same files, same figures, and figures that equal the records'."""

import json
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.errors import WorkError
from retrieval import record_files, sums
from retrieval.evaluate import evaluate_vectors, evaluate_vectors_to, read_evaluation
from retrieval.measures.statistics import bootstrap_intervals, design_of, macro_mean
from retrieval.per_query import Records
from retrieval.record_files import RecordsWriter
from retrieval.records import Collection, PassageRecord, QueryRecord, collection_from


def random_collection(seed: int, parallel: bool) -> tuple[Collection, np.ndarray, np.ndarray]:
    """Languages with the same query ids, or each with its own and some shared; queries without judgements too."""
    rng = np.random.default_rng(seed)
    languages = ("de", "en", "th", "zh")[: rng.integers(1, 5)]
    passages = [PassageRecord(f"{language}/{n}", language, "text") for language in languages for n in range(6)]
    ids = [passage.id for passage in passages]
    queries = [
        QueryRecord(
            f"q{n}" if parallel or n % 2 else f"{language}-q{n}",
            language,
            "text",
            {f"{other}/{n}": 1 for other in languages}
            if parallel
            else {str(one): 1 for one in rng.choice(ids, min(len(ids), rng.integers(0, 4)), replace=False)},
        )
        for language in languages
        for n in range(5)
    ]
    queries.append(QueryRecord("last", languages[0], "text", {ids[-1]: 2}))
    collection = collection_from("random", languages, queries, passages)
    return collection, rng.integers(-2, 3, (len(queries), 3)), rng.integers(-2, 3, (len(passages), 3))


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    parallel=st.booleans(),
    rows_at_once=st.sampled_from([1, 7, 1000]),
    judgements_at_once=st.sampled_from([1, 2, 5, 1000]),
    tile_bytes=st.sampled_from([1, 400, 1 << 20]),
)
def test_files_written_as_records_come_equal_those_written_at_once(
    tmp_path: Path, seed: int, parallel: bool, rows_at_once: int, judgements_at_once: int, tile_bytes: int
) -> None:
    case = random_collection(seed, parallel)
    whole = evaluate_vectors(*case, resamples=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_files, "ROWS_AT_ONCE", rows_at_once)
        patch.setattr(sums, "JUDGEMENTS_AT_ONCE", judgements_at_once)
        summary = evaluate_vectors_to(tmp_path, *case, tile_bytes=tile_bytes, resamples=20)
    written = read_evaluation(tmp_path)
    assert written.per_query.equals(whole.per_query)
    assert str(written.per_query_bias.to_pydict()) == str(whole.per_query_bias.to_pydict())
    assert json.dumps(written.summary) == json.dumps(whole.summary) == json.dumps(summary)
    file = pq.ParquetFile(tmp_path / "per_query.parquet").metadata
    sizes = [file.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert max(sizes) <= rows_at_once
    assert sizes[:-1] == [rows_at_once] * (len(sizes) - 1)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), parallel=st.booleans(), judgements_at_once=st.sampled_from([1, 3, 1000]))
def test_intervals_from_sums_equal_those_of_the_records(seed: int, parallel: bool, judgements_at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums, "JUDGEMENTS_AT_ONCE", judgements_at_once)
        evaluation = evaluate_vectors(*random_collection(seed, parallel), resamples=30)
    for setting, figures in evaluation.summary["settings"].items():
        rows = evaluation.per_query.filter(pc.equal(evaluation.per_query["setting"], setting))
        pair = np.array(rows["query_language"].to_pylist()) + np.array(rows["pool_language"].to_pylist()).astype("U3")
        design = design_of(pair, np.array(rows["query_id"].to_pylist()))
        for name, figure in figures.items():
            values = rows[name].to_numpy()
            low, high = bootstrap_intervals(values[:, None], design, resamples=30)[0]
            expected = {"mean": macro_mean(values, design), "low": low, "high": high}
            assert figure == pytest.approx(expected, rel=1e-12)


def test_nothing_is_written_of_an_evaluation_that_ends_early(tmp_path: Path) -> None:
    collection, queries, passages = random_collection(3, parallel=True)
    with pytest.raises(WorkError, match="query vectors hold NaN"):
        evaluate_vectors_to(tmp_path, collection, queries * np.nan, passages)
    row = Records(np.array([0]), np.array([0]), np.array([1]), {"mAP": np.array([0.5])})
    with pytest.raises(InterruptedError), RecordsWriter(tmp_path / "per_query.parquet", collection) as file:
        file.add(row)
        raise InterruptedError
    assert not list(tmp_path.iterdir())
