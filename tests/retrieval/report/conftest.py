"""A run to report on, in the form its stages write: five arms, two collections, telemetry and ledgers."""

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from planted_panels.panels import alphas, lattice
from planted_panels.panels import arm as planted_arm
from planted_panels.studies import PlantedStudy, planted_study

from retrieval.analysis.observations import Arm as StudyArm
from retrieval.report import Arm, ReportFiles, write_report
from retrieval.report.study import write_study_report

LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
UNSEEN = ("el", "vi")
MEASURES = ("mAP", "R@1", "R@10", "R@100", "P@1", "P@10", "S@1", "S@10", "MRR", "nDCG@10")
# How each measure lies to mAP: a plausible shape is all that is needed.
_POWER = {"mAP": 1.0, "R@1": 1.6, "R@10": 0.35, "R@100": 0.1, "P@1": 1.5, "P@10": 4.0, "S@1": 1.5, "S@10": 0.3}

# name -> mix, quality in mono / cross / multi, rank distance
ARMS: dict[str, tuple[dict[str, str] | None, tuple[float, float, float], float]] = {
    "X-X": ({"mono": "1", "cross": "0"}, (0.79, 0.66, 0.54), 410.0),
    "X-Y": ({"mono": "0", "cross": "1"}, (0.75, 0.70, 0.59), 295.0),
    "hybrid": ({"mono": "1/2", "cross": "1/2"}, (0.795, 0.705, 0.593), 287.0),
    "BM25": (None, (0.70, 0.09, 0.11), 1620.0),
    "untrained": (None, (0.12, 0.02, 0.015), 1480.0),
}


def estimate(values: np.ndarray, scale: float = 1.0) -> dict[str, float]:
    """Mean and normal 95 % interval: stands in for the bootstrap."""
    half = 1.96 * float(values.std()) / math.sqrt(len(values))
    return {
        "mean": float(values.mean()) * scale,
        "low": (values.mean() - half) * scale,
        "high": (values.mean() + half) * scale,
    }


