"""What has to do with images and does not go together is found before anything starts."""

from pathlib import Path
from typing import Any

import pytest

from cluster.config import build_config, with_overrides
from cluster.errors import ConfigError, DataError
from jobs.check import check
from jobs.config import RunConfig

FIELDS: dict[str, Any] = {
    "name": "images",
    "data": {
        "train": [{"dataset": "drawn_scenes", "limit": 200}],
        "evaluation": {"found": {"dataset": "drawn_scenes", "split": "test", "search": "text_to_image"}},
    },
    "encoder": {"fresh": {}, "image": {"fresh": {}}},
    "mixing": {"image_share": "1/2"},
    "evaluation": {"baselines": ["untrained"]},
}


def checked(root: Path, *overrides: str) -> list[str]:
    return check(build_config(RunConfig, with_overrides(FIELDS, overrides)), str(root))


def test_a_run_with_images_is_valid(tmp_path: Path) -> None:
    assert "found = drawn_scenes (test)" in " ".join(checked(tmp_path))
    assert checked(tmp_path, "mixing.image_share=0", "data.train.0.images=false")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["encoder.image="], r"^encoder\.image: missing, but mixing\.image_share needs a tower for images"),
        (["encoder.image=", "mixing.image_share=0"], r"^encoder\.image: missing, but data\.evaluation\.found needs"),
        (["data.train.0.images=false"], r"mixing\.image_share: no training source has images"),
        (["evaluation.baselines=[bm25]"], r"^evaluation\.baselines: bm25 reads no images, and data\.evaluation\.found"),
        (["evaluation.throughput=true"], r"^evaluation\.throughput: measured on texts only"),
        (["mixing.image_share=-1"], r"mixing\.image_share"),
    ],
)
def test_what_does_not_go_together_is_named(tmp_path: Path, overrides: list[str], message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        checked(tmp_path, *overrides)
