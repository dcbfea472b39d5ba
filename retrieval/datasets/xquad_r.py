"""XQuAD-R of LAReQA (Roy et al. 2020, arXiv 2004.05484): 1,190 questions in 11 languages, sentences as candidates.

A candidate is one sentence, with its paragraph as context. The relevant candidates of a question are the sentences in
which its answer starts, one in each language. For evaluation only.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NoReturn

from cluster.config import Config
from cluster.errors import DataError
from retrieval.datasets.checksums import check_file
from retrieval.formats.lines import require_folder
from retrieval.formats.squad import SquadParagraph, SquadQuestion, read_squad
from retrieval.languages import Languages, choose_languages
from retrieval.records import Collection, PassageRecord, QueryRecord, collection_from

NAME = "xquad_r"
ORIGIN = "github.com/google-research-datasets/lareqa, xquad-r"
PUBLISHED_QUESTIONS = 1190
"""In each language."""
PUBLISHED_SENTENCES = {
    "ar": 1222,
    "de": 1276,
    "el": 1234,
    "en": 1180,
    "es": 1215,
    "hi": 1244,
    "ru": 1219,
    "th": 852,
    "tr": 1167,
    "vi": 1209,
    "zh": 1196,
}
"""Candidate sentences of each language."""


class XquadRConfig(Config):
    """Which languages of XQuAD-R to read."""

    dataset: Literal["xquad_r"] = "xquad_r"

    path: Path = Path("../shared/data/xquad-r")
    """Folder with `<language>.json.gz`; relative paths start in the working directory."""

    languages: Languages | None = None
    """Languages to read; all there are where not given."""

    excerpt: bool = False
    """The files hold only part of the data set: do not check their SHA-256."""


def input_files(config: XquadRConfig) -> list[Path]:
    """The files that are read."""
    return [_file(config, language) for language in _languages(config)]


def read_groups(config: XquadRConfig) -> NoReturn:
    """Refuse: nothing may be trained on an evaluation set."""
    raise DataError(
        f"{NAME}: is for evaluation only, never for training or validation; name it under the evaluation data sets"
    )


def read_collection(config: XquadRConfig) -> Collection:
    """Questions and candidate sentences; a question's relevant sentences are those of all languages read.

    Raises:
        DataError: a file is missing, damaged or not the published one, or an answer that does not start in exactly one
            sentence.
    """
    queries: list[tuple[str, SquadQuestion]] = []
    passages: list[PassageRecord] = []
    relevant: dict[str, dict[str, int]] = {}
    languages = _languages(config)
    for language in languages:
        for paragraph in _read(config, language):
            ids = [_sentence_id(paragraph, number, language) for number in range(len(paragraph.sentences))]
            passages += [
                PassageRecord(id, language, paragraph.context[start:end], paragraph.context)
                for id, (start, end) in zip(ids, paragraph.sentences, strict=True)
            ]
            for question in paragraph.questions:
                queries.append((language, question))
                for number in _answer_sentences(_file(config, language), paragraph, question):
                    relevant.setdefault(question.id, {})[ids[number]] = 1
    records = [
        QueryRecord(f"{NAME}/{question.id}", language, question.text, relevant[question.id])
        for language, question in queries
    ]
    return collection_from(NAME, languages, records, passages)


def evaluation_ids(config: XquadRConfig) -> set[str]:
    """Question ids that no training source may hold."""
    return {
        question.id
        for language in _languages(config)
        for paragraph in _read(config, language)
        for question in paragraph.questions
    }


def _languages(config: XquadRConfig) -> tuple[str, ...]:
    require_folder(config.path)
    there = tuple(language for language in PUBLISHED_SENTENCES if _file(config, language).exists())
    if not there:
        raise DataError(f"{config.path}: holds none of XQuAD-R's files, such as en.json.gz")
    return choose_languages(config.languages, there, config.path)


def _file(config: XquadRConfig, language: str) -> Path:
    packed = config.path / f"{language}.json.gz"
    return packed if packed.exists() else config.path / f"{language}.json"


def _read(config: XquadRConfig, language: str) -> list[SquadParagraph]:
    path = _file(config, language)
    if not config.excerpt:
        check_file(path, NAME, f"{language}.json", ORIGIN)
    return read_squad(path)


def _sentence_id(paragraph: SquadParagraph, number: int, language: str) -> str:
    return f"{NAME}/{paragraph.title}#{paragraph.number:03d}.{number:02d}@{language}"


def _answer_sentences(path: Path, paragraph: SquadParagraph, question: SquadQuestion) -> Iterator[int]:
    """Numbers of the sentences in which the question's answers start."""
    if not question.answers:
        raise DataError(f"{path}: question {question.id} has no answer; XQuAD-R answers every question")
    for answer in question.answers:
        if paragraph.context[answer.start : answer.start + len(answer.text)] != answer.text:
            raise DataError(
                f"{path}: question {question.id}: its answer '{answer.text[:40]}' does not stand at character "
                f"{answer.start} of its paragraph; fetch XQuAD-R again"
            )
        found = [number for number, (start, end) in enumerate(paragraph.sentences) if start <= answer.start < end]
        if len(found) != 1:
            raise DataError(
                f"{path}: question {question.id}: its answer starts in {len(found)} sentences, expected exactly 1"
            )
        yield found[0]
