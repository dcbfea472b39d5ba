"""Studies of encoders that train in a second."""

from typing import Any

from cluster.config import build_config
from jobs.ablation.study import StudyConfig

LANGUAGES = ["de", "el", "en"]


def small_study(**fields: Any) -> StudyConfig:
    """Two mixes of a tiny encoder on a few groups of the atlas; `fields` replace its own."""
    return build_config(StudyConfig, small_fields(**fields))


def small_fields(**fields: Any) -> dict[str, Any]:
    """Plain fields of `small_study`."""

    def atlas(split: str, limit: int) -> dict[str, Any]:
        return {"dataset": "atlas", "split": split, "languages": LANGUAGES, "limit": limit}

    run = {
        "name": "small",
        "data": {
            "train": [atlas("train", 200)],
            "validation": atlas("validation", 30),
            "evaluation": {"atlas": atlas("test", 40)},
            "min_groups": 16,
        },
        "encoder": {
            "fresh": {"layers": 1, "hidden": 32, "heads": 2, "intermediate": 64, "vocabulary": 600, "dropout": 0.0},
            "attention": "eager",
            "max_query_tokens": 24,
            "max_passage_tokens": 32,
        },
        "mixing": {"batch": 16},
        "training": {
            "steps": 12,
            "threads_per_worker": 1,
            "engine": {"learning_rate": 1e-3, "precision": "fp32"},
            "validation": {"every": 4, "keep": "last", "max_groups": 20},
            "checkpoint": {"every": 4},
        },
    }
    mixes = [{"design": "list", "mixes": [{"mono": 1}, {"cross": 1}]}]
    analysis = {"resamples": 200}
    return {"name": "small", "run": run, "mixes": mixes, "seeds": [0], "analysis": analysis} | fields
