"""A collection and vectors (or score rows) in, every measure in every setting out, from one pass over all scores.

setting   query language and pool        one value per
mono      own language                   query language
cross     one other language             ordered pair of languages
multi     passages of all languages      query language

A query without a relevant passage in a pool is not part of that setting. Macro averages are means over the queries of
each (query language, pool), then over those. Nothing is kept of a tile of scores but its measures, so memory does not
grow with queries x passages. With very many languages the measures per query are what grows (205 languages: 43 million
rows); `evaluate_vectors_to` and `evaluate_scores_to` write them to a file as they come and keep sums only, at the
same speed, so every run uses them. `evaluate_vectors` and `evaluate_scores` give the same records in memory.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.documents import parse_json
from cluster.errors import DataError, WorkError
from cluster.logs import progress
from retrieval.best import best_rows
from retrieval.formats.parquet import read_table
from retrieval.measures.peer import DEPTH
from retrieval.measures.statistics import RESAMPLES
from retrieval.per_query import Records, TileRanks, bias_table, joined, records_table, tile_records
from retrieval.ranks import count_ahead
from retrieval.record_files import RecordsWriter, write_rows
from retrieval.records import Collection
from retrieval.scores import vector_scores
from retrieval.summary import summarise
from retrieval.sums import MacroSums

BEST_KEPT = DEPTH
TILE_BYTES = 32 << 20
TILE_QUERIES = 128
"""With fewer queries in a tile the product reads all passages from memory too often (40 instead of 160: a quarter
slower for 205,820 passages), so tiles may grow to four times `tile_bytes` for them."""
PER_QUERY, PER_QUERY_BIAS, SUMMARY = "per_query.parquet", "per_query_bias.parquet", "summary.json"

ScoreRows = Callable[[int, int, np.ndarray], np.ndarray]
"""Scores of queries `first` up to `end` for all P passages; the float32 (end - first, P) array given may be filled."""


@dataclass(frozen=True)
class Evaluation:
    """All figures of one retriever on one collection."""

    per_query: pa.Table
    """Row per query and pool: setting, query_language, pool_language ("*" = all), query_id, num_relevant, measures."""
    per_query_bias: pa.Table
    """A row per query: query_language, query_id, measures of bias (NaN where one says nothing about the query)."""
    summary: dict[str, Any]
    """Macro means with 95 % intervals by setting, means by pair, bias, language shares, robustness; plain values."""


def evaluate_vectors(
    collection: Collection,
    query_vectors: np.ndarray,
    passage_vectors: np.ndarray,
    *,
    tile_bytes: int = TILE_BYTES,
    resamples: int = RESAMPLES,
) -> Evaluation:
    """Evaluate an encoder by the inner products of its vectors, exactly, over whole rankings.

    Args:
        collection: queries, passages, judgements.
        query_vectors: (Q, D), in the order of the collection's queries; converted to float32.
        passage_vectors: (P, D), in the order of its passages.
        tile_bytes: scores held at once, about; changes memory, not the result.
        resamples: of the bootstrap intervals.

    Raises:
        DataError: shapes that do not fit the collection or each other.
        WorkError: NaN or infinite numbers in the vectors.
    """
    num_queries, num_passages = len(collection.query_texts), len(collection.passage_texts)
    scores = vector_scores(collection.name, query_vectors, passage_vectors, num_queries, num_passages)
    return _evaluate(collection, scores, tile_bytes, resamples)


def evaluate_vectors_to(
    folder: Path,
    collection: Collection,
    query_vectors: np.ndarray,
    passage_vectors: np.ndarray,
    *,
    tile_bytes: int = TILE_BYTES,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Evaluate as `evaluate_vectors` and write the three files of an evaluation, records never all in memory.

    Args:
        folder: where `per_query.parquet`, `per_query_bias.parquet` and `summary.json` go (the staging folder of a
            result set).

    Returns:
        The summary.
    """
    num_queries, num_passages = len(collection.query_texts), len(collection.passage_texts)
    scores = vector_scores(collection.name, query_vectors, passage_vectors, num_queries, num_passages)
    return _evaluate_to(folder, collection, scores, tile_bytes, resamples)


def evaluate_scores(
    collection: Collection, score_rows: ScoreRows, *, tile_bytes: int = TILE_BYTES, resamples: int = RESAMPLES
) -> Evaluation:
    """Evaluate whatever can score all passages for a stretch of queries (BM25, a reranker); see `evaluate_vectors`.

    Raises:
        DataError: the score rows have another shape than (queries asked for, passages).
        WorkError: a score is NaN or infinite.
    """
    return _evaluate(collection, _checked(collection, score_rows), tile_bytes, resamples)


