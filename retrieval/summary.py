"""Records of all queries in, the figures of an evaluation out: macro means with intervals, pairs, bias, robustness."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from retrieval.measures.robustness import robustness
from retrieval.measures.statistics import Design, bootstrap_intervals, design_of, macro_mean, stratum_means
from retrieval.per_query import ALL_LANGUAGES, CROSS, MONO, MULTI, POOL_OF_ALL, Records
from retrieval.records import Collection


def summarise(
    collection: Collection, records: Records, bias: Records, language_counts: np.ndarray, resamples: int
) -> dict[str, Any]:
    """The `summary` of an evaluation; plain values that JSON can hold."""
    id_Q = np.unique(np.asarray(collection.query_ids), return_inverse=True)[1]
    query_language = collection.query_language[records.query]
    settings: dict[str, Any] = {}
    pairs: list[dict[str, Any]] = []
    for setting, chosen in (
        (MONO, records.pool == query_language),
        (CROSS, (records.pool != query_language) & (records.pool != ALL_LANGUAGES)),
        (MULTI, records.pool == ALL_LANGUAGES),
    ):
        rows = np.flatnonzero(chosen)
        if len(rows):
            values = {name: value[rows] for name, value in records.value_of.items()}
            stratum = query_language[rows].astype(np.int64) * (len(collection.languages) + 1) + records.pool[rows] + 1
            design = design_of(stratum, id_Q[records.query[rows]])
            settings[setting] = _with_intervals(values, design, resamples)
            pairs += _pairs(collection, setting, np.unique(stratum), values, design)
    return {
        "collection": collection.name,
        "num_queries": len(collection.query_texts),
        "num_passages": len(collection.passage_texts),
        "languages": list(collection.languages),
        "settings": settings,
        "pairs": pairs,
        "bias": _bias(collection, bias, id_Q, resamples),
        "language_share@10": _language_shares(collection, language_counts),
        "robustness": _robustness(pairs, list(records.value_of)),
    }


def _with_intervals(values: Mapping[str, np.ndarray], design: Design, resamples: int) -> dict[str, dict[str, float]]:
    intervals = bootstrap_intervals(np.stack(list(values.values()), axis=1), design, resamples)
    return {
        name: {"mean": macro_mean(value, design), "low": float(low), "high": float(high)}
        for (name, value), (low, high) in zip(values.items(), intervals, strict=True)
    }


def _pairs(
    collection: Collection, setting: str, strata: np.ndarray, values: Mapping[str, np.ndarray], design: Design
) -> list[dict[str, Any]]:
    """Mean of every measure for each (query language, pool) of a setting."""
    query_language, pool = np.divmod(strata, len(collection.languages) + 1)
    names = [POOL_OF_ALL, *collection.languages]
    num_queries = np.bincount(design.stratum_n)
    means = {name: stratum_means(value, design).tolist() for name, value in values.items()}
    return [
        {
            "setting": setting,
            "query_language": collection.languages[query_language[number]],
            "pool_language": names[pool[number]],
            "num_queries": int(num_queries[number]),
            **{name: mean[number] for name, mean in means.items()},
        }
        for number in range(len(strata))
    ]


def _bias(collection: Collection, bias: Records, id_Q: np.ndarray, resamples: int) -> dict[str, Any]:
    """Macro means over query languages; None where a measure says nothing about any query of this collection."""
    figures: dict[str, Any] = {name: {"mean": None, "low": None, "high": None} for name in bias.value_of}
    names_with: dict[bytes, list[str]] = {}  # measures that speak of the same queries share their resamples
    for name, value in bias.value_of.items():
        names_with.setdefault((~np.isnan(value)).tobytes(), []).append(name)
    for spoken_of, names in names_with.items():
        rows = np.flatnonzero(np.frombuffer(spoken_of, np.bool_))
        if len(rows):
            query = bias.query[rows]
            design = design_of(collection.query_language[query], id_Q[query])
            figures |= _with_intervals({name: bias.value_of[name][rows] for name in names}, design, resamples)
    return figures


def _language_shares(collection: Collection, counts: np.ndarray) -> dict[str, Any]:
    """Share of each language among the best passages of the pool, by language of the query, and in the pool itself."""
    size = np.diff(collection.language_bounds)
    asked = np.flatnonzero(counts.sum(axis=1))
    return {
        "in_pool": dict(zip(collection.languages, (size / size.sum()).tolist(), strict=True)),
        "by_query_language": {
            collection.languages[row]: dict(
                zip(collection.languages, (counts[row] / counts[row].sum()).tolist(), strict=True)
            )
            for row in asked
        },
    }


def _robustness(pairs: list[dict[str, Any]], measures: list[str]) -> dict[str, Any]:
    """Spread over the cross-lingual pairs; over the monolingual settings where a collection has no others."""
    over = CROSS if any(pair["setting"] == CROSS for pair in pairs) else MONO
    chosen = [pair for pair in pairs if pair["setting"] == over]
    query_languages = [pair["query_language"] for pair in chosen]
    pool_languages = [pair["pool_language"] for pair in chosen]
    return {
        name: {"over": over, **robustness(query_languages, pool_languages, [pair[name] for pair in chosen])}
        for name in measures
    }
