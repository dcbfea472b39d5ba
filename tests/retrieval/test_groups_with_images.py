"""Images on their way through prepare: the same bytes come out, equal ones are one passage, and none leaks."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cluster.config import build_config
from cluster.errors import DataError
from cluster.storage import open_store
from retrieval.datasets import content_fingerprints, parse_dataset, read_groups
from retrieval.groups import PreparedGroups, open_groups
from retrieval.preparation.intake import Spool
from retrieval.prepare import PrepareConfig, prepare, prepared_name
from retrieval.records import Group, Pair

LANGUAGES = ("de", "en")


def photo(path: Path, seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(noise).save(data, "PNG")
    path.write_bytes(data.getvalue())
    return data.getvalue()


def multi30k(folder: Path, images: int, split: str = "train", first: int = 0, **fields: Any) -> dict[str, Any]:
    """A small Multi30k with its images, numbered from `first`; what reads it."""
    captions, pictures = folder / "task1", folder / "pictures"
    (captions / "image_splits").mkdir(parents=True, exist_ok=True)
    pictures.mkdir(exist_ok=True)
    stem = "test_2016_flickr" if split == "test_2016" else split
    numbers = range(first, first + images)
    (captions / "image_splits" / f"{stem}.txt").write_text("".join(f"{number}.jpg\n" for number in numbers))
    for language in LANGUAGES:
        (captions / f"{stem}.{language}").write_text("".join(f"{language} caption {n} .\n" for n in numbers))
    for number in numbers:
        photo(pictures / f"{number}.png", number)
    config = {"dataset": "multi30k", "path": folder, "images": pictures, "split": split, "excerpt": True}
    return config | fields


def prepared(root: Path, *sources: dict[str, Any], **fields: Any) -> PreparedGroups:
    config = build_config(PrepareConfig, {"sources": list(sources), "min_groups": 1, "row_group_rows": 4, **fields})
    return open_groups(prepare(config, open_store(str(root))))


def test_groups_hold_the_files_bytes_and_need_no_file_afterwards(tmp_path: Path) -> None:
    source = multi30k(tmp_path / "data", 10)
    groups = prepared(tmp_path / "root", source)
    (only,) = groups.sources
    assert only.has_images and pq.read_schema(only.shards[0].path).names[-1] == "image"
    assert only.text_columns == [name for name in pq.read_schema(only.shards[0].path).names if name != "image"]
    wanted = {f"multi30k/{number}": (tmp_path / f"data/pictures/{number}.png").read_bytes() for number in range(10)}
    for path in (tmp_path / "data/pictures").iterdir():
        path.unlink()
    assert {group.id: group.image for group in groups.iter_groups()} == wanted
    assert all(group.image is None for group in groups.iter_groups(images=False))


def test_content_names_the_result_and_the_place_does_not(tmp_path: Path) -> None:
    here, there = multi30k(tmp_path / "here", 5), multi30k(tmp_path / "there", 5)

    def name(source: dict[str, Any]) -> str:
        return prepared_name(build_config(PrepareConfig, {"sources": [source]}))

    assert name(here) == name(there)
    assert name(here) != name({key: value for key, value in here.items() if key != "images"})
    photo(tmp_path / "there/pictures/3.png", 99)
    assert name(here) != name(there)
    drawn = parse_dataset({"dataset": "drawn_scenes", "limit": 3})
    bare = parse_dataset({"dataset": "drawn_scenes", "limit": 3, "images": False})
    assert content_fingerprints(drawn) != content_fingerprints(bare)


def test_groups_of_equal_images_share_a_passage_and_equal_captions_of_two_images_both_stay(tmp_path: Path) -> None:
    source = multi30k(tmp_path / "data", 6)
    folder = tmp_path / "data"
    (folder / "pictures/4.png").write_bytes((folder / "pictures/1.png").read_bytes())
    lines = ["the same words .\n", *(f"en caption {number} .\n" for number in range(1, 5)), "the same words .\n"]
    (folder / "task1/train.en").write_text("".join(lines))
    groups = {group.id: group for group in prepared(tmp_path / "root", source).iter_groups()}
    assert len(groups) == 6 and all(set(group.pairs) == set(LANGUAGES) for group in groups.values())
    same_passage = {frozenset(g for g in groups if groups[g].passage_id == groups[h].passage_id) for h in groups}
    assert frozenset({"multi30k/1", "multi30k/4"}) in same_passage
    assert frozenset({"multi30k/0", "multi30k/5"}) in same_passage


def test_sources_with_and_without_images_stand_apart(tmp_path: Path) -> None:
    drawn = {"dataset": "drawn_scenes", "languages": list(LANGUAGES), "limit": 6}
    groups = prepared(tmp_path / "root", multi30k(tmp_path / "data", 5), drawn | {"images": False})
    assert {source.dataset: source.has_images for source in groups.sources} == {"multi30k": True, "drawn_scenes": False}


def test_an_image_of_an_evaluation_set_is_a_leak_whatever_it_is_called(tmp_path: Path) -> None:
    train = multi30k(tmp_path / "train", 5)
    test = multi30k(tmp_path / "test", 4, split="test_2016", first=20, search="text_to_image")
    prepared(tmp_path / "root", train, evaluation=[test])
    (tmp_path / "train/pictures/2.png").write_bytes((tmp_path / "test/pictures/21.png").read_bytes())
    with pytest.raises(DataError, match="group multi30k/2 of training source multi30k has an image of evaluation set"):
        prepared(tmp_path / "root", train, evaluation=[test])
    kept = prepared(tmp_path / "root", train, evaluation=[test], on_leak="drop")
    assert kept.num_groups == 4


def test_missing_and_damaged_images_are_named_and_nothing_is_left_behind(tmp_path: Path) -> None:
    source = multi30k(tmp_path / "data", 5)
    damaged = tmp_path / "data/pictures/3.png"
    damaged.write_bytes(damaged.read_bytes()[:-60])
    with pytest.raises(DataError, match=f"^{damaged}: not a whole image"):
        prepared(tmp_path / "root", source)
    damaged.unlink()
    with pytest.raises(DataError, match=rf"^{tmp_path}/data/pictures/3\.jpg: no such image"):
        prepared(tmp_path / "root", source)
    assert not list((tmp_path / "root").glob("groups/*"))


def test_the_spool_keeps_files_as_files_and_bytes_as_bytes(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    pair = {"en": Pair("q", "p")}
    written = [Group("a", pair, image=Path("some/where.png")), Group("b", pair, image=b"\0file:\xff"), Group("c", pair)]
    for group in written:
        spool.append(group)
    assert [spool.read(number) for number in range(3)] == written
    spool.close()


def test_groups_written_before_there_were_images_still_open(tmp_path: Path) -> None:
    drawn = {"dataset": "drawn_scenes", "languages": list(LANGUAGES), "limit": 6, "images": False}
    groups = prepared(tmp_path / "root", drawn)
    document = json.loads((groups.folder / "groups.json").read_text())
    assert "has_images" not in document["sources"][0]
    assert {group.id for group in groups.iter_groups()} == {group.id for group in read_groups(parse_dataset(drawn))}
