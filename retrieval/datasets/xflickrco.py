"""xFlickrCO of IGLUE (Bugliarello et al. 2022, arXiv 2201.11732): 2,000 images, one caption in each of 8 languages.

1,000 images of Flickr30k (the test images of Multi30k's `test_2016_flickr`) and 1,000 of COCO. The captions were
written for the image, not translated. For evaluation only.
"""

from pathlib import Path
from typing import Literal, NoReturn

from cluster.errors import DataError
from retrieval.datasets.captions import (
    Captions,
    CaptionsConfig,
    collection_of_captions,
    files_of_images,
    image_files,
    limit_captions,
)
from retrieval.datasets.checksums import check_file
from retrieval.formats.jsonl import read_jsonl
from retrieval.formats.lines import require_folder
from retrieval.languages import choose_languages
from retrieval.records import Collection

NAME = "xflickrco"
ORIGIN = "github.com/e-bug/iglue, datasets/xFlickrCO/annotations"
LANGUAGES = ("de", "en", "es", "id", "ja", "ru", "tr", "zh")
PUBLISHED_IMAGES = 2000


class XflickrcoConfig(CaptionsConfig):
    """Which languages of xFlickrCO to read."""

    dataset: Literal["xflickrco"] = "xflickrco"

    path: Path = Path("../shared/data/xflickrco")
    """Folder with `test.<language>.jsonl.gz`, or with `<language>/test.jsonl` as published."""


def input_files(config: XflickrcoConfig) -> list[Path]:
    """The files that are read."""
    captions = [_file(config, language) for language in _languages(config)]
    return captions + files_of_images(config, read_captions)


def read_groups(config: XflickrcoConfig) -> NoReturn:
    """Refuse: nothing may be trained on an evaluation set."""
    raise DataError(
        f"{NAME}: is for evaluation only, never for training or validation; name it under the evaluation data sets"
    )


def read_collection(config: XflickrcoConfig) -> Collection:
    """Every caption against all captions; see `collection_of_captions`."""
    captions = read_captions(config)
    return collection_of_captions(NAME, NAME, captions, config.own_text, config.search, image_files(config, captions))


def read_captions(config: XflickrcoConfig) -> Captions:
    """Captions of every image.

    Raises:
        DataError: a file is missing, damaged or not the published one.
    """
    captions = {language: _read(config, language) for language in _languages(config)}
    return limit_captions(captions, config.max_captions)


def _languages(config: XflickrcoConfig) -> tuple[str, ...]:
    require_folder(config.path)
    there = tuple(language for language in LANGUAGES if _file(config, language).exists())
    if not there:
        raise DataError(f"{config.path}: holds none of xFlickrCO's files, such as test.en.jsonl.gz or en/test.jsonl")
    return choose_languages(config.languages, there, config.path)


def _file(config: XflickrcoConfig, language: str) -> Path:
    flat = config.path / f"test.{language}.jsonl"
    forms = (flat.with_name(f"{flat.name}.gz"), flat, config.path / language / "test.jsonl")
    return next((path for path in forms if path.exists()), forms[0])


def _read(config: XflickrcoConfig, language: str) -> dict[str, tuple[str, ...]]:
    path = _file(config, language)
    if not config.excerpt:
        check_file(path, NAME, f"test.{language}.jsonl", ORIGIN)
    captions: dict[str, tuple[str, ...]] = {}
    for record in read_jsonl(path):
        image = record.identifier("id")
        if image in captions:
            raise record.error(f"image '{image}' stands twice in this file")
        captions[image] = record.texts("sentences")
    if not config.excerpt and len(captions) != PUBLISHED_IMAGES:
        raise DataError(f"{path}: holds {len(captions)} images, expected {PUBLISHED_IMAGES}; fetch it from {ORIGIN}")
    return captions
