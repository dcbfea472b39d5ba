"""FLORES-200 (NLLB Team 2022, arXiv 2207.04672): sentences of Wikimedia pages, the same in 204 languages.

Bitext: see `retrieval.datasets.bitext`. Line n of every file is the same sentence: 997 in `dev`, 1,012 in `devtest`.
SIB-200 consists of about half of both: do not train on one and report the other.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cluster.errors import DataError
from retrieval.datasets.bitext import BitextConfig, collection_of_sentences, groups_of_sentences, read_parts
from retrieval.formats.lines import read_lines, require_folder
from retrieval.language_codes import files_by_language
from retrieval.records import Collection, Group

NAME = "flores"
PUBLISHED_SENTENCES = {"dev": 997, "devtest": 1012}


class FloresConfig(BitextConfig):
    """Which languages and split of FLORES-200 to read."""

    dataset: Literal["flores"] = "flores"

    path: Path
    """The published folder `flores200_dataset`, with `dev/<language>.dev` and `devtest/<language>.devtest`."""

    split: Literal["dev", "devtest"] = "devtest"
    """Which sentences."""


def input_files(config: FloresConfig) -> list[Path]:
    """The files that are read."""
    return list(files_by_language(_files(config), config.languages, config.path).values())


def read_groups(config: FloresConfig) -> Iterator[Group]:
    """One group per sentence: its translations."""
    return groups_of_sentences(NAME, _sentences(config))


def read_collection(config: FloresConfig) -> Collection:
    """Every sentence of the split against all sentences of the split."""
    return collection_of_sentences(NAME, f"{NAME}-{config.split}", _sentences(config), config.own_text)


def _sentences(config: FloresConfig) -> dict[str, dict[str, str]]:
    def read(path: Path) -> dict[str, str]:
        return {f"flores-{config.split}-{number:04d}": text.rstrip("\r\n") for number, text in read_lines(path)}

    return read_parts(NAME, config, _files(config), read, PUBLISHED_SENTENCES[config.split])


def _files(config: FloresConfig) -> dict[str, Path]:
    folder = config.path / config.split
    require_folder(folder)
    files = {path.name.removesuffix(f".{config.split}"): path for path in sorted(folder.glob(f"*.{config.split}"))}
    if not files:
        raise DataError(f"{folder}: holds none of FLORES-200's files, such as eng_Latn.{config.split}")
    return files
