"""NTREX-128 (Federmann et al. 2022): the 1,997 English sentences of WMT's newstest2019, translated into 128 languages.

Bitext: see `retrieval.datasets.bitext`. Line n of every file is the same sentence; `eng` is the source text.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cluster.errors import DataError
from retrieval.datasets.bitext import BitextConfig, collection_of_sentences, groups_of_sentences, read_parts
from retrieval.formats.lines import read_lines, require_folder
from retrieval.language_codes import files_by_language
from retrieval.records import Collection, Group

NAME = "ntrex_128"
PUBLISHED_SENTENCES = 1997

_BEFORE_CODE = ("newstest2019-src.", "newstest2019-ref.", "")
_ENDINGS = (".txt.gz", ".txt")


class Ntrex128Config(BitextConfig):
    """Which languages of NTREX-128 to read."""

    dataset: Literal["ntrex_128"] = "ntrex_128"

    path: Path = Path("../shared/data/ntrex-128")
    """Folder with `<language>.txt.gz`, or with the published `newstest2019-{src,ref}.<language>.txt`."""


def input_files(config: Ntrex128Config) -> list[Path]:
    """The files that are read."""
    return list(files_by_language(_files(config.path), config.languages, config.path).values())


def read_groups(config: Ntrex128Config) -> Iterator[Group]:
    """One group per sentence: its translations."""
    return groups_of_sentences(NAME, _sentences(config))


def read_collection(config: Ntrex128Config) -> Collection:
    """Every sentence against all sentences."""
    return collection_of_sentences(NAME, NAME, _sentences(config), config.own_text)


def _sentences(config: Ntrex128Config) -> dict[str, dict[str, str]]:
    return read_parts(NAME, config, _files(config.path), _read, PUBLISHED_SENTENCES)


def _files(folder: Path) -> dict[str, Path]:
    """The data set's language codes -> files."""
    require_folder(folder)
    files: dict[str, Path] = {}
    for ending in _ENDINGS:
        for path in sorted(folder.glob(f"*{ending}")):
            name = path.name.removesuffix(ending)
            before = next(prefix for prefix in _BEFORE_CODE if name.startswith(prefix))
            # `newstest2019-ref-2.spa` is a second Spanish translation, beside the one that everybody compares with.
            if not name.startswith("newstest2019-ref-2."):
                files.setdefault(name.removeprefix(before), path)
    if not files:
        raise DataError(f"{folder}: holds none of NTREX-128's files, such as deu.txt.gz or newstest2019-ref.deu.txt")
    return files


def _read(path: Path) -> dict[str, str]:
    return {f"newstest2019-{number:04d}": text.rstrip("\r\n") for number, text in read_lines(path)}
