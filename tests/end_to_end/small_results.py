"""Roots with runs and nights in them, made by hand in no time: what stages would have written, in their form."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cluster.config import build_config
from cluster.fingerprint import fingerprint
from cluster.storage import Store, write_result_set
from jobs.catalogue import nights, read_run
from jobs.nightly.config import NightlyConfig
from jobs.nightly.night import judged, publish
from jobs.nightly.verdict import baseline_of
from jobs.records import ArmRecord, Night, RunRecord
from jobs.run_record import headline_figures
from retrieval.measures.statistics import bootstrap_intervals, design_of, macro_mean

LANGUAGES = ("de", "en")
IDS = 40
SETTINGS = ("mono", "cross", "multi")
Quality = Mapping[str, float]
"""Setting -> mean AP."""
GOOD: Quality = {"mono": 0.8, "cross": 0.6, "multi": 0.5}


def evaluate(folder: Path, collection: str, quality: Quality, distance: float, seed: int) -> None:
    """The three files of an evaluation; each setting's values lie around `quality`."""
    rng = np.random.default_rng(seed)
    pools = {"mono": [(a, a) for a in LANGUAGES], "cross": [("de", "en"), ("en", "de")]}
    pools["multi"] = [(a, "*") for a in LANGUAGES]
    rows: list[dict[str, Any]] = []
    for setting in SETTINGS:
        for query_language, pool in pools[setting]:
            values = np.clip(quality[setting] + rng.normal(0, 0.1, IDS), 0, 1)
            rows += [
                {"setting": setting, "query_language": query_language, "pool_language": pool, "query_id": f"q{i}"}
                | {"num_relevant": 1, "mAP": value, "R@1": float(value > 0.5)}
                for i, value in enumerate(values)
            ]
    bias = [
        {"query_language": language, "query_id": f"q{i}", "rank_distance": value}
        for language in LANGUAGES
        for i, value in enumerate(distance + rng.normal(0, 5, IDS))
    ]
    summary = {
        "collection": collection,
        "num_queries": IDS * len(LANGUAGES),
        "num_passages": IDS * len(LANGUAGES),
        "languages": list(LANGUAGES),
        "settings": {s: {m: _estimate(rows, s, m) for m in ("mAP", "R@1")} for s in SETTINGS},
        "pairs": [],
        "bias": {"rank_distance": _estimate(bias, None, "rank_distance")},
    }
    pq.write_table(pa.Table.from_pylist(rows), folder / "per_query.parquet")
    pq.write_table(pa.Table.from_pylist(bias), folder / "per_query_bias.parquet")
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")


def _estimate(rows: Sequence[Mapping[str, Any]], setting: str | None, measure: str) -> dict[str, float]:
    chosen = [row for row in rows if setting is None or row["setting"] == setting]
    stratum = np.unique([row["query_language"] for row in chosen], return_inverse=True)[1]
    design = design_of(stratum, np.unique([row["query_id"] for row in chosen], return_inverse=True)[1])
    values = np.array([row[measure] for row in chosen])
    low, high = bootstrap_intervals(values[:, None], design)[0]
    return {"mean": macro_mean(values, design), "low": float(low), "high": float(high)}


def write_run(
    store: Store,
    revision: str,
    qualities: Mapping[str, Quality],
    *,
    finished: datetime | None = None,
    title: str = "small",
    content: str = "c0",
    distance: float = 50.0,
    seed: int = 7,
) -> RunRecord:
    """A run with all that it stands on: groups and start shared by all runs, an encoder, vectors and more of its own."""
    groups, start = f"groups/{fingerprint('groups')}", f"encoders/{fingerprint('start')}"
    _put(store, groups, {"stage": "prepare"})
    _put(store, start, {"stage": "start", "groups": groups})
    arms = []
    for name, quality in {**qualities, "BM25": GOOD}.items():
        trained = name != "BM25"
        key = fingerprint([revision, name, content, dict(quality), seed])
        encoder, evaluation = f"encoders/{key}", f"evaluations/{key}"
        if trained:
            _put(store, encoder, {"stage": "train", "arm": name, "start": start, "groups": groups})
            _put(store, f"vectors/{key}", {"stage": "encode", "encoder": encoder})
        with write_result_set(store, evaluation, {"stage": "evaluate", "retriever": name}) as folder:
            evaluate(folder, "test", quality, distance, seed)
            figures = headline_figures(json.loads((folder / "summary.json").read_text(encoding="utf-8")))
        arms.append(
            ArmRecord(
                name=name,
                role="trained" if trained else "baseline",
                encoder=encoder if trained else None,
                evaluations={"test": evaluation},
                figures={"test": figures},
            )
        )
    record = RunRecord(
        name="",
        title=title,
        finished=finished or datetime(2026, 1, 1, tzinfo=UTC),
        revision=revision,
        collections={"test": content},
        arms=tuple(arms),
    )
    name = f"runs/{fingerprint([revision, title, content, *(arm.model_dump(mode='json') for arm in arms)])}"
    about = {
        "evaluations": {arm.name: list(arm.evaluations.values()) for arm in arms},
        "encoders": {arm.name: arm.encoder for arm in arms if arm.encoder},
        "record": record.model_dump(mode="json"),
    }
    with write_result_set(store, name, about) as folder:
        (folder / "index.html").write_text("<!doctype html><title>report</title>", encoding="utf-8")
    return read_run(store, name)


def _put(store: Store, name: str, about: dict[str, Any]) -> None:
    with write_result_set(store, name, about) as folder:
        (folder / "data").write_text(name, encoding="utf-8")


def nightly_config(**fields: Any) -> NightlyConfig:
    """A nightly over a run that is never started."""
    run = {
        "name": "small",
        "data": {"train": [{"dataset": "atlas", "split": "train"}], "evaluation": {"test": {"dataset": "atlas"}}},
        "encoder": {"fresh": {"layers": 1}},
    }
    return build_config(NightlyConfig, {"run": run} | fields)


def write_night(store: Store, day: date, run: RunRecord, **fields: Any) -> Night:
    """A night that ran, compared as a nightly compares."""
    config = nightly_config(**fields)
    baseline = baseline_of(day, nights(store), config.baseline, config.accepted)
    begun = datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
    night = judged(store, config, day, run, baseline, begun, begun + timedelta(minutes=3))
    publish(store, night)
    return night