def write_evaluation(
    folder: Path,
    collection: str,
    languages: Sequence[str] = LANGUAGES,
    quality: tuple[float, float, float] = (0.8, 0.7, 0.6),
    rank_distance: float = 290.0,
    num_queries: int = 30,
    seed: int = 0,
) -> Path:
    """Write the three files of an evaluation of `num_queries` queries a language."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    ease = dict(zip(languages, rng.uniform(-0.08, 0.06, len(languages)), strict=True))
    rows: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    for query_language in languages:
        for pool in (*languages, "*"):
            setting = "multi" if pool == "*" else "mono" if pool == query_language else "cross"
            middle = quality[("mono", "cross", "multi").index(setting)]
            mean = min(max(middle * (1 + ease[query_language] + ease.get(pool, 0.0)), 0.005), 0.97)
            precision = rng.beta(mean * 3, (1 - mean) * 3, num_queries)
            values = {name: precision ** _POWER.get(name, 0.9) for name in MEASURES}
            rows += [
                {
                    "setting": setting,
                    "query_language": query_language,
                    "pool_language": pool,
                    "query_id": f"q{number}",
                    "num_relevant": len(languages) if pool == "*" else 1,
                }
                | {name: float(values[name][number]) for name in MEASURES}
                for number in range(num_queries)
            ]
            pairs.append(
                {
                    "setting": setting,
                    "query_language": query_language,
                    "pool_language": pool,
                    "num_queries": num_queries,
                }
                | {name: float(values[name].mean()) for name in MEASURES}
            )
    pq.write_table(pa.Table.from_pylist(rows), folder / "per_query.parquet")
    bias = [
        {
            "query_language": language,
            "query_id": f"q{number}",
            "rank_distance": float(rng.gamma(2.0, rank_distance * (1 - 2 * ease[language]) / 2.0)),
            "same_language_share@10": float(rng.beta(2, 5)),
            "language_preference": float(rng.beta(3, 3)),
            "lang_ndcg@10": float(rng.beta(5, 3)),
            "top_relevant_same_language": float(rng.random() < 0.4),
            "top_relevant_other_language": float(rng.random() < 0.2),
        }
        for language in languages
        for number in range(num_queries)
    ]
    table = pa.Table.from_pylist(bias)
    pq.write_table(table, folder / "per_query_bias.parquet")
    summary = summarise(collection, languages, rows, pairs, table)
    (folder / "summary.json").write_text(json.dumps(summary, ensure_ascii=False), encoding="utf-8")
    return folder


def summarise(
    collection: str, languages: Sequence[str], rows: list[dict[str, Any]], pairs: list[dict[str, Any]], bias: pa.Table
) -> dict[str, Any]:
    """`summary.json` from per-query rows."""
    settings = {
        setting: {
            name: estimate(np.array([row[name] for row in rows if row["setting"] == setting])) for name in MEASURES
        }
        for setting in ("mono", "cross", "multi")
        if any(row["setting"] == setting for row in rows)
    }
    over = "cross" if "cross" in settings else "mono"
    by_value = sorted((pair for pair in pairs if pair["setting"] == over), key=lambda pair: pair["mAP"])
    spread = np.array([pair["mAP"] for pair in by_value])
    return {
        "collection": collection,
        "num_queries": sum(row["setting"] == "mono" for row in rows),
        "num_passages": 1200 * len(languages),
        "languages": list(languages),
        "settings": settings,
        "pairs": pairs,
        "bias": {name: estimate(bias[name].to_numpy()) for name in bias.column_names[2:]},
        "language_share@10": {
            "in_pool": dict.fromkeys(languages, 1 / len(languages)),
            "by_query_language": {language: shares_of_first_ten(language, languages) for language in languages},
        },
        "robustness": {
            "mAP": {
                "over": over,
                "std_over_pairs": float(spread.std()),
                "worst_pairs": [
                    {key: pair[key] for key in ("query_language", "pool_language")} | {"value": pair["mAP"]}
                    for pair in by_value[:5]
                ],
                "lowest_decile": float(np.quantile(spread, 0.1)),
            }
        },
    }


def shares_of_first_ten(language: str, languages: Sequence[str]) -> dict[str, float]:
    """A query's own language three times as often as any other."""
    total = len(languages) + 2
    return {other: (3 if other == language else 1) / total for other in languages}


def write_perturbed(folder: Path, languages: Sequence[str], num_queries: int, drop: float) -> Path:
    """`robustness.parquet`: the same drop in every setting and language; in the first one no query could be changed."""
    folder.mkdir(parents=True)
    rows = [
        {
            "setting": setting,
            "query_language": language,
            "measure": measure,
            "num_queries": num_queries * (len(languages) if language == "*" else 1),
            "num_changed": 0 if language == languages[0] else num_queries,
            **dict.fromkeys(("clean", "perturbed", "relative_drop", "low", "high"), None),
        }
        | (
            {}
            if language == languages[0]
            else {
                "clean": 0.5,
                "perturbed": 0.5 * (1 - drop),
                "relative_drop": drop,
                "low": drop - 0.02,
                "high": drop + 0.03,
            }
        )
        for setting in ("mono", "cross", "multi")
        for language in ("*", *languages)
        for measure in ("mAP", "R@1")
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "robustness.parquet")
    return folder


def write_throughput(folder: Path, seconds: float) -> Path:
    """`throughput.json` of an encoder that takes so long for a query."""
    folder.mkdir(parents=True)
    milliseconds = {"p50": 1000 * seconds, "p95": 1200 * seconds, "p99": 1500 * seconds}
    figures = {
        "queries_per_second": 20 / seconds,
        "passages_per_second": 5 / seconds,
        "latency_ms": {
            part: {name: value * share for name, value in milliseconds.items()}
            for part, share in (("encode", 0.9), ("search", 0.1), ("both", 1.0))
        },
        "queries": 512,
        "passages": 500,
        "single_queries": 200,
        "passages_searched": 4800,
        "dimensions": 256,
        "machine": {"processor": "x86_64", "cores": 2, "threads": 1, "torch_threads": 1, "gpu": None},
    }
    (folder / "throughput.json").write_text(json.dumps(figures), encoding="utf-8")
    return folder


