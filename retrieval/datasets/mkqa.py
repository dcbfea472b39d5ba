"""MKQA (Longpre et al. 2021, arXiv 2007.15207): 10,000 open-domain questions in 26 languages, with short answers.

Read in full (`mkqa.jsonl.gz`) or as the subset of the MIA 2022 shared task (12 languages, a file for each part
and language):

part              questions   answers
dev               1,758       yes
test_noanswers    5,000       no

    task: questions   a question searches its translations
    task: answers     a question searches the answers of all questions, in every language
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeVar

from cluster.errors import DataError
from cluster.fingerprint import file_sha256
from retrieval.cleaning import is_empty, normalise
from retrieval.datasets.bitext import collection_of_sentences, groups_of_sentences
from retrieval.datasets.checksums import check_digest, check_file
from retrieval.datasets.splits import Amount, SplitConfig, ids_of_split
from retrieval.formats.jsonl import read_jsonl
from retrieval.formats.lines import require_folder
from retrieval.formats.record import Record
from retrieval.language_codes import CanonicalLanguages, canonical_code
from retrieval.languages import choose_languages
from retrieval.records import Collection, Group, Pair, PassageRecord, QueryRecord, collection_from

NAME = "mkqa"
ORIGIN = "github.com/apple/ml-mkqa, dataset/mkqa.jsonl.gz"
LANGUAGES = (
    *("ar", "da", "de", "en", "es", "fi", "fr", "he", "hu", "it", "ja", "km", "ko", "ms", "nl", "no", "pl", "pt", "ru"),
    *("sv", "th", "tr", "vi", "zh_cn", "zh_hk", "zh_tw"),
)
"""MKQA's own codes; `languages` takes any, ids and settings have the canonical ones (zh, zh-HK, zh-Hant, nb)."""
PUBLISHED_QUESTIONS = 10_000
SUBSET = {"dev": 1758, "test_noanswers": 5000}
"""Questions of each part of the subset."""

T = TypeVar("T")
_FULL = ("mkqa.jsonl.gz", "mkqa.jsonl")


class MkqaConfig(SplitConfig):
    """Which questions of MKQA to read, and what they search."""

    dataset: Literal["mkqa"] = "mkqa"

    path: Path = Path("../shared/data/mkqa")
    """Folder with `mkqa.jsonl.gz`, or with the subset's `<part>.<language>.jsonl.gz`."""

    languages: CanonicalLanguages | None = None
    """Languages to read, by any of their codes; all there are where not given."""

    part: Literal["all", "dev", "test_noanswers"] = "all"
    """Part of the subset; the full data set has no parts."""

    task: Literal["questions", "answers"] = "questions"
    """What a question searches: its translations, or answers. Questions without an answer are then left out."""

    own_text: Literal["left_out", "candidate"] = "left_out"
    """With `task: questions`: leave a question out of its own rankings, or keep it as one more relevant passage."""

    held_out: Amount = Fraction(0)
    """Size of the test split: a number of questions, or a share below 1."""

    excerpt: bool = False
    """The files hold only part of the data set: do not check their SHA-256 and the published counts."""


@dataclass(frozen=True)
class Questions:
    """Questions and answers; language -> id -> text, or texts of which the first is the one to show."""

    questions: Mapping[str, Mapping[str, str]]
    answers: Mapping[str, Mapping[str, Sequence[str]]]


def input_files(config: MkqaConfig) -> list[Path]:
    """The files that are read."""
    full = _full_file(config)
    if full is not None:
        return [full]
    return [_subset_file(config, part, code) for code in _subset_languages(config).values() for part in _parts(config)]


def read_groups(config: MkqaConfig) -> Iterator[Group]:
    """One group per question: its translations, or the question and its first answer in each language."""
    data = _read(config)
    if config.task == "questions":
        return groups_of_sentences(NAME, data.questions)
    return _answer_groups(data)


def read_collection(config: MkqaConfig) -> Collection:
    """Every question against all questions, or against the answers of all.

    Candidates of `answers` are the distinct first answers of all questions in each language. Relevant to a question are
    the candidates that equal one of its answers (or aliases) in their language, letter case aside.
    """
    data = _read(config)
    parts = [NAME, *([config.task] if config.task == "answers" else []), config.part, config.split]
    name = "-".join(part for part in parts if part != "all")
    if config.task == "questions":
        return collection_of_sentences(NAME, name, data.questions, config.own_text)
    return _answer_collection(name, data)


def _answer_groups(data: Questions) -> Iterator[Group]:
    for id in dict.fromkeys(id for of_language in data.answers.values() for id in of_language):
        pairs = {
            language: Pair(data.questions[language][id], answers[id][0])
            for language, answers in data.answers.items()
            if id in answers
        }
        yield Group(id=f"{NAME}/{id}", pairs=pairs)


