"""Mintaka (Sen et al. 2022, arXiv 2210.01613): complex questions in nine languages, the same in each; answers in
English.

    task                a query searches                       groups
    parallel_questions  the question in other languages        bitext of the questions
    answers             the answers, which are in English      English pairs only: no other language has answers
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cluster.documents import parse_json
from cluster.errors import DataError
from retrieval.cleaning import normalise
from retrieval.datasets.bitext import BitextConfig, collection_of_sentences, groups_of_sentences
from retrieval.datasets.checksums import check_content
from retrieval.formats.jsonl import read_jsonl
from retrieval.formats.lines import read_text, require_folder
from retrieval.formats.record import Record, type_name
from retrieval.languages import choose_languages
from retrieval.records import Collection, Group, Pair, PassageRecord, QueryRecord, collection_from

NAME = "mintaka"
LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "it", "ja", "pt")
PUBLISHED_QUESTIONS = {"train": 14000, "dev": 2000, "test": 4000}

_ENGLISH = "en"


class MintakaConfig(BitextConfig):
    """Which languages, split and task of Mintaka to read."""

    dataset: Literal["mintaka"] = "mintaka"

    path: Path = Path("../shared/data/mintaka")
    """Folder with `<split>.jsonl.gz`, or with the published `mintaka_<split>.json`."""

    split: Literal["train", "dev", "test"] = "dev"
    """Which questions."""

    task: Literal["parallel_questions", "answers"] = "parallel_questions"
    """What a question searches: itself in other languages, or its answer."""


@dataclass(frozen=True, slots=True)
class _Question:
    texts: dict[str, str]
    """Language -> question in normal form."""
    answer: str
    """In English."""


def input_files(config: MintakaConfig) -> list[Path]:
    """The files that are read."""
    return [_file(config)]


def read_groups(config: MintakaConfig) -> Iterator[Group]:
    """Groups of the configured task."""
    questions = _read(config)
    if config.task == "parallel_questions":
        return groups_of_sentences(NAME, _by_language(config, questions))
    return (
        Group(f"{NAME}/{id}", {_ENGLISH: Pair(question.texts[_ENGLISH], question.answer)})
        for id, question in questions.items()
    )


def read_collection(config: MintakaConfig) -> Collection:
    """Questions in other languages, or the distinct answers; several questions may have one answer (`Yes`)."""
    questions = _read(config)
    name = f"{NAME}-{config.split}-{config.task}"
    if config.task == "parallel_questions":
        return collection_of_sentences(NAME, name, _by_language(config, questions), config.own_text)
    languages = _languages(config)
    answers = {question.answer: f"{NAME}/answer-{id}@{_ENGLISH}" for id, question in reversed(questions.items())}
    queries = [
        QueryRecord(f"{NAME}/{id}", language, question.texts[language], {answers[question.answer]: 1})
        for language in languages
        for id, question in questions.items()
    ]
    passages = [PassageRecord(id, _ENGLISH, answer) for answer, id in answers.items()]
    return collection_from(name, tuple(dict.fromkeys([*languages, _ENGLISH])), queries, passages)


def _languages(config: MintakaConfig) -> tuple[str, ...]:
    return choose_languages(config.languages, LANGUAGES, config.path)


def _by_language(config: MintakaConfig, questions: dict[str, _Question]) -> dict[str, dict[str, str]]:
    return {
        language: {id: question.texts[language] for id, question in questions.items()}
        for language in _languages(config)
    }


def _file(config: MintakaConfig) -> Path:
    require_folder(config.path)
    names = (f"{config.split}.jsonl.gz", f"{config.split}.jsonl", f"mintaka_{config.split}.json")
    return next((config.path / name for name in names if (config.path / name).exists()), config.path / names[0])


def _read(config: MintakaConfig) -> dict[str, _Question]:
    """Questions by id."""
    path = _file(config)
    questions = dict(_published(path) if path.suffix == ".json" else map(_packed, read_jsonl(path)))
    if not config.excerpt:
        texts = {f"{id} {code}": text for id, question in questions.items() for code, text in question.texts.items()}
        texts |= {f"{id} answer": question.answer for id, question in questions.items()}
        count = PUBLISHED_QUESTIONS[config.split] * (len(LANGUAGES) + 1)
        check_content(path, NAME, config.split, texts, count)
    return questions


def _packed(record: Record) -> tuple[str, _Question]:
    return _question(record, record.record("question"), record.text("answer_mention_en"))


def _published(path: Path) -> Iterator[tuple[str, _Question]]:
    try:
        items = parse_json(read_text(path))
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); cut short or damaged?") from None
    if not isinstance(items, list):
        raise DataError(f"{path}: holds {type_name(items)}, expected a list of questions")
    for number, item in enumerate(items):
        record = Record.of(path, f"item {number}", item)
        texts = record.record("translations")
        every = Record(path, texts.place, {_ENGLISH: record.text("question"), **texts.fields})
        yield _question(record, every, record.record("answer").text("mention"))


def _question(record: Record, texts: Record, answer: str) -> tuple[str, _Question]:
    if sorted(texts.fields) != sorted(LANGUAGES):
        raise texts.error(f"expected the question in {', '.join(LANGUAGES)}; found {', '.join(sorted(texts.fields))}")
    normal = {code: normalise(texts.text(code)) for code in texts.fields}
    return record.identifier("id"), _Question(normal, normalise(answer))
