"""TyDi QA, gold passage task v1.1 (Clark et al. 2020, arXiv 2003.05002): questions and the paragraphs that answer them.

Nine languages, each by its own speakers: nothing is parallel, so a group has one language, and an evaluation has
monolingual and multilingual settings only. MIRACL and XOR-QA took questions from the same source: do not train on one
and report the other.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cluster.config import Config
from cluster.errors import DataError
from retrieval.cleaning import normalise
from retrieval.datasets.checksums import check_content
from retrieval.formats.lines import require_folder
from retrieval.formats.squad import SquadParagraph, read_squad
from retrieval.language_codes import CanonicalLanguages
from retrieval.languages import choose_languages
from retrieval.records import Group, Pair

NAME = "tydi_qa"
LANGUAGE_NAMES = {
    "arabic": "ar", "bengali": "bn", "english": "en", "finnish": "fi", "indonesian": "id", "korean": "ko",
    "russian": "ru", "swahili": "sw", "telugu": "te",
}  # fmt: skip
"""How question ids of the published files begin."""
PUBLISHED_QUESTIONS = {
    "dev": {"ar": 921, "bn": 113, "en": 440, "fi": 782, "id": 565, "ko": 276, "ru": 812, "sw": 499, "te": 669},
    "train": {
        "ar": 14805, "bn": 2390, "en": 3696, "fi": 6855, "id": 5702, "ko": 1625, "ru": 6490, "sw": 2755, "te": 5563,
    },
}  # fmt: skip


class TydiQaConfig(Config):
    """Which languages and split of TyDi QA's gold passage task to read."""

    dataset: Literal["tydi_qa"] = "tydi_qa"

    path: Path = Path("../shared/data/tydiqa-goldp")
    """Folder with `tydiqa.goldp.<language>.<split>.json.gz`, or with the published `tydiqa-goldp-v1.1-<split>.json`."""

    languages: CanonicalLanguages | None = None
    """Languages to read, by any of their codes; all there are where not given."""

    split: Literal["train", "dev"] = "train"
    """Which questions."""

    excerpt: bool = False
    """The files hold only part of the data set: do not check published counts and checksums."""


def input_files(config: TydiQaConfig) -> list[Path]:
    """The files that are read."""
    published = _published_file(config)
    return [published] if published.exists() else [_file(config, language) for language in _languages(config)]


def read_groups(config: TydiQaConfig) -> Iterator[Group]:
    """One group per question, with its paragraph; questions on the same paragraph share its id.

    Raises:
        DataError: a file is missing, damaged or not the published one; a language is not there.
    """
    for language, (path, paragraphs) in _paragraphs(config).items():
        ids = _question_ids(f"{language}-{config.split}", paragraphs)
        if not config.excerpt:
            pairs = [(q.text, paragraph.context) for paragraph in paragraphs for q in paragraph.questions]
            texts = {id: normalise(f"{text}\n{context}") for id, (text, context) in zip(ids, pairs, strict=True)}
            count = PUBLISHED_QUESTIONS[config.split][language]
            check_content(path, NAME, f"{language}.{config.split}", texts, count)
        next_id, first_with_text = iter(ids), dict[str, str]()
        for number, paragraph in enumerate(paragraphs):
            own_id = f"{NAME}/{language}-{config.split}-p{number:05d}"
            passage_id = first_with_text.setdefault(normalise(paragraph.context), own_id)
            for question in paragraph.questions:
                pairs_of = {language: Pair(question.text, paragraph.context)}
                yield Group(f"{NAME}/{next(next_id)}", pairs_of, passage_id)


def _paragraphs(config: TydiQaConfig) -> dict[str, tuple[Path, list[SquadParagraph]]]:
    """Language -> its file and paragraphs."""
    published = _published_file(config)
    if not published.exists():
        return {
            language: (_file(config, language), read_squad(_file(config, language))) for language in _languages(config)
        }
    of_language: dict[str, list[SquadParagraph]] = {}
    for paragraph in read_squad(published):
        name = paragraph.questions[0].id.partition("-")[0] if paragraph.questions else ""
        if name not in LANGUAGE_NAMES:
            raise DataError(f"{published}: a question's id begins with '{name}', expected a language such as arabic-")
        of_language.setdefault(LANGUAGE_NAMES[name], []).append(paragraph)
    chosen = choose_languages(config.languages, sorted(of_language), published)
    return {language: (published, of_language[language]) for language in chosen}


def _question_ids(position: str, paragraphs: list[SquadParagraph]) -> list[str]:
    """The file's own ids; positions where these are not unique, as in some copies of the training files."""
    ids = [question.id for paragraph in paragraphs for question in paragraph.questions]
    return ids if len(set(ids)) == len(ids) else [f"{position}-q{number:05d}" for number in range(len(ids))]


def _published_file(config: TydiQaConfig) -> Path:
    require_folder(config.path)
    return config.path / f"tydiqa-goldp-v1.1-{config.split}.json"


def _languages(config: TydiQaConfig) -> tuple[str, ...]:
    there = tuple(code for code in sorted(LANGUAGE_NAMES.values()) if _file(config, code).exists())
    if not there:
        raise DataError(
            f"{config.path}: holds none of TyDi QA's {config.split} files, such as {_file(config, 'en').name}"
        )
    return choose_languages(config.languages, there, config.path)


def _file(config: TydiQaConfig, language: str) -> Path:
    packed = config.path / f"tydiqa.goldp.{language}.{config.split}.json.gz"
    return packed if packed.exists() else packed.with_suffix("")
