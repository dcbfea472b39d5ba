"""Sums over all queries in, the figures of an evaluation out: macro means with intervals, pairs, bias, robustness."""

from typing import Any

import numpy as np

from retrieval.measures.robustness import robustness
from retrieval.measures.statistics import bootstrap_intervals, design_of, macro_mean
from retrieval.per_query import CROSS, MONO, MULTI, POOL_OF_ALL, Records
from retrieval.records import Collection
from retrieval.sums import MacroSums, SettingMeans


def summarise(
    collection: Collection, sums: MacroSums, bias: Records, language_counts: np.ndarray, resamples: int
) -> dict[str, Any]:
    """The `summary` of an evaluation; plain values that JSON can hold."""
    settings: dict[str, Any] = {}
    pairs: list[dict[str, Any]] = []
    for setting in (MONO, CROSS, MULTI):
        means = sums.means(setting)
        if len(means.num_queries):
            settings[setting] = {
                name: {"mean": float(means.mean_of[name].mean()), "low": low, "high": high}
                for name, (low, high) in sums.intervals(setting, resamples).items()
            }
            pairs += _pairs(collection, setting, means)
    return {
        "collection": collection.name,
        "num_queries": len(collection.query_texts),
        "num_passages": len(collection.passage_texts),
        "languages": list(collection.languages),
        "settings": settings,
        "pairs": pairs,
        "bias": _bias(collection, bias, resamples),
        "language_share@10": _language_shares(collection, language_counts),
        "robustness": _robustness(pairs, list(next(iter(settings.values())))),
    }


def _pairs(collection: Collection, setting: str, means: SettingMeans) -> list[dict[str, Any]]:
    """Mean of every measure for each (query language, pool) of a setting."""
    names = [*collection.languages, POOL_OF_ALL]  # the pool of all languages, -1, is the last
    mean_of = {name: mean.tolist() for name, mean in means.mean_of.items()}
    return [
        {
            "setting": setting,
            "query_language": collection.languages[query_language],
            "pool_language": names[pool],
            "num_queries": num_queries,
            **{name: mean[number] for name, mean in mean_of.items()},
        }
        for number, (query_language, pool, num_queries) in enumerate(
            zip(means.query_language.tolist(), means.pool.tolist(), means.num_queries.tolist(), strict=True)
        )
    ]


def _bias(collection: Collection, bias: Records, resamples: int) -> dict[str, Any]:
    """Macro means over query languages; None where a measure says nothing about any query of this collection."""
    id_Q = np.unique(np.asarray(collection.query_ids), return_inverse=True)[1]
    figures: dict[str, Any] = {name: {"mean": None, "low": None, "high": None} for name in bias.value_of}
    names_with: dict[bytes, list[str]] = {}  # measures that speak of the same queries share their resamples
    for name, value in bias.value_of.items():
        names_with.setdefault((~np.isnan(value)).tobytes(), []).append(name)
    for spoken_of, names in names_with.items():
        rows = np.flatnonzero(np.frombuffer(spoken_of, np.bool_))
        if len(rows):
            query = bias.query[rows]
            design = design_of(collection.query_language[query], id_Q[query])
            values = {name: bias.value_of[name][rows] for name in names}
            intervals = bootstrap_intervals(np.stack(list(values.values()), axis=1), design, resamples)
            figures |= {
                name: {"mean": macro_mean(value, design), "low": float(low), "high": float(high)}
                for (name, value), (low, high) in zip(values.items(), intervals, strict=True)
            }
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
