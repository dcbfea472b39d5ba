"""Tatoeba as LASER has it (Artetxe and Schwenk 2019, arXiv 1812.10464): up to 1,000 sentence pairs X-English, 112
languages.

Bitext: see `retrieval.datasets.bitext`. The English side differs from language to language, so a group has two
languages: X and English. The English sentences of all languages read stand in one pool: with one language it is the
published task, with more the search for the English one is harder.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cluster.errors import DataError
from retrieval.cleaning import normalise
from retrieval.datasets.bitext import BitextConfig, collection_of_sentences, groups_of_sentences
from retrieval.datasets.checksums import check_content
from retrieval.formats.jsonl import read_jsonl
from retrieval.formats.lines import read_lines, require_folder
from retrieval.language_codes import canonical_code
from retrieval.languages import choose_languages
from retrieval.records import Collection, Group

NAME = "tatoeba"
_OF_1000 = """
bel ber bre cat ces cmn cor deu dtp epo fin hin hun ind ita jpn kab kzj mhr mkd nno nob rus sqi tat tur war wuu
"""
_OF_FEWER = {
    "slv": 823, "kat": 746, "mal": 687, "tha": 548, "mon": 440, "bos": 354, "tel": 234, "tuk": 203, "fry": 173,
    "cha": 137, "ang": 134, "ast": 127,
}  # fmt: skip
PUBLISHED_PAIRS = dict.fromkeys(_OF_1000.split(), 1000) | _OF_FEWER
"""Pairs of the 40 languages whose content is known; the other 72 are read without that check."""

_ENGLISH = "en"


class TatoebaConfig(BitextConfig):
    """Which languages of Tatoeba to read."""

    dataset: Literal["tatoeba"] = "tatoeba"

    path: Path = Path("../shared/data/tatoeba")
    """Folder with one `*.jsonl.gz` of all languages, or with the published `tatoeba.<language>-eng.<language or
    eng>`."""


def input_files(config: TatoebaConfig) -> list[Path]:
    """The files that are read."""
    packed = _packed_file(config.path)
    if packed is not None:
        return [packed]
    codes = _published_codes(config.path)
    return [path for code in _chosen(config, tuple(codes)).values() for path in _published_pair(config.path, code)]


def read_groups(config: TatoebaConfig) -> Iterator[Group]:
    """One group per pair: the sentence and its English translation."""
    return groups_of_sentences(NAME, _sentences(config))


def read_collection(config: TatoebaConfig) -> Collection:
    """Every sentence against all sentences: English ones search each language, those of a language the English ones."""
    return collection_of_sentences(NAME, NAME, _sentences(config), config.own_text)


def _sentences(config: TatoebaConfig) -> dict[str, dict[str, str]]:
    packed = _packed_file(config.path)
    pairs = None if packed is None else _read_packed(packed)
    sentences: dict[str, dict[str, str]] = {_ENGLISH: {}}
    for language, code in _chosen(config, tuple(pairs or _published_codes(config.path))).items():
        of_code = pairs[code] if pairs else _read_published(config.path, code)
        if not config.excerpt:
            where = packed if packed is not None else _published_pair(config.path, code)[0]
            _check(where, code, of_code)
        sentences[language] = {f"{code}-{number:04d}": text for number, (text, _) in enumerate(of_code)}
        sentences[_ENGLISH] |= {f"{code}-{number:04d}": english for number, (_, english) in enumerate(of_code)}
    return sentences


def _check(where: Path, code: str, pairs: list[tuple[str, str]]) -> None:
    texts = {f"{number}": f"{text}\t{english}" for number, (text, english) in enumerate(pairs)}
    try:
        check_content(where, NAME, code, texts, PUBLISHED_PAIRS.get(code))
    except DataError as error:
        raise DataError(f"{error} (language {code})") from None


def _chosen(config: TatoebaConfig, codes: tuple[str, ...]) -> dict[str, str]:
    """Canonical code -> the data set's code, of the languages wanted besides English."""
    code_of = {canonical_code(code): code for code in codes}
    wanted = None if config.languages is None else [code for code in config.languages if code != _ENGLISH]
    if wanted == []:
        raise DataError(f"{config.path}: languages names English only; name the languages it is paired with")
    return {language: code_of[language] for language in choose_languages(wanted, sorted(code_of), config.path)}


def _packed_file(folder: Path) -> Path | None:
    require_folder(folder)
    found = sorted(path for path in folder.iterdir() if path.name.endswith((".jsonl", ".jsonl.gz")))
    if len(found) > 1:
        raise DataError(f"{folder}: holds {found[0].name} and {found[1].name}; keep one file of all languages")
    return found[0] if found else None


def _read_packed(path: Path) -> dict[str, list[tuple[str, str]]]:
    pairs: dict[str, list[tuple[str, str]]] = {}
    for record in read_jsonl(path):
        of_code = pairs.setdefault(record.text("lang"), [])
        if record.whole_number("n") != len(of_code):
            raise record.error(f"'n' is {record.fields['n']}, expected {len(of_code)}: pairs are missing before it")
        of_code.append((normalise(record.text("text")), normalise(record.text("eng"))))
    return pairs


def _published_codes(folder: Path) -> list[str]:
    codes = [path.name.split(".")[1].removesuffix("-eng") for path in sorted(folder.glob("tatoeba.*-eng.eng"))]
    if not codes:
        raise DataError(f"{folder}: holds none of Tatoeba's files, such as tatoeba.deu-eng.deu")
    return codes


def _published_pair(folder: Path, code: str) -> tuple[Path, Path]:
    return folder / f"tatoeba.{code}-eng.{code}", folder / f"tatoeba.{code}-eng.eng"


def _read_published(folder: Path, code: str) -> list[tuple[str, str]]:
    sides = [[normalise(text) for _, text in read_lines(path)] for path in _published_pair(folder, code)]
    if len(sides[0]) != len(sides[1]):
        raise DataError(
            f"{_published_pair(folder, code)[0]}: holds {len(sides[0])} sentences, its English side {len(sides[1])}; "
            f"cut short?"
        )
    return list(zip(*sides, strict=True))
