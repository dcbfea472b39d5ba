"""An encoder and perturbations in, how much worse it does on perturbed queries out.

Passages and judgements stay as they are, so the same rankings are asked for in other words. A query that a perturbation
cannot change (no diacritics to lose, no word in the dictionary) is left out of its comparison and counted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cluster.errors import DataError
from retrieval.evaluate import Evaluation, evaluate_vectors, write_evaluation
from retrieval.measures.statistics import RESAMPLES, bootstrap_means, design_of, macro_mean, percentile_intervals
from retrieval.per_query import CROSS, MONO, MULTI
from retrieval.perturb.perturbation import PERTURBATIONS, Perturbation, perturbed_queries
from retrieval.records import Collection

ROBUSTNESS, PERTURBED_QUERIES = "robustness.parquet", "perturbed_queries.parquet"
CLEAN = "clean"
ALL_LANGUAGES = "*"

Encode = Callable[[Sequence[str], str, Sequence[str]], np.ndarray]
"""Texts, role ("query", "passage"), languages -> (N, D) vectors: `functools.partial(encode_texts, encoder, tokens)`."""


@dataclass(frozen=True)
class Robustness:
    """What perturbations of the queries cost a retriever on one collection."""

    table: pa.Table
    """A row per perturbation, setting, query language ("*": macro mean over all) and measure: num_queries, num_changed,
    and of the changed queries clean, perturbed, relative_drop, low, high (95 %)."""
    queries: pa.Table
    """A row per perturbation and query: perturbation, query_language, query_id, text, changed."""
    clean: Evaluation
    """Of the queries as they are."""
    perturbed: Mapping[str, Evaluation]
    """Perturbation -> evaluation of all queries under it."""


def robustness_of(
    encode: Encode,
    collection: Collection,
    perturbations: Sequence[Perturbation] = PERTURBATIONS,
    *,
    measures: Sequence[str] = ("mAP", "R@1", "nDCG@10"),
    passage_vectors: np.ndarray | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Robustness:
    """Evaluate an encoder on queries as they are and under each perturbation.

    Args:
        encode: the encoder.
        collection: its queries are perturbed; passages and judgements are not touched.
        perturbations: with names that differ.
        measures: of the table.
        passage_vectors: (P, D) where they are at hand; encoded otherwise.
        resamples: of the paired bootstrap intervals: clean and perturbed values of the same drawn query ids.
        seed: of the perturbations and the bootstrap.

    Raises:
        DataError: two perturbations share a name, or a measure is not one that an evaluation has.
    """
    names = [perturbation.name for perturbation in perturbations]
    if len({CLEAN, *names}) <= len(names):
        raise DataError(f"perturbations {', '.join(names)}: names must differ, and none may be '{CLEAN}'")
    languages = [collection.languages[number] for number in collection.query_language]
    if passage_vectors is None:
        in_language = [collection.languages[number] for number in collection.passage_language]
        passage_vectors = encode(collection.passage_texts, "passage", in_language)
    clean_vectors = np.asarray(encode(collection.query_texts, "query", languages))
    clean = evaluate_vectors(collection, clean_vectors, passage_vectors, resamples=resamples)
    unknown = [name for name in measures if name not in clean.per_query.column_names]
    if unknown:
        raise DataError(f"no measure '{unknown[0]}'; an evaluation has {', '.join(clean.per_query.column_names[5:])}")

    tables, queries, evaluations = [], [], {}
    for perturbation in perturbations:
        texts = perturbed_queries(perturbation, collection.query_texts, languages, collection.query_ids, seed)
        changed = np.array([new != old for new, old in zip(texts, collection.query_texts, strict=True)])
        vectors = clean_vectors.copy()
        rows = np.flatnonzero(changed)
        if len(rows):
            vectors[rows] = encode([texts[row] for row in rows], "query", [languages[row] for row in rows])
        evaluation = evaluate_vectors(collection, vectors, passage_vectors, resamples=resamples)
        asked = pa.table(
            {
                "perturbation": [perturbation.name] * len(texts),
                "query_language": languages,
                "query_id": list(collection.query_ids),
                "text": texts,
                "changed": changed,
            }
        )
        drops = relative_drops(clean.per_query, evaluation.per_query, asked, measures, resamples, seed)
        tables.append(drops.add_column(0, "perturbation", pa.array([perturbation.name] * drops.num_rows)))
        queries.append(asked)
        evaluations[perturbation.name] = evaluation
    return Robustness(pa.concat_tables(tables), pa.concat_tables(queries), clean, evaluations)


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
    key, changed_keys = _keys(clean), _keys(queries.filter(queries["changed"]))
    changed = np.isin(key, changed_keys)
    setting = np.array(clean["setting"].to_pylist())
    language, pool = (_numbers(clean[name]) for name in ("query_language", "pool_language"))
    query_id = _numbers(clean["query_id"])
    names = clean["query_language"].combine_chunks().dictionary_encode().dictionary.to_pylist()
    value_nM = np.stack([table[name].to_numpy() for table in (clean, perturbed) for name in measures], axis=1)
    rows = []
    for of_setting in (MONO, CROSS, MULTI):
        for number, name in ((None, ALL_LANGUAGES), *enumerate(names)):
            chosen = (setting == of_setting) & (True if number is None else language == number)
            if not chosen.any():
                continue
            compared = np.flatnonzero(chosen & changed)
            counts = {"num_queries": len(np.unique(key[chosen])), "num_changed": len(np.unique(key[compared]))}
            stratum = language[compared] * (int(pool.max()) + 1) + pool[compared]
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


def _keys(table: pa.Table) -> np.ndarray:
    """A string for each row that tells its query from others."""
    return np.array(
        pc.binary_join_element_wise(table["query_language"], table["query_id"], "\t").to_pylist(), dtype=str
    )


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return column.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)


def write_robustness(folder: Path, robustness: Robustness) -> None:
    """Write a result set of robustness into a folder (the staging folder of a result set).

    `robustness.parquet`, `perturbed_queries.parquet`, and the three files of an evaluation in `clean` and in a folder
    for each perturbation.
    """
    pq.write_table(robustness.table, folder / ROBUSTNESS, compression="zstd")
    pq.write_table(robustness.queries, folder / PERTURBED_QUERIES, compression="zstd")
    for name, evaluation in {CLEAN: robustness.clean, **robustness.perturbed}.items():
        (folder / name).mkdir()
        write_evaluation(folder / name, evaluation)
