"""xm3600: two images in the original form."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cluster.config import build_config
from cluster.errors import ConfigError, DataError
from retrieval.datasets import parse_dataset, read_collection, read_groups
from retrieval.datasets.xm3600 import LOW_RESOURCE, PUBLISHED_CAPTIONS, Xm3600Config, read_captions


def image(key: str, single: tuple[str, ...] = ("bn",)) -> dict[str, Any]:
    """One line of captions.jsonl: two captions in each language, one in those named."""
    fields: dict[str, Any] = {"image/key": key, "image/locale": "bn"}
    for code in PUBLISHED_CAPTIONS:
        texts = [f"{key} {code} {number}" for number in range(1 if code in single else 2)]
        lower = [text.lower() for text in texts]
        fields[code] = {"caption": texts, "caption/tokenized": texts, "caption/tokenized/lowercase": lower}
    return fields


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [json.dumps(image(key)) for key in ("000Ab", "111Cd")]
    (tmp_path / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def xm3600(path: Path, **fields: Any) -> Xm3600Config:
    return build_config(Xm3600Config, {"path": path, "excerpt": True, **fields})


def test_published_counts_add_up() -> None:
    assert len(PUBLISHED_CAPTIONS) == 36
    assert sum(PUBLISHED_CAPTIONS.values()) == 261_375


def test_captions_of_an_image_find_each_other_in_36_languages(folder: Path) -> None:
    collection = read_collection(xm3600(folder))
    assert len(collection.languages) == 36 and "nb" in collection.languages
    assert len(collection.query_ids) == 2 * (2 * 35 + 1)
    # Each caption has all others of its image: 71 - 1.
    assert len(collection.judged_query) == 2 * 71 * 70
    own = collection.query_language[collection.judged_query] == collection.passage_language[collection.judged_passage]
    with_mono = {collection.languages[code] for code in collection.query_language[collection.judged_query[own]]}
    assert with_mono == set(collection.languages) - {"bn"}


def test_groups_of_languages_and_the_first_captions(folder: Path) -> None:
    low = read_collection(xm3600(folder, group="low_resource"))
    assert (low.name, low.languages) == ("xm3600-low_resource", LOW_RESOURCE)
    first = read_captions(xm3600(folder, languages=["no", "en"], max_captions=1))
    assert first == {
        "nb": {"000Ab": ("000Ab no 0",), "111Cd": ("111Cd no 0",)},
        "en": {"000Ab": ("000Ab en 0",), "111Cd": ("111Cd en 0",)},
    }
    with pytest.raises(ConfigError, match="languages and group both choose languages; keep one"):
        parse_dataset({"dataset": "xm3600", "group": "low_resource", "languages": ["en"]})


def test_training_on_it_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="xm3600: is for evaluation only"):
        read_groups(xm3600(folder))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image/key": "000Ab"}, "line 2: image '000Ab' stands twice"),
        ({"sw": ["x"]}, "line 2: 'sw' is a list, expected an object"),
        ({"te": {"caption": "x"}}, "line 2, te: 'caption' is text, expected a list of texts"),
    ],
)
def test_lines_of_another_form_are_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    lines = [json.dumps(image("000Ab")), json.dumps(image("111Cd") | change)]
    (tmp_path / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(said)):
        read_collection(xm3600(tmp_path))


def test_a_file_that_is_not_the_published_one_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"captions\.jsonl: holds 2 images, expected 3600: cut short, or another"):
        read_collection(xm3600(folder, excerpt=False))
    monkeypatch.setattr("retrieval.datasets.xm3600.PUBLISHED_IMAGES", 2)
    with pytest.raises(DataError, match=r"holds 4 captions in 'sw', expected 7046"):
        read_collection(xm3600(folder, excerpt=False, languages=["sw"]))
    (folder / "captions.jsonl").write_text('{"image/key": "a", "xx": {}}', encoding="utf-8")
    with pytest.raises(DataError, match="line 1: holds captions in none of XM3600's languages; there is image/key, xx"):
        read_collection(xm3600(folder))
    with pytest.raises(DataError, match=r"captions\.jsonl: no such file"):
        (folder / "captions.jsonl").unlink()
        read_collection(xm3600(folder))
