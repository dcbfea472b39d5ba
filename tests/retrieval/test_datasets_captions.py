"""multi30k and xflickrco: small files in the original layouts, and the real ones."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.config import build_config
from cluster.errors import DataError
from retrieval.datasets import content_fingerprints, parse_dataset, read_collection, read_groups, require_inputs
from retrieval.datasets.captions import collection_of_captions, groups_of_captions
from retrieval.datasets.multi30k import Multi30kConfig, read_captions
from retrieval.datasets.xflickrco import LANGUAGES, XflickrcoConfig
from retrieval.records import Collection

SHARED = Path(__file__).parents[3] / "shared" / "data"
with_shared_data = pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets are not in ../shared/data")
CAPTIONS = {
    "de": {"1": ["Ein Hund.", "Ein Tier."], "2": ["Eine Katze.", "Eine Katze."]},
    "fr": {"1": ["Un chien."], "2": ["Un chat."]},
}


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


@pytest.fixture
def multi30k_folder(tmp_path: Path) -> Path:
    """Two images, in the layout of both tasks."""
    write(tmp_path / "task1/image_splits/val.txt.gz", "10.jpg", "20.jpg")
    write(tmp_path / "task2/image_splits/val_images.txt.gz", "10.jpg", "20.jpg")
    for language in ("cs", "de", "en", "fr"):
        write(tmp_path / f"task1/val.{language}.gz", f"dog in {language}", f"cat in {language}")
    for language in ("de", "en"):
        for k in range(1, 6):
            write(tmp_path / f"task2/val.{k}.{language}", f"dog {k} in {language}", f"cat {k} in {language}")
    return tmp_path


def multi30k(path: Path, **fields: Any) -> Multi30kConfig:
    return build_config(Multi30kConfig, {"path": path, "split": "val", "excerpt": True, **fields})


def relevant(collection: Collection) -> dict[tuple[str, str], set[str]]:
    """(query id, language) -> texts of its relevant passages."""
    found: dict[tuple[str, str], set[str]] = {}
    for query, passage in zip(collection.judged_query, collection.judged_passage, strict=True):
        language = collection.languages[collection.query_language[query]]
        found.setdefault((collection.query_ids[query], language), set()).add(collection.passage_texts[passage])
    return found


def test_a_caption_finds_the_other_captions_of_its_image_in_every_language() -> None:
    collection = collection_of_captions("set", "set", CAPTIONS, None)
    found = relevant(collection)
    assert found["set/1", "de"] == {"Ein Tier.", "Un chien."}
    assert found["set/1#2", "de"] == {"Ein Hund.", "Un chien."}
    assert found["set/1", "fr"] == {"Ein Hund.", "Ein Tier."}
    # The same text twice is one query and one candidate.
    assert found["set/2", "de"] == {"Un chat."}
    assert ("set/2#2", "de") not in found
    assert list(collection.passage_texts).count("Eine Katze.") == 1
    assert collection.own_passage is not None
    own = [collection.passage_texts[row] for row in collection.own_passage]
    assert own == list(collection.query_texts)


def test_own_texts_stay_candidates_where_asked_or_where_images_have_one_caption() -> None:
    kept = collection_of_captions("set", "set", CAPTIONS, "candidate")
    assert kept.own_passage is None
    assert relevant(kept)["set/1", "fr"] == {"Ein Hund.", "Ein Tier.", "Un chien."}
    single = {language: {image: texts[:1] for image, texts in images.items()} for language, images in CAPTIONS.items()}
    assert collection_of_captions("set", "set", single, None).own_passage is None
    assert collection_of_captions("set", "set", single, "left_out").own_passage is not None
    with pytest.raises(DataError, match="set: images have one caption each in fr, so nothing is relevant"):
        collection_of_captions("set", "set", {"fr": single["fr"]}, "left_out")


def test_an_empty_caption_is_neither_query_nor_candidate() -> None:
    collection = collection_of_captions(
        "set", "set", {"de": {"1": ["\u200b ", "Ein Tier."]}, "fr": CAPTIONS["fr"]}, None
    )
    assert list(collection.query_texts) == ["Ein Tier.", "Un chien.", "Un chat."]


def test_groups_pair_each_caption_with_the_next() -> None:
    groups = {group.id: group for group in groups_of_captions("set", CAPTIONS)}
    assert list(groups) == ["set/1", "set/1#2", "set/2", "set/2#2"]
    assert {group.passage_id for group in groups.values()} == {"set/1", "set/2"}
    first, second = groups["set/1"], groups["set/1#2"]
    assert (first.pairs["de"].query, first.pairs["de"].passage) == ("Ein Hund.", "Ein Tier.")
    assert (first.pairs["fr"].query, first.pairs["fr"].passage) == ("Un chien.", "Un chien.")
    assert {language: (pair.query, pair.passage) for language, pair in second.pairs.items()} == {
        "de": ("Ein Tier.", "Ein Hund.")
    }


def test_multi30k_reads_both_tasks(multi30k_folder: Path) -> None:
    translated = read_captions(multi30k(multi30k_folder))
    assert translated["cs"] == {"10": ("dog in cs",), "20": ("cat in cs",)}
    independent = read_captions(multi30k(multi30k_folder, task="independent", languages=["en"], max_captions=2))
    assert independent == {"en": {"10": ("dog 1 in en", "dog 2 in en"), "20": ("cat 1 in en", "cat 2 in en")}}
    config = multi30k(multi30k_folder, task="independent")
    require_inputs(config)
    assert len(content_fingerprints(config)) == 1 + 2 * 5
    assert len(list(read_groups(config))) == 2 * 5
    collection = read_collection(config)
    assert (len(collection.query_ids), len(collection.passage_ids)) == (20, 20)
    assert set(np.bincount(collection.judged_query)) == {9}


def test_captions_that_do_not_fit_the_images_are_refused(multi30k_folder: Path) -> None:
    write(multi30k_folder / "task1/val.fr.gz", "dog in fr")
    with pytest.raises(DataError, match=r"val\.fr\.gz: has 1 captions, val\.txt\.gz names 2 images"):
        read_collection(multi30k(multi30k_folder))
    with pytest.raises(DataError, match="task1: has no language 'es'; it has cs, de, en, fr"):
        read_collection(multi30k(multi30k_folder, languages=["es"]))
    with pytest.raises(DataError, match="task1: holds no captions of test_2018"):
        read_collection(multi30k(multi30k_folder, split="test_2018"))


def test_a_file_that_is_not_the_published_one_is_refused(multi30k_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"val\.txt\.gz: its content has SHA-256 \w{12}…, expected db26f03eaf83…: cut short, changed"
    ):
        read_collection(multi30k(multi30k_folder, excerpt=False))
    data = (multi30k_folder / "task1/val.fr.gz").read_bytes()
    (multi30k_folder / "task1/val.fr.gz").write_bytes(data[:-9])
    with pytest.raises(DataError, match=r"val\.fr\.gz: line \d+: the gzip data ends in mid-stream"):
        read_collection(multi30k(multi30k_folder))


def xflickrco(path: Path, **fields: Any) -> XflickrcoConfig:
    return build_config(XflickrcoConfig, {"path": path, "excerpt": True, **fields})


@pytest.mark.parametrize("name", ["test.{}.jsonl.gz", "test.{}.jsonl", "{}/test.jsonl"])
def test_xflickrco_reads_the_published_and_the_flat_layout(tmp_path: Path, name: str) -> None:
    for language in ("de", "tr"):
        lines = [{"id": "7", "sentences": [f"first in {language}"]}, {"id": 8, "sentences": [f"second in {language}"]}]
        write(tmp_path / name.format(language), *map(json.dumps, lines))
    collection = read_collection(xflickrco(tmp_path))
    assert relevant(collection)["xflickrco/8", "tr"] == {"second in de", "second in tr"}
    with pytest.raises(DataError, match="xflickrco: is for evaluation only"):
        read_groups(xflickrco(tmp_path))
    with pytest.raises(DataError, match="expected d057f1fc67bc…: cut short, changed, or another release"):
        read_collection(xflickrco(tmp_path, excerpt=False))


def test_xflickrco_refuses_an_image_that_stands_twice(tmp_path: Path) -> None:
    line = json.dumps({"id": 8, "sentences": ["A cat."]})
    write(tmp_path / "test.en.jsonl", line, line)
    with pytest.raises(DataError, match=r"test\.en\.jsonl: line 2: image '8' stands twice"):
        read_collection(xflickrco(tmp_path))
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match="holds none of xFlickrCO's files"):
        read_collection(xflickrco(tmp_path / "other"))


@pytest.mark.shared_data
@with_shared_data
class TestSharedData:
    def test_multi30k_has_the_images_of_each_split(self) -> None:
        sizes = {
            "train": 29000,
            "val": 1014,
            "test_2016": 1000,
            "test_2017": 1000,
            "test_2017_mscoco": 461,
            "test_2018": 1071,
        }
        for split, images in sizes.items():
            config = parse_dataset({"dataset": "multi30k", "path": SHARED / "multi30k", "split": split})
            captions = read_captions(config)  # type: ignore[arg-type]
            expected = {"de", "en", "fr"} | (set() if "2017" in split else {"cs"})
            assert {language: len(of) for language, of in captions.items()} == dict.fromkeys(expected, images)

    def test_multi30k_independent_captions(self) -> None:
        config = multi30k(SHARED / "multi30k", task="independent", split="test_2016", excerpt=False)
        collection = read_collection(config)
        assert list(np.diff(collection.language_bounds)) == [4982, 4999]
        assert read_captions(config)["en"]["1007129816"][3] == "A man in an orange hat starring at something."
        judged = np.bincount(collection.judged_query)
        assert judged.min() >= 8

    def test_xflickrco_has_2000_images_in_8_languages_and_shares_the_test_images_of_multi30k(self) -> None:
        collection = read_collection(xflickrco(SHARED / "xflickrco", excerpt=False))
        assert collection.languages == LANGUAGES
        multi = read_captions(multi30k(SHARED / "multi30k", split="test_2016", excerpt=False))
        assert {f"xflickrco/{image}" for image in multi["en"]} <= set(collection.query_ids)
        counts = np.bincount(collection.query_language)
        # One German and one Indonesian caption are empty.
        assert dict(zip(collection.languages, counts, strict=True)) == {
            language: 2000 - (language in ("de", "id")) for language in LANGUAGES
        }
