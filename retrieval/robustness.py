"""A retriever's evaluations of queries as they are and of perturbed ones in, how much worse it does out.

Passages and judgements stay as they are, so the same rankings are asked for in other words. A query that a perturbation
cannot change (no diacritics to lose, no word in the dictionary) is left out of its comparison and counted.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.errors import DataError
from retrieval.evaluate import PER_QUERY
from retrieval.formats.parquet import read_table
from retrieval.measures.statistics import RESAMPLES, bootstrap_means, design_of, macro_mean, percentile_intervals
from retrieval.per_query import CROSS, MONO, MULTI
from retrieval.perturb.perturbation import Perturbation, perturbed_queries
from retrieval.records import Collection

DROPS, PERTURBED_QUERIES = "robustness.parquet", "perturbed_queries.parquet"
ALL_LANGUAGES = "*"
MEASURES = ("mAP", "R@1", "nDCG@10")
_KEYS = ("setting", "query_language", "pool_language", "query_id")


@dataclasses.dataclass(frozen=True)
class PerturbedQueries:
    """A collection whose queries are perturbed."""

    collection: Collection
    """The same queries in other words; ids, passages and judgements are those of the original."""
    changed: np.ndarray
    """(Q) bool: the perturbation could change the query."""


def perturb_queries(collection: Collection, perturbation: Perturbation, seed: int = 0) -> PerturbedQueries:
    """Perturb the queries of a collection; decided by the seed, the perturbation and each query's language and id."""
    languages = np.array(collection.languages)[collection.query_language].tolist()
    texts = perturbed_queries(perturbation, collection.query_texts, languages, collection.query_ids, seed)
    changed = np.array([new != old for new, old in zip(texts, collection.query_texts, strict=True)])
    return PerturbedQueries(dataclasses.replace(collection, query_texts=texts), changed)


