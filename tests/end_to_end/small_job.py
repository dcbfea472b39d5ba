"""A whole run small enough for tests: its own data in four languages, two arms, a one-layer encoder, 15 steps."""

import json
from pathlib import Path
from typing import Any

import yaml
from distributed.small_run import pairs_fields, write_pairs

FRESH = {"layers": 1, "hidden": 16, "heads": 2, "intermediate": 32, "vocabulary": 300, "dropout": 0.1}


def write_part(folder: Path, name: str, groups: int, seed: int) -> dict[str, Any]:
    """One part of the data, with ids of its own, and the fields that read it."""
    path = folder / f"{name}.jsonl"
    write_pairs(path, groups, seed)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines = [json.dumps(row | {"key": f"{name}-{row['key']}"}, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return pairs_fields(path, name=name)


def job_fields(folder: Path) -> dict[str, Any]:
    """The configuration, over data that are written into the folder."""
    return {
        "name": "small",
        "root": str(folder / "root"),
        "data": {
            "train": [write_part(folder, "train", groups=120, seed=0)],
            "validation": write_part(folder, "validation", groups=20, seed=1),
            "evaluation": {"test": write_part(folder, "test", groups=30, seed=2)},
            "min_groups": 8,
            "row_group_rows": 32,
        },
        "encoder": {"fresh": FRESH},
        "mixing": {"batch": 16},
        "arms": {"X-X": {"mono": 1}, "hybrid": {"mono": 0.5, "cross": 0.5}},
        "training": {
            "steps": 15,
            "threads_per_worker": 1,
            "engine": {"learning_rate": 1e-3},
            "validation": {"every": 10},
            "checkpoint": {"every": 5},
        },
    }


def write_job(folder: Path) -> Path:
    """Write data and configuration; gives the configuration's file."""
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(job_fields(folder), sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path
