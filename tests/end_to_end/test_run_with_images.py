"""A whole run with both towers: drawn scenes, batches of captions and images, searches in both directions, a report."""

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.errors import EXIT_OK
from cluster.ray_runtime import RayConfig, ray_cluster
from jobs.cli import main
from retrieval.datasets import parse_dataset, read_groups
from retrieval.encode import encode_images
from retrieval.encoder.folder import load_encoder

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SCENES = {"dataset": "drawn_scenes", "languages": ["de", "en"]}
TEST = SCENES | {"split": "test", "limit": 20}
FIELDS: dict[str, Any] = {
    "name": "small-with-images",
    "data": {
        "train": [SCENES | {"limit": 64}],
        "validation": SCENES | {"split": "validation", "limit": 8},
        "evaluation": {
            "text-to-image": TEST | {"search": "text_to_image"},
            "image-to-text": TEST | {"search": "image_to_text"},
        },
        "min_groups": 8,
        "row_group_rows": 16,
    },
    "encoder": {
        "fresh": {"layers": 1, "hidden": 16, "heads": 2, "intermediate": 16, "vocabulary": 300, "dropout": 0.0},
        "image": {
            "fresh": {"layers": 1, "hidden": 12, "heads": 2, "intermediate": 16, "image_size": 32, "patch_size": 16}
        },
    },
    "mixing": {"batch": 8, "image_share": "1/2", "mix": {"mono": 0.5, "multi": 0.5}},
    "training": {
        "steps": 16,
        "workers": 2,
        "cpus_per_worker": 0.5,
        "threads_per_worker": 1,
        "engine": {"learning_rate": 1e-3, "zero_stage": 2, "gradient_caching": True, "micro_batches": 2},
        "loss": {"symmetric": True},
        "validation": {"every": 8, "measure": "cross.mAP"},
        "checkpoint": {"every": 8},
    },
    "evaluation": {"baselines": ["untrained"]},
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with ray_cluster(RayConfig(), cpus_needed=4):
        yield


def test_both_towers_are_trained_judged_in_both_directions_and_reported(cluster: None, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    # JSON is YAML, and writes what stands twice out, where YAML would refer back.
    path.write_text(json.dumps(FIELDS | {"root": str(tmp_path / "root")}), encoding="utf-8")
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert main(["run", "--config", str(path), "--json"]) == EXIT_OK
    result = json.loads(output.getvalue().splitlines()[-1])  # Ray may write of itself before
    trained = result["evaluations"]["mix"]
    assert set(trained["text-to-image"]) == {"cross", "multi"}
    assert {"cross", "multi", "rank_distance"} <= set(trained["image-to-text"])
    assert trained != result["evaluations"]["untrained"]
    page = Path(result["report"]).read_text(encoding="utf-8")
    assert "text-to-image" in page and "image-to-text" in page

    folders = [path.parent for path in (tmp_path / "root").rglob("ledger.json")]
    assert len(folders) == 1
    ledger = json.loads((folders[0] / "ledger.json").read_text())
    assert ledger["images"] == {"share": "1/2", "captions to images": 4, "images to captions": 4}
    events = [json.loads(line) for line in (folders[0] / "telemetry.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events].count("validation") == 2
    # Both towers moved: the trained one sees other things in a picture than the one it started from.
    pictures = [group.image for group in read_groups(parse_dataset(TEST)) if group.image]
    encoders = [load_encoder(path.parent)[0] for path in (tmp_path / "root").rglob("mixlingual.json")]
    vectors = [encode_images(encoder, pictures) for encoder in encoders]
    assert len(vectors) == 2 and np.abs(vectors[0] - vectors[1]).max() > 1e-3
