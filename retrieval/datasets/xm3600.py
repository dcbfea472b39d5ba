"""Crossmodal-3600 (Thapliyal et al. 2022, arXiv 2205.12522): 3,600 images, captioned in each of 36 languages.

261,375 captions, as a rule two of an image in a language; Bengali has one, Māori one or two. For evaluation only.
"""

from pathlib import Path
from typing import Literal, NoReturn

from pydantic import model_validator

from cluster.errors import DataError
from retrieval.datasets.captions import (
    Captions,
    CaptionsConfig,
    collection_of_captions,
    files_of_images,
    image_files,
    limit_captions,
)
from retrieval.formats.jsonl import read_jsonl
from retrieval.formats.lines import require_folder
from retrieval.formats.record import Record
from retrieval.language_codes import canonical_code
from retrieval.languages import choose_languages
from retrieval.records import Collection

NAME = "xm3600"
ORIGIN = "google.github.io/crossmodal-3600"
PUBLISHED_IMAGES = 3600
PUBLISHED_CAPTIONS = {
    **{"ar": 7367, "bn": 3600, "cs": 7207, "da": 7264, "de": 8643, "el": 7204, "en": 7200, "es": 8614, "fa": 7245},
    **{"fi": 7127, "fil": 7109, "fr": 8562, "hi": 8503, "hr": 7280, "hu": 7216, "id": 7126, "it": 8471, "he": 7200},
    **{"ja": 7185, "ko": 7650, "mi": 4732, "nl": 8059, "no": 7213, "pl": 7141, "pt": 7243, "quz": 7200, "ro": 7123},
    **{"ru": 7200, "sv": 7273, "sw": 7046, "te": 7200, "th": 7200, "tr": 7233, "uk": 7215, "vi": 7350, "zh": 7174},
}
"""Captions of each language, by XM3600's own codes; 261,375 in all (table 3 of the paper)."""
LOW_RESOURCE = ("bn", "mi", "quz", "sw", "te")
"""Bengali, Māori, Cusco Quechua, Swahili and Telugu: the low-resource languages that the paper added to 31 others."""


class Xm3600Config(CaptionsConfig):
    """Which captions of XM3600 to read."""

    dataset: Literal["xm3600"] = "xm3600"

    path: Path = Path("../shared/data/xm3600")
    """Folder with `captions.jsonl` (gzipped works, too)."""

    group: Literal["low_resource"] | None = None
    """Read a group of languages instead of `languages`: `low_resource` is bn, mi, quz, sw and te."""

    @model_validator(mode="after")
    def _check_choice(self) -> "Xm3600Config":
        if self.group and self.languages:
            raise ValueError("languages and group both choose languages; keep one")
        return self


def input_files(config: Xm3600Config) -> list[Path]:
    """The files that are read."""
    return [_file(config), *files_of_images(config, read_captions)]


def read_groups(config: Xm3600Config) -> NoReturn:
    """Refuse: nothing may be trained on an evaluation set."""
    raise DataError(
        f"{NAME}: is for evaluation only, never for training or validation; name it under the evaluation data sets"
    )


def read_collection(config: Xm3600Config) -> Collection:
    """Every caption against all captions; see `collection_of_captions`."""
    name = f"{NAME}-{config.group}" if config.group else NAME
    captions = read_captions(config)
    return collection_of_captions(NAME, name, captions, config.own_text, config.search, image_files(config, captions))


def read_captions(config: Xm3600Config) -> Captions:
    """Captions of every image, by the canonical codes of the languages.

    Raises:
        DataError: the file is missing, damaged, of another form, or has not the published number of images or captions.
    """
    path = _file(config)
    captions: dict[str, dict[str, tuple[str, ...]]] = {}
    code_of: dict[str, str] = {}
    seen: set[str] = set()
    for record in read_jsonl(path):
        image = record.identifier("image/key")
        code_of = code_of or _languages(config, record)
        if image in seen:
            raise record.error(f"image '{image}' stands twice in this file")
        seen.add(image)
        for language, code in code_of.items():
            captions.setdefault(language, {})[image] = _captions(record, code)
    if not config.excerpt:
        _check_counts(path, len(seen), {code: captions[language] for language, code in code_of.items()})
    return limit_captions(captions, config.max_captions)


def _file(config: Xm3600Config) -> Path:
    require_folder(config.path)
    packed, plain = config.path / "captions.jsonl.gz", config.path / "captions.jsonl"
    return packed if packed.exists() else plain


def _languages(config: Xm3600Config, record: Record) -> dict[str, str]:
    """Canonical code -> XM3600's code, of the languages to read; the first image has them all."""
    there = {canonical_code(code): code for code in PUBLISHED_CAPTIONS if code in record.fields}
    if not there:
        raise record.error(f"holds captions in none of XM3600's languages; there is {', '.join(record.fields)}")
    wanted = LOW_RESOURCE if config.group else config.languages
    return {language: there[language] for language in choose_languages(wanted, tuple(there), record.path)}


def _captions(record: Record, code: str) -> tuple[str, ...]:
    return record.record(code).texts("caption")


def _check_counts(path: Path, images: int, captions: dict[str, dict[str, tuple[str, ...]]]) -> None:
    way_out = f"cut short, or another release; fetch it again from {ORIGIN}, or set excerpt: true for a part of it"
    if images != PUBLISHED_IMAGES:
        raise DataError(f"{path}: holds {images} images, expected {PUBLISHED_IMAGES}: {way_out}")
    for code, of_language in captions.items():
        found = sum(map(len, of_language.values()))
        if found != PUBLISHED_CAPTIONS[code]:
            raise DataError(
                f"{path}: holds {found} captions in '{code}', expected {PUBLISHED_CAPTIONS[code]}: {way_out}"
            )
