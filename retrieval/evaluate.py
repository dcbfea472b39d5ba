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

Ranks are counted by this machine's processors (`tiles`) or on a GPU (`device_tiles`); or taken from the best k that a
search in an index finds (`found_tiles`), and then measures that need the whole ranking are left out.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.documents import parse_json
from cluster.errors import DataError, WorkError
from retrieval.formats.parquet import read_table
from retrieval.found_tiles import Search, found_tiles
from retrieval.measures.sets import WHOLE_RANKING, MeasureSet, within
from retrieval.measures.statistics import RESAMPLES
from retrieval.per_query import Records, TileRanks, bias_table, joined, records_table, tile_records
from retrieval.record_files import RecordsWriter, write_rows
from retrieval.records import Collection
from retrieval.scores import vector_scores
from retrieval.summary import summarise
from retrieval.sums import MacroSums
from retrieval.tiles import TILE_BYTES, ScoreRows, ranked_tiles

PER_QUERY, PER_QUERY_BIAS, SUMMARY = "per_query.parquet", "per_query_bias.parquet", "summary.json"


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
    device: str | None = None,
    tile_bytes: int | None = None,
    resamples: int = RESAMPLES,
) -> Evaluation:
    """Evaluate an encoder by the inner products of its vectors, exactly, over whole rankings.

    Args:
        collection: queries, passages, judgements.
        query_vectors: (Q, D), in the order of the collection's queries; converted to float32.
        passage_vectors: (P, D), in the order of its passages.
        device: where torch scores and ranks, such as `cuda`; None for this machine's processors, without torch.
        tile_bytes: scores held at once, about; changes memory, not the result. None: what suits the device.
        resamples: of the bootstrap intervals.

    Raises:
        DataError: shapes that do not fit the collection or each other.
        WorkError: NaN or infinite numbers in the vectors.
    """
    tiles = _vector_tiles(collection, query_vectors, passage_vectors, device, tile_bytes)
    return _evaluate(collection, tiles, WHOLE_RANKING, resamples)


def evaluate_vectors_to(
    folder: Path,
    collection: Collection,
    query_vectors: np.ndarray,
    passage_vectors: np.ndarray,
    *,
    device: str | None = None,
    tile_bytes: int | None = None,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Evaluate as `evaluate_vectors` and write the three files of an evaluation, records never all in memory.

    Args:
        folder: where `per_query.parquet`, `per_query_bias.parquet` and `summary.json` go (the staging folder of a
            result set).

    Returns:
        The summary.
    """
    tiles = _vector_tiles(collection, query_vectors, passage_vectors, device, tile_bytes)
    return _evaluate_to(folder, collection, tiles, WHOLE_RANKING, resamples)


def evaluate_search_to(
    folder: Path,
    collection: Collection,
    query_vectors: np.ndarray,
    search: Search,
    depth: int,
    *,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Evaluate the best `depth` passages that a search finds in each pool, and write as `evaluate_vectors_to`.

    With an exact index every value equals that of the whole ranking. Left out is what the best `depth` do not tell:
    mAP, MRR (there is MRR@depth), rank distance, language preference, and PEER where `depth` is below its own.

    Args:
        search: over the collection's passages, by the numbers of its languages.

    Returns:
        The summary; `depth` says how deep it looked.

    Raises:
        ConfigError: `depth` is less than the measures need.
    """
    tiles = found_tiles(collection, query_vectors, search, depth)
    return _evaluate_to(folder, collection, tiles, within(depth), resamples, {"depth": depth})


def evaluate_scores(
    collection: Collection, score_rows: ScoreRows, *, tile_bytes: int = TILE_BYTES, resamples: int = RESAMPLES
) -> Evaluation:
    """Evaluate whatever can score all passages for a stretch of queries (BM25, a reranker); see `evaluate_vectors`.

    Raises:
        DataError: the score rows have another shape than (queries asked for, passages).
        WorkError: a score is NaN or infinite.
    """
    tiles = ranked_tiles(collection, _checked(collection, score_rows), tile_bytes)
    return _evaluate(collection, tiles, WHOLE_RANKING, resamples)


def evaluate_scores_to(
    folder: Path,
    collection: Collection,
    score_rows: ScoreRows,
    *,
    tile_bytes: int = TILE_BYTES,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Evaluate as `evaluate_scores` and write as `evaluate_vectors_to`; the summary."""
    tiles = ranked_tiles(collection, _checked(collection, score_rows), tile_bytes)
    return _evaluate_to(folder, collection, tiles, WHOLE_RANKING, resamples)


def _vector_tiles(
    collection: Collection,
    query_vectors: np.ndarray,
    passage_vectors: np.ndarray,
    device: str | None,
    tile_bytes: int | None,
) -> Iterator[TileRanks]:
    num_queries, num_passages = len(collection.query_texts), len(collection.passage_texts)
    scores = vector_scores(collection.name, query_vectors, passage_vectors, num_queries, num_passages)
    if device is None:
        return ranked_tiles(collection, scores, tile_bytes or TILE_BYTES)
    from retrieval import device_tiles

    return device_tiles.device_tiles(collection, scores, device, tile_bytes or device_tiles.TILE_BYTES)


def _checked(collection: Collection, score_rows: ScoreRows) -> ScoreRows:
    def checked(first: int, end: int, out: np.ndarray) -> np.ndarray:
        scores = np.ascontiguousarray(score_rows(first, end, out), dtype=np.float32)
        if scores.shape != out.shape:
            raise DataError(f"{collection.name}: scores have shape {scores.shape}, not {out.shape} (queries, passages)")
        if not np.isfinite(scores).all():
            raise WorkError(f"{collection.name}: scores of queries {first} to {end - 1} hold NaN or infinite numbers")
        return scores

    return checked


def _evaluate(collection: Collection, tiles: Iterator[TileRanks], measures: MeasureSet, resamples: int) -> Evaluation:
    one_language: list[Records] = []
    totals = _totals(collection, tiles, measures, one_language.append)
    return Evaluation(
        per_query=records_table(collection, joined([*one_language, totals.all_languages])),
        per_query_bias=bias_table(collection, totals.bias),
        summary=summarise(collection, totals.sums, totals.bias, totals.language_counts, resamples),
    )


def _evaluate_to(
    folder: Path,
    collection: Collection,
    tiles: Iterator[TileRanks],
    measures: MeasureSet,
    resamples: int,
    about: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    with RecordsWriter(folder / PER_QUERY, collection) as file:
        totals = _totals(collection, tiles, measures, file.add)
        file.add(totals.all_languages)
    summary = dict(about) | summarise(collection, totals.sums, totals.bias, totals.language_counts, resamples)
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
    collection: Collection, tiles: Iterator[TileRanks], measures: MeasureSet, pass_on: Callable[[Records], None]
) -> _Totals:
    """Go through all tiles; rows come by pools in one language first, then by pools of all, so tiles do not show."""
    sums = MacroSums(collection)
    language_counts = np.zeros((len(collection.languages),) * 2, np.int64)
    all_languages, bias = [], []
    for ranks in tiles:
        if len(ranks.query):
            tile = tile_records(collection, ranks, measures)
            pass_on(tile.one_language)
            sums.add(tile.one_language)
            sums.add(tile.all_languages)
            all_languages.append(tile.all_languages)
            bias.append(tile.bias)
            language_counts += tile.language_counts
    return _Totals(sums, joined(all_languages), joined(bias), language_counts)


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