def write_drops(
    folder: Path,
    clean: Path,
    queries: PerturbedQueries,
    *,
    measures: Sequence[str] = MEASURES,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pa.Table:
    """Compare the evaluation of perturbed queries in a folder with that of the clean ones, and put it beside.

    Args:
        folder: the evaluation of `queries.collection`; `robustness.parquet` (the table of `relative_drops`) and
            `perturbed_queries.parquet` (query_language, query_id, text, changed) are added to it.
        clean: folder of the evaluation of the queries as they are.
        queries: what was evaluated.
        measures: of the table.
        resamples: of the intervals.
        seed: of the intervals.

    Raises:
        DataError: see `relative_drops`.
    """
    asked = _asked(queries)
    drops = relative_drops(_values(clean, measures), _values(folder, measures), asked, measures, resamples, seed)
    pq.write_table(drops, folder / DROPS, compression="zstd")
    pq.write_table(asked, folder / PERTURBED_QUERIES, compression="zstd")
    return drops


def _asked(queries: PerturbedQueries) -> pa.Table:
    collection = queries.collection
    return pa.table(
        {
            "query_language": np.array(collection.languages)[collection.query_language].tolist(),
            "query_id": list(collection.query_ids),
            "text": list(collection.query_texts),
            "changed": queries.changed,
        }
    )


def _values(folder: Path, measures: Sequence[str]) -> pa.Table:
    """Keys and measures of an evaluation's records; texts as numbers, for there may be tens of millions of rows."""
    path = folder / PER_QUERY
    there = pq.read_schema(path).names
    unknown = [name for name in measures if name not in there]
    if unknown:
        raise DataError(f"{path}: no measure '{unknown[0]}'; it has {', '.join(there[len(_KEYS) + 1 :])}")
    return read_table(path, "evaluate again", columns=[*_KEYS, *measures], read_dictionary=list(_KEYS))


def relative_drops(
    clean: pa.Table, perturbed: pa.Table, queries: pa.Table, measures: Sequence[str], resamples: int, seed: int = 0
) -> pa.Table:
    """What a perturbation costs: 1 - perturbed / clean of macro means over the changed queries, with paired intervals.

    Args:
        clean: `per_query` table of an evaluation.
        perturbed: the same of the perturbed queries, row for row.
        queries: query_language, query_id, changed.
        measures: columns of both tables.
        resamples: of the bootstrap: query ids are drawn, and the drop is taken of clean and perturbed values of the
            same draw, so what makes a question hard for both does not widen the interval.
        seed: of the draws.

    Returns:
        A row per setting, query language ("*": all) and measure. Figures are null where no query was changed or the
        clean mean is 0.
    """
    assert clean.num_rows == perturbed.num_rows, "evaluations of the same judgements have the same rows"
    (setting, settings), (language, languages), (pool, pools), (query_id, ids) = (_coded(clean[name]) for name in _KEYS)
    key = language * len(ids) + query_id
    of_changed = queries.filter(queries["changed"])
    changed_language, changed_id = (
        pc.index_in(of_changed[name], value_set=values).to_numpy(zero_copy_only=False)
        for name, values in (("query_language", languages), ("query_id", ids))
    )
    # NaN where a query has no relevant passage anywhere and so no record; NaN is in nothing.
    changed = np.isin(key, changed_language * float(len(ids)) + changed_id)
    value_nM = np.stack([table[name].to_numpy() for table in (clean, perturbed) for name in measures], axis=1)
    rows = []
    for of_setting in (MONO, CROSS, MULTI):
        in_setting = setting == settings.index(of_setting).as_py()  # -1 where the collection has no such setting
        for number, name in ((None, ALL_LANGUAGES), *enumerate(languages.to_pylist())):
            chosen = in_setting & (True if number is None else language == number)
            if not chosen.any():
                continue
            compared = np.flatnonzero(chosen & changed)
            counts = {"num_queries": len(np.unique(key[chosen])), "num_changed": len(np.unique(key[compared]))}
            stratum = language[compared] * len(pools) + pool[compared]
            figures = _figures(value_nM[compared], stratum, query_id[compared], len(measures), resamples, seed)
            rows += [
                {"setting": of_setting, "query_language": name, "measure": measure, **counts, **of_measure}
                for measure, of_measure in zip(measures, figures, strict=True)
            ]
    return pa.Table.from_pylist(rows, _DROPS)


_FIGURES = ("clean", "perturbed", "relative_drop", "low", "high")
_DROPS = pa.schema(
    [(name, pa.string()) for name in ("setting", "query_language", "measure")]
    + [(name, pa.int64()) for name in ("num_queries", "num_changed")]
    + [(name, pa.float64()) for name in _FIGURES]
)


def _figures(
    value_nM: np.ndarray, stratum_n: np.ndarray, id_n: np.ndarray, num_measures: int, resamples: int, seed: int
) -> list[dict[str, float | None]]:
    """Clean and perturbed mean, relative drop and its interval for each measure; the clean columns come first."""
    if not len(value_nM):
        return [dict.fromkeys(_FIGURES)] * num_measures
    design = design_of(stratum_n, id_n)
    mean_M = np.array([macro_mean(value_n, design) for value_n in value_nM.T])
    mean_MB = bootstrap_means(value_nM, design, resamples, seed)
    figures: list[dict[str, float | None]] = []
    for measure in range(num_measures):
        clean, perturbed = mean_M[measure], mean_M[num_measures + measure]
        clean_B, perturbed_B = mean_MB[measure], mean_MB[num_measures + measure]
        found: tuple[float | None, ...] = (None, None, None)
        if clean > 0:
            # A resample in which even the clean queries find nothing says nothing about a share of it.
            drop_B = 1 - perturbed_B[clean_B > 0] / clean_B[clean_B > 0]
            low, high = percentile_intervals(drop_B[None])[0]
            found = (float(1 - perturbed / clean), float(low), float(high))
        figures.append(dict(zip(_FIGURES, (float(clean), float(perturbed), *found), strict=True)))
    return figures


def _coded(column: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """A column of texts as numbers (n) int64, and the texts that they stand for."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    coded = column.unify_dictionaries().combine_chunks()
    return coded.indices.to_numpy().astype(np.int64), coded.dictionary


def read_drops(folder: Path) -> pa.Table:
    """Read the table of `write_drops`.

    Raises:
        DataError: it is missing or damaged.
    """
    return read_table(folder / DROPS, "evaluate the perturbed queries again")
