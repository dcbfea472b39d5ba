"""Multi30k (Elliott et al. 2016, arXiv 1605.00459): captions of Flickr30k's images, translated and independent.

task          languages     captions of an image        train   val    test_2016  test_2017  test_2018  test_2017_mscoco
translated    en de fr cs   1, translations             29,000  1,014  1,000      1,000      1,071      461
independent   en de         5, written for the image    29,000  1,014  1,000

`test_2017` and `test_2017_mscoco` have no Czech. Captions in other languages and the same layout (Flickr30k-X, say) are
read, too; only their numbers of lines can be checked.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cluster.errors import DataError
from retrieval.datasets.captions import (
    Captions,
    CaptionsConfig,
    collection_of_captions,
    files_of_images,
    groups_of_captions,
    image_files,
    limit_captions,
)
from retrieval.datasets.checksums import check_file
from retrieval.formats.lines import read_lines, require_folder
from retrieval.language_codes import canonical_code
from retrieval.languages import choose_languages
from retrieval.records import LANGUAGE_CODE, Collection, Group

NAME = "multi30k"
ORIGIN = "github.com/multi30k/dataset"
Split = Literal["train", "val", "test_2016", "test_2017", "test_2017_mscoco", "test_2018"]

_FOLDERS = {"translated": "task1", "independent": "task2"}
_FILE_SPLITS = {"test_2016": "test_2016_flickr", "test_2017": "test_2017_flickr", "test_2018": "test_2018_flickr"}
"""Names of the test splits in task 1."""


class Multi30kConfig(CaptionsConfig):
    """Which captions of Multi30k to read."""

    dataset: Literal["multi30k"] = "multi30k"

    path: Path = Path("../shared/data/multi30k")
    """Folder with `task1` and `task2`; in them `<split>.<language>.gz` (plain, too) or `<split>.<k>.<language>.gz`, and
    `image_splits`."""

    task: Literal["translated", "independent"] = "translated"
    """`translated`: one caption of each image and its translations; `independent`: five captions per language."""

    split: Split = "train"
    """Which images."""


def input_files(config: Multi30kConfig) -> list[Path]:
    """The files that are read."""
    captions = [path for code in _languages(config).values() for path in _caption_files(config, code)]
    return [_images_file(config), *captions, *files_of_images(config, read_captions)]


def read_groups(config: Multi30kConfig) -> Iterator[Group]:
    """Groups of the split's captions; see `groups_of_captions`."""
    captions = read_captions(config)
    return groups_of_captions(NAME, captions, image_files(config, captions))


def read_collection(config: Multi30kConfig) -> Collection:
    """Every caption of the split against all captions; see `collection_of_captions`."""
    name = f"{NAME}-{config.task}-{config.split}"
    captions = read_captions(config)
    return collection_of_captions(NAME, name, captions, config.own_text, config.search, image_files(config, captions))


def read_captions(config: Multi30kConfig) -> Captions:
    """Captions of every image of the split.

    Raises:
        DataError: a file is missing, damaged, not the published one, or has not one line for each image.
    """
    languages = _languages(config)
    images = [_image_name(line) for line in _read(config, _images_file(config))]
    if len(set(images)) != len(images):
        raise DataError(f"{_images_file(config)}: names an image twice; fetch it again from {ORIGIN}")
    captions = {}
    for language, code in languages.items():
        columns = []
        for path in _caption_files(config, code):
            columns.append(_read(config, path))
            if len(columns[-1]) != len(images):
                raise DataError(
                    f"{path}: has {len(columns[-1])} captions, {_images_file(config).name} names {len(images)} images; "
                    "line n of one belongs to line n of the other"
                )
        captions[language] = dict(zip(images, zip(*columns, strict=True), strict=True))
    return limit_captions(captions, config.max_captions)


def _folder(config: Multi30kConfig) -> Path:
    return config.path / _FOLDERS[config.task]


def _images_file(config: Multi30kConfig) -> Path:
    stem = f"{config.split}_images" if config.task == "independent" else _file_split(config)
    return _plain_or_packed(_folder(config) / "image_splits" / f"{stem}.txt")


def _caption_files(config: Multi30kConfig, code: str) -> list[Path]:
    folder, split = _folder(config), _file_split(config)
    if config.task == "translated":
        return [_plain_or_packed(folder / f"{split}.{code}")]
    numbers = range(1, 6)
    return [_plain_or_packed(folder / f"{split}.{number}.{code}") for number in numbers]


def _file_split(config: Multi30kConfig) -> str:
    return _FILE_SPLITS.get(config.split, config.split) if config.task == "translated" else config.split


def _plain_or_packed(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    return path if path.exists() and not packed.exists() else packed


def _languages(config: Multi30kConfig) -> dict[str, str]:
    """Canonical code -> the code in the names of the files."""
    folder = _folder(config)
    require_folder(folder)
    number = r"\.1" if config.task == "independent" else ""
    pattern = re.compile(rf"{_file_split(config)}{number}\.({LANGUAGE_CODE.pattern})(\.gz)?")
    there = {match[1] for path in folder.iterdir() if (match := pattern.fullmatch(path.name))} - {"gz"}
    if not there:
        raise DataError(f"{folder}: holds no captions of {config.split}; its files are called {config.split}.en.gz, …")
    code_of = {canonical_code(code): code for code in sorted(there)}
    return {language: code_of[language] for language in choose_languages(config.languages, tuple(code_of), folder)}


def _read(config: Multi30kConfig, path: Path) -> list[str]:
    if not config.excerpt:
        check_file(path, NAME, path.relative_to(config.path).as_posix().removesuffix(".gz"), ORIGIN)
    return [text.rstrip("\r\n") for _, text in read_lines(path)]


def _image_name(line: str) -> str:
    """`1007129816.jpg` and `COCO_val2014_000000398076.jpg#657409` without the ending and the caption's number."""
    return line.strip().partition("#")[0].removesuffix(".jpg")
