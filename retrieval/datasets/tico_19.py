"""TICO-19 (Anastasopoulos et al. 2020): English sentences about COVID-19, translated into 37 languages.

Bitext: see `retrieval.datasets.bitext`. 3,070 translations in each language of 3,340 different English sentences; 2,908
sentences exist in all. An id is a hash of the English text, so it is the same in every form of the files.
"""

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from cluster.errors import DataError
from retrieval.cleaning import normalise
from retrieval.datasets.bitext import BitextConfig, collection_of_sentences, groups_of_sentences
from retrieval.datasets.checksums import check_content
from retrieval.formats.archives import ARCHIVE_ERRORS
from retrieval.formats.jsonl import read_jsonl
from retrieval.formats.lines import require_file, require_folder
from retrieval.language_codes import files_by_language
from retrieval.records import Collection, Group

NAME = "tico_19"
PUBLISHED_TRANSLATIONS = 3070
PUBLISHED_ENGLISH = 3340

_ENGLISH = "en"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_MAX_TMX_BYTES = 64 << 20
_DAMAGE: tuple[type[Exception], ...] = (ElementTree.ParseError, *ARCHIVE_ERRORS)


class Tico19Config(BitextConfig):
    """Which languages of TICO-19 to read."""

    dataset: Literal["tico_19"] = "tico_19"

    path: Path = Path("../shared/data/tico-19")
    """Folder with `en.jsonl.gz` and `<language>.jsonl.gz`, or with the published `all.en-<language>.tmx.zip`."""


def input_files(config: Tico19Config) -> list[Path]:
    """The files that are read."""
    files = _translation_files(config)
    return list(files.values()) if _is_published_form(config) else [_packed(config, _ENGLISH), *files.values()]


def read_groups(config: Tico19Config) -> Iterator[Group]:
    """One group per English sentence: its translations, and itself where English is read."""
    return groups_of_sentences(NAME, _sentences(config))


def read_collection(config: Tico19Config) -> Collection:
    """Every sentence against all sentences."""
    return collection_of_sentences(NAME, NAME, _sentences(config), config.own_text)


def _sentences(config: Tico19Config) -> dict[str, dict[str, str]]:
    files = _translation_files(config)
    published = _is_published_form(config)
    english_of = {} if published else _read_numbered(_packed(config, _ENGLISH))
    id_of = _ids(english_of)
    english: dict[str, str] = _first_by_id(english_of, id_of)
    if not published and not config.excerpt:
        check_content(_packed(config, _ENGLISH), NAME, _ENGLISH, english, PUBLISHED_ENGLISH)
    sentences: dict[str, dict[str, str]] = {}
    for language, path in files.items():
        if published:
            translations, english_of = _read_tmx(path)
            id_of = _ids(english_of)
            english |= _first_by_id(english_of, id_of)
        else:
            translations = _read_numbered(path)
            missing = translations.keys() - id_of.keys()
            if missing:
                raise DataError(f"{path}: sentence {min(missing)} is not among the English ones")
        sentences[language] = _first_by_id(translations, id_of)
        if not config.excerpt:
            code = path.name.removeprefix("all.en-").split(".")[0]
            check_content(path, NAME, code, sentences[language], PUBLISHED_TRANSLATIONS)
    if config.languages is None or _ENGLISH in config.languages:
        sentences[_ENGLISH] = english
    return sentences


def _ids(english: dict[int, str]) -> dict[int, str]:
    """Number -> id of the sentence with this English text."""
    return {
        number: f"tico-{hashlib.blake2b(text.encode(), digest_size=8, person=b'tico-19').hexdigest()}"
        for number, text in english.items()
    }


def _first_by_id(texts: dict[int, str], id_of: dict[int, str]) -> dict[str, str]:
    """Texts by id; of several with the same English text, the first."""
    by_id: dict[str, str] = {}
    for number, text in texts.items():
        by_id.setdefault(id_of[number], text)
    return by_id


def _is_published_form(config: Tico19Config) -> bool:
    require_folder(config.path)
    return any(config.path.glob("all.en-*.tmx.zip"))


def _packed(config: Tico19Config, code: str) -> Path:
    packed, plain = (config.path / f"{code}{ending}" for ending in (".jsonl.gz", ".jsonl"))
    return packed if packed.exists() else plain


def _translation_files(config: Tico19Config) -> dict[str, Path]:
    """Canonical code -> file of the languages wanted besides English."""
    if _is_published_form(config):
        paths = sorted(config.path.glob("all.en-*.tmx.zip"))
        files = {path.name.removeprefix("all.en-").removesuffix(".tmx.zip"): path for path in paths}
        files.pop("fa.old", None)
    else:
        codes = {path.name.partition(".")[0] for path in config.path.glob("*.jsonl*")} - {_ENGLISH}
        files = {code: _packed(config, code) for code in sorted(codes)}
    if not files:
        raise DataError(f"{config.path}: holds none of TICO-19's files, such as fr.jsonl.gz or all.en-fr.tmx.zip")
    wanted = None if config.languages is None else [code for code in config.languages if code != _ENGLISH]
    if wanted == []:
        raise DataError(f"{config.path}: languages names English only; name the languages it is translated into")
    return files_by_language(files, wanted, config.path)


def _read_numbered(path: Path) -> dict[int, str]:
    return {record.whole_number("n"): normalise(record.text("text")) for record in read_jsonl(path)}


def _read_tmx(path: Path) -> tuple[dict[int, str], dict[int, str]]:
    """Translations and English sentences by position, from a zip archive that holds one TMX file."""
    require_file(path)
    translations, english = {}, {}
    try:
        with zipfile.ZipFile(path) as archive:
            # Archives made on a Mac hold `__MACOSX/._name.tmx` beside the file itself.
            members = [info for info in archive.infolist() if Path(info.filename).name.endswith(".tmx")]
            members = [info for info in members if not info.filename.startswith("__MACOSX/")]
            if len(members) != 1 or members[0].file_size > _MAX_TMX_BYTES:
                raise DataError(f"{path}: expected an archive of one .tmx file of at most {_MAX_TMX_BYTES >> 20} MiB")
            units = ElementTree.fromstring(archive.read(members[0])).iter("tu")
    except _DAMAGE as error:
        raise DataError(f"{path}: not a whole TMX archive ({error}); fetch it again") from None
    for number, unit in enumerate(units):
        texts = {tuv.get(_LANGUAGE, ""): normalise("".join(tuv.itertext())) for tuv in unit.iter("tuv")}
        if len(texts) != 2 or _ENGLISH not in texts:
            raise DataError(f"{path}: unit {number + 1}: expected English and one more language, found {sorted(texts)}")
        english[number] = texts.pop(_ENGLISH)
        translations[number] = texts.popitem()[1]
    return translations, english