def write_telemetry(
    path: Path, kinds: Sequence[str], steps: int, quality: tuple[float, float, float], seed: int
) -> Path:
    """A falling loss per kind, noisy, and a validation every sixth of the way."""
    rng = np.random.default_rng(seed)
    lines: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        kind = kinds[step % len(kinds)]
        floor = {"mono": 0.5, "cross": 0.9, "multi": 1.3, "code_switched": 0.7}[kind]
        loss = floor + 3.9 * math.exp(-step / (steps / 5)) + float(rng.normal(0, 0.12))
        lines.append(
            {
                "event": "step",
                "step": step,
                "loss": loss,
                "kind": kind,
                "source": "atlas",
                "learning_rate": 5e-4 * (1 - step / steps),
                "grad_norm": 0.9,
                "data_wait_seconds": 0.001,
                "step_seconds": 0.2,
            }
        )
        if step % max(1, steps // 6) == 0:
            grown = 1 - math.exp(-step / (steps / 4))
            values = dict(zip(("mono", "cross", "multi"), quality, strict=True))
            lines.append(
                {"event": "validation", "step": step}
                | {name: {"mAP": value * grown + float(rng.normal(0, 0.006))} for name, value in values.items()}
                | {"rank_distance": 900 - 600 * grown}
            )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def write_ledger(path: Path, mix: dict[str, str], steps: int, languages: Sequence[str]) -> Path:
    """What a run of these kinds drew, evenly over languages and pairs."""
    shares = {kind: float(eval_share(share)) for kind, share in mix.items()}
    ledger: dict[str, Any] = {
        "steps": steps,
        "batch": 96,
        "kinds": {kind: {"share": mix[kind], "count": round(shares[kind] * steps)} for kind in mix},
        "sources": {"atlas": {"share": "1", "count": steps}},
        "languages": {},
        "pairs": {},
        "largest_prefix_deviation": 0.5 if len([share for share in shares.values() if share]) > 1 else 0.0,
    }
    slots = {kind: round(shares[kind] * steps) * 96 for kind in mix}
    for kind in (kind for kind in mix if slots[kind]):
        ledger["languages"][kind] = {
            language: slots[kind] // len(languages) + (place < slots[kind] % len(languages))
            for place, language in enumerate(languages)
        }
    if slots.get("cross"):
        ordered = [(one, other) for one in languages for other in languages if one != other]
        ledger["pairs"]["cross"] = [
            [one, other, slots["cross"] // len(ordered) + (place < slots["cross"] % len(ordered))]
            for place, (one, other) in enumerate(ordered)
        ]
    path.write_text(json.dumps(ledger), encoding="utf-8")
    return path


def eval_share(share: str) -> float:
    """ "1/2" -> 0.5."""
    over, _, under = share.partition("/")
    return float(over) / float(under or 1)


def make_arms(
    folder: Path,
    collections: Sequence[str] = ("xquad_r", "atlas_test"),
    languages: Sequence[str] = LANGUAGES,
    steps: int = 600,
    num_queries: int = 30,
    described: Mapping[str, tuple[dict[str, str] | None, tuple[float, float, float], float]] = ARMS,
) -> list[Arm]:
    """Write all files of a run below `folder` and name them."""
    seen = [language for language in languages if language not in UNSEEN]
    arms = []
    for number, (name, (mix, quality, rank_distance)) in enumerate(described.items()):
        place = folder / name
        evaluations = {
            collection: write_evaluation(
                place / collection,
                collection,
                languages,
                quality=tuple(value * (1 - 0.12 * shift) for value in quality),  # type: ignore[arg-type]
                rank_distance=rank_distance,
                num_queries=num_queries,
                seed=10 * shift,
            )
            for shift, collection in enumerate(collections)
        }
        kinds = [kind for kind, share in (mix or {}).items() if share != "0"]
        arms.append(
            Arm(
                name=name,
                role="trained" if mix else "baseline",
                mix=mix,
                evaluations=evaluations,
                perturbed={
                    collections[0]: {
                        perturbation: write_perturbed(place / perturbation, languages, num_queries, drop + number / 100)
                        for perturbation, drop in (("typing_noise", 0.2), ("lower_case", -0.01))
                    }
                },
                throughput={collections[0]: write_throughput(place / "speed", 0.02 * (number + 1))} if mix else {},
                telemetry=write_telemetry(place / "telemetry.jsonl", kinds, steps, quality, number) if mix else None,
                ledger=write_ledger(place / "ledger.json", mix, steps, seen) if mix else None,
                facts={"training seconds": f"{118 + number}", "fingerprint": f"{number}f3a9c01d2b47e6{number}"}
                if mix
                else {},
            )
        )
    return arms


@pytest.fixture(scope="session")
def arms(tmp_path_factory: pytest.TempPathFactory) -> list[Arm]:
    """X-X, X-Y, hybrid, BM25, untrained on two collections of four languages, Greek unseen in training."""
    return make_arms(tmp_path_factory.mktemp("run"), languages=("ar", "el", "en", "zh"), steps=120, num_queries=8)


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory, arms: list[Arm]) -> ReportFiles:
    """The report of `arms`."""
    folder = tmp_path_factory.mktemp("report")
    return write_report(folder, "A run", {"steps": 120, "mix": {"mono": "1/2"}}, arms, ["A note."], {"torch": "2.13.0"})


@pytest.fixture
def write_run(tmp_path: Path) -> Callable[..., list[Arm]]:
    """Write a run of another size or with other languages; see `make_arms`."""
    small = {"collections": ("tiny",), "languages": ("en", "zh"), "steps": 20, "num_queries": 3}
    return lambda **changes: make_arms(tmp_path / "run", **small | changes)


@pytest.fixture(scope="session")
def study_reports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[PlantedStudy, Path]]:
    """Name of a planted study -> the study and the folder of its report, written once."""

    @functools.cache
    def written(name: str) -> tuple[PlantedStudy, Path]:
        study, folder = STUDIES[name](), tmp_path_factory.mktemp(name)
        write_study_report(folder, f"Study {name}", {"name": name, "seeds": [0, 1]}, **study.arguments())
        return study, folder

    return written


STUDIES: dict[str, Callable[[], PlantedStudy]] = {
    "alpha": lambda: planted_study(alphas(11)),
    "simplex": lambda: planted_study(lattice(4), seeds=2, random=1),
    "sizes": lambda: planted_study(alphas(3), axes={"data.limit": [500, 1000, 2000]}, random=2),
    "stopped": lambda: planted_study(alphas(5), stopped=2, random=3),
    "one-seed": lambda: planted_study(lattice(3), seeds=1, random=4),
    "odd": lambda: planted_study(ODD, seeds=2, random=5, keys=[("multi", "mAP"), ("multi", "R@10")]),
}
_EVIL = '<script>alert(1)</script>\u202e$x$ "&='
ODD = (
    planted_arm(mono=Fraction(1)),
    planted_arm(mono=Fraction(1, 4), cross=Fraction(1, 4), multi=Fraction(1, 4), code_switched=Fraction(1, 4)),
    StudyArm(
        (("mono", Fraction(1, 2)), ("cross", Fraction(1, 2))),
        schedule='[{"step": 0, "mono": 1}, {"step": 9, "cross": 1}]',
    ),
    StudyArm((("mono", Fraction(1, 2)), ("cross", Fraction(1, 2))), schedule=_EVIL),
)
