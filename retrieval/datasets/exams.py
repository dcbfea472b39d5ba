"""EXAMS (Hardalov et al. 2020, arXiv 2011.03080): school exam questions with choices in 16 languages, partly parallel.

    task                a query searches                       groups
    answers             the right choice of its question       hard negatives: the wrong choices
    parallel_questions  the question in other languages        bitext of the questions that exist in several

A question's id is the smallest one among its translations, whichever languages are read.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cluster.errors import DataError
from retrieval.cleaning import is_empty, normalise
from retrieval.datasets.bitext import BitextConfig, collection_of_sentences, groups_of_sentences
from retrieval.datasets.checksums import check_content
from retrieval.formats.jsonl import read_jsonl
from retrieval.formats.lines import require_folder
from retrieval.formats.record import Record
from retrieval.languages import choose_languages
from retrieval.records import Collection, Group, Pair, collection_from_groups

NAME = "exams"
LANGUAGE_NAMES = {
    "Albanian": "sq", "Arabic": "ar", "Bulgarian": "bg", "Croatian": "hr", "French": "fr", "German": "de",
    "Hungarian": "hu", "Italian": "it", "Lithuanian": "lt", "North Macedonian": "mk", "Macedonian": "mk",
    "Polish": "pl", "Portuguese": "pt", "Serbian": "sr", "Spanish": "es", "Turkish": "tr", "Vietnamese": "vi",
}  # fmt: skip
"""The data set names languages in English."""
PUBLISHED_QUESTIONS = {"train": 7961, "dev": 2672, "test": 13510}
_PARALLEL = "parallel_questions"


class ExamsConfig(BitextConfig):
    """Which languages, splits and task of EXAMS to read."""

    dataset: Literal["exams"] = "exams"

    path: Path = Path("../shared/data/exams")
    """Folder with `multilingual.<split>.jsonl.gz` or `<split>.jsonl`, and `parallel_questions.jsonl[.gz]`."""

    split: Literal["train", "dev", "test", "all"] = "train"
    """Which questions; no question has its translation in another split."""

    task: Literal["answers", "parallel_questions"] = "answers"
    """What a question searches: its right choice, or itself in other languages."""

    query: Literal["stem", "stem_and_choices"] = "stem_and_choices"
    """What stands for a question. Many stems ("Which of the following is true?") mean nothing without the choices."""


@dataclass(frozen=True, slots=True)
class ExamQuestion:
    """One question in one language; texts in normal form."""

    group: str
    """The smallest id among its translations."""
    language: str
    stem: str
    choices: tuple[str, ...]
    right: str | None
    """The right choice; None where the data set does not say which it is."""


def input_files(config: ExamsConfig) -> list[Path]:
    """The files that are read."""
    return [_file(config, "parallel_questions"), *(_split_file(config, split) for split in _splits(config))]


def read_groups(config: ExamsConfig) -> Iterator[Group]:
    """Groups of the configured task. A question without a known right choice is in none of `answers`."""
    questions = read_questions(config)
    if config.task == "parallel_questions":
        yield from groups_of_sentences(NAME, _by_language(config, questions))
        return
    groups: dict[str, dict[str, Pair]] = {}
    for question in questions:
        if question.right is not None and not is_empty(question.stem):
            wrong = tuple(choice for choice in question.choices if choice != question.right)
            pair = Pair(_query_text(config, question), question.right, wrong)
            groups.setdefault(question.group, {})[question.language] = pair
    for group, pairs in groups.items():
        yield Group(f"{NAME}/{group}", pairs)


def read_collection(config: ExamsConfig) -> Collection:
    """Questions in other languages, or the right choices of all questions, each text of a language once."""
    questions = read_questions(config)
    languages = tuple(dict.fromkeys(question.language for question in questions))
    name = f"{NAME}-{config.split}-{config.task}"
    if config.task == "parallel_questions":
        return collection_of_sentences(NAME, name, _by_language(config, questions), config.own_text)
    return collection_from_groups(name, list(read_groups(config)), languages)


def read_questions(config: ExamsConfig) -> list[ExamQuestion]:
    """All questions of the split in the languages wanted, language by language.

    Raises:
        DataError: a file is missing, damaged or not the published one; a language is not there.
    """
    by_id: dict[str, Record] = {}
    for split in _splits(config):
        path = _split_file(config, split)
        of_split = {record.identifier("id"): record for record in read_jsonl(path)}
        if not config.excerpt:
            texts = {id: normalise(_as_json(record)) for id, record in of_split.items()}
            check_content(path, NAME, split, texts, PUBLISHED_QUESTIONS[split])
        by_id |= of_split
    group_of = _groups(config, _file(config, _PARALLEL))
    questions = [_question(record, group_of.get(id, id)) for id, record in by_id.items()]
    there = sorted({question.language for question in questions})
    chosen = choose_languages(config.languages, there, config.path)
    return [question for language in chosen for question in questions if question.language == language]


def _question(record: Record, group: str) -> ExamQuestion:
    question = record.record("question")
    language = record.record("info").text("language")
    if language not in LANGUAGE_NAMES:
        raise record.error(f"language '{language}' is none of EXAMS's; known: {', '.join(LANGUAGE_NAMES)}")
    choices = {}
    for choice in question.items("choices"):
        of_choice = Record.of(record.path, f"{record.place}, a choice", choice)
        choices[of_choice.text("label")] = normalise(of_choice.text("text"))
    return ExamQuestion(
        group=group,
        language=LANGUAGE_NAMES[language],
        stem=normalise(question.text("stem")),
        choices=tuple(choices.values()),
        right=choices.get(record.text("answerKey")),
    )


def _as_json(record: Record) -> str:
    return json.dumps(dict(record.fields), sort_keys=True, ensure_ascii=False)


def _query_text(config: ExamsConfig, question: ExamQuestion) -> str:
    return " ".join([question.stem, *question.choices]) if config.query == "stem_and_choices" else question.stem


def _by_language(config: ExamsConfig, questions: list[ExamQuestion]) -> dict[str, dict[str, str]]:
    """The questions that exist in two of the languages or more: language -> id -> text."""
    counts: dict[str, int] = {}
    for question in questions:
        counts[question.group] = counts.get(question.group, 0) + 1
    texts: dict[str, dict[str, str]] = {}
    for question in questions:
        if counts[question.group] > 1 and not is_empty(question.stem):
            texts.setdefault(question.language, {})[question.group] = _query_text(config, question)
    if not texts:
        raise DataError(f"{config.path}: no question of the {config.split} split exists in two of the languages read")
    return texts


def _groups(config: ExamsConfig, path: Path) -> Mapping[str, str]:
    """Question id -> smallest id of its translations and itself; the file names the translations of each question."""
    translations = {id: record.texts(id) for record in read_jsonl(path) for id in record.fields}
    if not config.excerpt:
        check_content(path, NAME, _PARALLEL, {id: " ".join(others) for id, others in translations.items()})
    return {id: min([id, *others]) for id, others in translations.items()}


def _splits(config: ExamsConfig) -> tuple[str, ...]:
    return tuple(PUBLISHED_QUESTIONS) if config.split == "all" else (config.split,)


def _split_file(config: ExamsConfig, split: str) -> Path:
    packed = _file(config, f"multilingual.{split}")
    return packed if packed.exists() else _file(config, split)


def _file(config: ExamsConfig, stem: str) -> Path:
    require_folder(config.path)
    packed, plain = (config.path / f"{stem}{ending}" for ending in (".jsonl.gz", ".jsonl"))
    return packed if packed.exists() else plain
