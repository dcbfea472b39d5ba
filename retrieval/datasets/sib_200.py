"""SIB-200 (Adelani et al. 2024, arXiv 2309.07445): 1,004 sentences of FLORES-200, the same in 205 languages.

Bitext: see `retrieval.datasets.bitext`. The sentences are about half of FLORES-200's dev and devtest sets.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cluster.errors import DataError
from retrieval.datasets.bitext import BitextConfig, collection_of_sentences, groups_of_sentences, read_parts
from retrieval.datasets.checksums import check_content
from retrieval.formats.jsonl import read_jsonl
from retrieval.formats.lines import read_text, require_folder
from retrieval.language_codes import files_by_language
from retrieval.records import Collection, Group

NAME = "sib_200"
PUBLISHED_SENTENCES = 1004
PUBLISHED_SPLITS = {"train": 701, "dev": 99, "test": 204}
"""Sentences of each split, in every language."""

_ENDINGS = (".jsonl.gz", ".jsonl")


class Sib200Config(BitextConfig):
    """Which languages and split of SIB-200 to read."""

    dataset: Literal["sib_200"] = "sib_200"

    path: Path = Path("../shared/data/sib-200")
    """Folder with `<language>.jsonl.gz` and `meta.jsonl.gz`, or the published `data/annotated` with
    `<language>/*.tsv`."""

    split: Literal["train", "dev", "test", "all"] = "all"
    """Which sentences."""


def input_files(config: Sib200Config) -> list[Path]:
    """The files that are read."""
    chosen = files_by_language(_places(config), config.languages, config.path)
    if _is_published_form(config):
        return [place / f"{split}.tsv" for place in chosen.values() for split in PUBLISHED_SPLITS]
    return [_file(config.path, "meta"), *chosen.values()]


def read_groups(config: Sib200Config) -> Iterator[Group]:
    """One group per sentence: its translations."""
    return groups_of_sentences(NAME, _sentences(config))


def read_collection(config: Sib200Config) -> Collection:
    """Every sentence of the split against all sentences of the split."""
    return collection_of_sentences(NAME, f"{NAME}-{config.split}", _sentences(config), config.own_text)


def _sentences(config: Sib200Config) -> dict[str, dict[str, str]]:
    published = _is_published_form(config)
    read = _read_published if published else _read_packed
    of_all = read_parts(NAME, config, _places(config), read, PUBLISHED_SENTENCES)
    if config.split == "all":
        return of_all
    splits = _splits_published(next(iter(_places(config).values()))) if published else _splits_packed(config)
    return {
        language: {id: text for id, text in texts.items() if splits.get(id) == config.split}
        for language, texts in of_all.items()
    }


def _is_published_form(config: Sib200Config) -> bool:
    require_folder(config.path)
    return any(config.path.glob("*/test.tsv"))


def _places(config: Sib200Config) -> dict[str, Path]:
    """Language code of the data set -> its file, or its folder of TSV files."""
    if _is_published_form(config):
        return {path.parent.name: path.parent for path in sorted(config.path.glob("*/test.tsv"))}
    codes = {path.name.partition(".")[0] for ending in _ENDINGS for path in config.path.glob(f"*{ending}")} - {"meta"}
    if not codes:
        raise DataError(f"{config.path}: holds none of SIB-200's files, such as eng_Latn.jsonl.gz or eng_Latn/test.tsv")
    return {code: _file(config.path, code) for code in sorted(codes)}


def _file(folder: Path, code: str) -> Path:
    packed, plain = (folder / f"{code}{ending}" for ending in _ENDINGS)
    return packed if packed.exists() else plain


def _id(number: str) -> str:
    # `flores` in the id: numbers alone would be equal to those of other data sets, and the leakage rule compares ids.
    return f"flores-{int(number):04d}"


def _read_packed(path: Path) -> dict[str, str]:
    return {_id(str(record.whole_number("index_id"))): record.text("text") for record in read_jsonl(path)}


def _splits_packed(config: Sib200Config) -> dict[str, str]:
    path = _file(config.path, "meta")
    splits = {_id(str(record.whole_number("index_id"))): record.text("split") for record in read_jsonl(path)}
    if not config.excerpt:
        check_content(path, NAME, "meta", splits, PUBLISHED_SENTENCES)
    return splits


def _read_published(folder: Path) -> dict[str, str]:
    return {id: text for split in PUBLISHED_SPLITS for id, text in _read_tsv(folder / f"{split}.tsv").items()}


def _splits_published(folder: Path) -> dict[str, str]:
    return {id: split for split in PUBLISHED_SPLITS for id in _read_tsv(folder / f"{split}.tsv")}


def _read_tsv(path: Path) -> dict[str, str]:
    """Sentences of a published file: columns index_id, category, text; quoted where the text holds quotes."""
    rows = csv.DictReader(io.StringIO(read_text(path)), delimiter="\t")
    texts = {}
    number = 1
    try:
        for number, row in enumerate(rows, 2):
            index, text = row.get("index_id"), row.get("text")
            if not index or not index.isdecimal() or text is None:
                raise DataError(f"{path}: row {number}: expected the columns index_id, category, text; cut short?")
            texts[_id(index)] = text
    except csv.Error as error:
        raise DataError(f"{path}: row {number + 1}: {error}; fetch it again") from None
    return texts