def _answer_collection(name: str, data: Questions) -> Collection:
    passages: dict[tuple[str, str], PassageRecord] = {}
    for language, answers in data.answers.items():
        for id, texts in answers.items():
            key = (language, _folded(texts[0]))
            passages.setdefault(key, PassageRecord(f"{NAME}/{id}@{language}", language, texts[0]))
    relevant: dict[str, dict[str, int]] = {}
    for language, answers in data.answers.items():
        for id, texts in answers.items():
            found = (passages.get((language, _folded(text))) for text in texts)
            relevant.setdefault(id, {}).update((passage.id, 1) for passage in found if passage is not None)
    queries = [
        QueryRecord(f"{NAME}/{id}", language, data.questions[language][id], relevant[id])
        for language, answers in data.answers.items()
        for id in answers
    ]
    return collection_from(name, tuple(data.questions), queries, list(passages.values()))


def _read(config: MkqaConfig) -> Questions:
    full = _full_file(config)
    data = _read_subset(config) if full is None else _read_full(config, full)
    every = (id for of_language in data.questions.values() for id in of_language)
    chosen = set(ids_of_split(config, every, config.path))
    return Questions(
        {language: _only(texts, chosen) for language, texts in data.questions.items()},
        {language: _only(texts, chosen) for language, texts in data.answers.items()},
    )


def _read_full(config: MkqaConfig, path: Path) -> Questions:
    if not config.excerpt and path.suffix == ".gz":
        # What is known of the full data set is the digest of the packed file.
        check_digest(path, NAME, _FULL[0], file_sha256(path), ORIGIN)
    code_of = {canonical_code(code): code for code in LANGUAGES}
    languages = choose_languages(config.languages, tuple(code_of), path)
    questions: dict[str, dict[str, str]] = {language: {} for language in languages}
    answers: dict[str, dict[str, Sequence[str]]] = {language: {} for language in languages}
    for record in read_jsonl(path):
        id = record.identifier("example_id")
        if id in questions[languages[0]]:
            raise record.error(f"example_id '{id}' stands twice in this file")
        queries, of_question = record.record("queries"), record.record("answers")
        for language in languages:
            code = code_of[language]
            questions[language][id] = queries.text(code)
            texts = [text for answer in of_question.items(code) for text in _texts(of_question, answer)]
            if texts:
                answers[language][id] = texts
    count = len(questions[languages[0]])
    if not config.excerpt and count != PUBLISHED_QUESTIONS:
        raise DataError(f"{path}: holds {count} questions, expected {PUBLISHED_QUESTIONS}; fetch it from {ORIGIN}")
    return Questions(questions, answers)


def _texts(record: Record, answer: object) -> list[str]:
    """Text and aliases of one answer; none for the types `unanswerable` and `long_answer`, whose text is null."""
    fields = Record.of(record.path, f"{record.place}, an answer", answer)
    text = fields.optional_text("text")
    return [] if text is None or is_empty(text) else [text, *fields.texts("aliases")]


def _read_subset(config: MkqaConfig) -> Questions:
    questions: dict[str, dict[str, str]] = {}
    answers: dict[str, dict[str, Sequence[str]]] = {}
    for language, code in _subset_languages(config).items():
        questions[language], answers[language] = {}, {}
        for part in _parts(config):
            path = _subset_file(config, part, code)
            if not config.excerpt:
                check_file(path, NAME, f"{part}.{code}.jsonl", "the shared task MIA 2022, data/eval/mkqa_*.zip")
            before = len(questions[language])
            for record in read_jsonl(path):
                id = record.identifier("id")
                if id in questions[language]:
                    raise record.error(f"id '{id}' stands twice in '{language}'")
                questions[language][id] = record.text("question")
                if texts := record.texts("answers"):
                    answers[language][id] = texts
            found = len(questions[language]) - before
            if not config.excerpt and found != SUBSET[part]:
                raise DataError(f"{path}: holds {found} questions, expected {SUBSET[part]}: cut short?")
    return Questions(questions, answers)


def _full_file(config: MkqaConfig) -> Path | None:
    require_folder(config.path)
    return next((config.path / name for name in _FULL if (config.path / name).exists()), None)


def _parts(config: MkqaConfig) -> tuple[str, ...]:
    return tuple(SUBSET) if config.part == "all" else (config.part,)


def _subset_languages(config: MkqaConfig) -> dict[str, str]:
    """Canonical code -> MKQA's code, of the languages read."""
    there = {
        canonical_code(code): code
        for code in LANGUAGES
        if all(_subset_file(config, part, code).exists() for part in _parts(config))
    }
    if not there:
        raise DataError(f"{config.path}: holds neither {_FULL[0]} nor {_parts(config)[0]}.<language>.jsonl.gz")
    return {language: there[language] for language in choose_languages(config.languages, tuple(there), config.path)}


def _subset_file(config: MkqaConfig, part: str, code: str) -> Path:
    packed = config.path / f"{part}.{code}.jsonl.gz"
    plain = packed.with_suffix("")
    return plain if plain.exists() and not packed.exists() else packed


def _only(of_language: Mapping[str, T], ids: set[str]) -> dict[str, T]:
    return {id: value for id, value in of_language.items() if id in ids}


def _folded(text: str) -> str:
    return normalise(text).casefold()