def evaluate_scores_to(
    folder: Path,
    collection: Collection,
    score_rows: ScoreRows,
    *,
    tile_bytes: int = TILE_BYTES,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Evaluate as `evaluate_scores` and write as `evaluate_vectors_to`; the summary."""
    return _evaluate_to(folder, collection, _checked(collection, score_rows), tile_bytes, resamples)


def _checked(collection: Collection, score_rows: ScoreRows) -> ScoreRows:
    def checked(first: int, end: int, out: np.ndarray) -> np.ndarray:
        scores = np.ascontiguousarray(score_rows(first, end, out), dtype=np.float32)
        if scores.shape != out.shape:
            raise DataError(f"{collection.name}: scores have shape {scores.shape}, not {out.shape} (queries, passages)")
        if not np.isfinite(scores).all():
            raise WorkError(f"{collection.name}: scores of queries {first} to {end - 1} hold NaN or infinite numbers")
        return scores

    return checked


def _evaluate(collection: Collection, score_rows: ScoreRows, tile_bytes: int, resamples: int) -> Evaluation:
    one_language: list[Records] = []
    totals = _totals(collection, score_rows, tile_bytes, one_language.append)
    return Evaluation(
        per_query=records_table(collection, joined([*one_language, totals.all_languages])),
        per_query_bias=bias_table(collection, totals.bias),
        summary=summarise(collection, totals.sums, totals.bias, totals.language_counts, resamples),
    )


def _evaluate_to(
    folder: Path, collection: Collection, score_rows: ScoreRows, tile_bytes: int, resamples: int
) -> dict[str, Any]:
    with RecordsWriter(folder / PER_QUERY, collection) as file:
        totals = _totals(collection, score_rows, tile_bytes, file.add)
        file.add(totals.all_languages)
    summary = summarise(collection, totals.sums, totals.bias, totals.language_counts, resamples)
    write_rows(bias_table(collection, totals.bias), folder / PER_QUERY_BIAS)
    text = json.dumps(summary, ensure_ascii=False, indent=1, allow_nan=False)
    (folder / SUMMARY).write_text(text, encoding="utf-8")
    return summary


@dataclass(frozen=True)
class _Totals:
    """What all tiles add up to. Records of pools in one language are passed on instead, for they are too many."""

    sums: MacroSums
    all_languages: Records
    bias: Records
    language_counts: np.ndarray


def _totals(
    collection: Collection, score_rows: ScoreRows, tile_bytes: int, pass_on: Callable[[Records], None]
) -> _Totals:
    """Go through all tiles; rows come by pools in one language first, then by pools of all, so tiles do not show."""
    sums = MacroSums(collection)
    language_counts = np.zeros((len(collection.languages),) * 2, np.int64)
    all_languages, bias = [], []
    for ranks in _ranked_tiles(collection, score_rows, tile_bytes):
        if len(ranks.query):
            tile = tile_records(collection, ranks)
            pass_on(tile.one_language)
            sums.add(tile.one_language)
            sums.add(tile.all_languages)
            all_languages.append(tile.all_languages)
            bias.append(tile.bias)
            language_counts += tile.language_counts
    return _Totals(sums, joined(all_languages), joined(bias), language_counts)


def _ranked_tiles(collection: Collection, score_rows: ScoreRows, tile_bytes: int) -> Iterator[TileRanks]:
    """Score a tile of queries, rank their relevant passages, forget the scores."""
    num_queries, num_passages = len(collection.query_texts), len(collection.passage_texts)
    bounds = collection.language_bounds
    fit = tile_bytes // (4 * num_passages)
    height = max(1, min(num_queries, max(fit, min(TILE_QUERIES, 4 * fit))))
    buffer = np.empty((height, num_passages), np.float32)
    firsts = range(0, num_queries, height)
    for first in progress(firsts, f"ranking {collection.name}", total=len(firsts), unit="tile"):
        end = min(first + height, num_queries)
        score_QP = score_rows(first, end, buffer[: end - first])
        if collection.own_passage is not None:
            score_QP = _without_own(score_QP, collection.own_passage[first:end], buffer)
        starts = np.searchsorted(collection.judged_query, np.arange(first, end + 1))
        judged = slice(starts[0], starts[-1])
        row_J = collection.judged_passage[judged]
        language_J = collection.passage_language[row_J]
        own_J, all_J = count_ahead(score_QP, starts - starts[0], row_J, bounds[language_J], bounds[language_J + 1])
        yield TileRanks(
            first=first,
            end=end,
            query=collection.judged_query[judged],
            language=language_J,
            grade=collection.grade[judged],
            own_rank=own_J + 1,
            pool_rank=all_J + 1,
            best_row=best_rows(score_QP, min(BEST_KEPT, num_passages)),
        )


def _without_own(score_QP: np.ndarray, own_Q: np.ndarray, buffer: np.ndarray) -> np.ndarray:
    """The scores with minus infinity for each query's own passage: it is ahead of nothing and never among the best."""
    if not np.may_share_memory(score_QP, buffer):
        score_QP = score_QP.copy()  # the scorer's own array
    with_own = np.flatnonzero(own_Q >= 0)
    score_QP[with_own, own_Q[with_own]] = -np.inf
    return score_QP


def read_evaluation(folder: Path) -> Evaluation:
    """Read the three files of an evaluation.

    Raises:
        DataError: a file is missing or damaged; it is named.
    """
    tables = [read_table(folder / name, "evaluate again") for name in (PER_QUERY, PER_QUERY_BIAS)]
    try:
        summary = parse_json((folder / SUMMARY).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{folder / SUMMARY}: missing; evaluate again") from None
    except ValueError as error:
        raise DataError(f"{folder / SUMMARY}: not JSON ({error}); evaluate again") from None
    return Evaluation(per_query=tables[0], per_query_bias=tables[1], summary=summary)
