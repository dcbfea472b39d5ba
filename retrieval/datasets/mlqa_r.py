"""MLQA-R of LAReQA (Roy et al. 2020, arXiv 2004.05484): MLQA's development set as sentence retrieval, in 7 languages.

            ar     de     en     es     hi     vi     zh
questions   517    512    1,148  500    507    511    504
sentences   2,545  2,362  6,264  1,787  2,426  2,828  2,322

A candidate is one sentence, with its paragraph as context. A question exists in two to four languages; its relevant
candidates are the sentences in which its answer starts, one in each of these. For evaluation only.

Read from LAReQA's own files, whose `sentence_breaks` are the candidates, or from MLQA as published
(`dev-context-<language>-question-<language>.json`), whose paragraphs `retrieval.sentences` splits.
"""

from fractions import Fraction
from pathlib import Path
from typing import Literal, NoReturn

from cluster.config import Config
from cluster.errors import DataError
from retrieval.formats.lines import require_folder
from retrieval.formats.squad import SquadParagraph, SquadQuestion, read_squad
from retrieval.languages import Languages, choose_languages
from retrieval.records import Collection, PassageRecord, QueryRecord, collection_from
from retrieval.sentences import sentence_spans

NAME = "mlqa_r"
PUBLISHED_QUESTIONS = {"ar": 517, "de": 512, "en": 1148, "es": 500, "hi": 507, "vi": 511, "zh": 504}
PUBLISHED_SENTENCES = {"ar": 2545, "de": 2362, "en": 6264, "es": 1787, "hi": 2426, "vi": 2828, "zh": 2322}
TOLERANCE = {"mlqa": Fraction(1, 10), "lareqa": Fraction(1, 100)}
"""How far the number of sentences may be from the published one: our own sentences differ from LAReQA's somewhat."""


class MlqaRConfig(Config):
    """Which languages of MLQA-R to read."""

    dataset: Literal["mlqa_r"] = "mlqa_r"

    path: Path = Path("../shared/data/mlqa-r")
    """Folder with LAReQA's `<language>.json`, or with MLQA's `dev-context-<language>-question-<language>.json`; plain
    or gzipped."""

    languages: Languages | None = None
    """Languages to read; all there are where not given."""

    excerpt: bool = False
    """The files hold only part of the data set: do not check the published counts."""


def input_files(config: MlqaRConfig) -> list[Path]:
    """The files that are read."""
    return [_file(config, language) for language in _languages(config)]


def read_groups(config: MlqaRConfig) -> NoReturn:
    """Refuse: nothing may be trained on an evaluation set."""
    raise DataError(
        f"{NAME}: is for evaluation only, never for training or validation; name it under the evaluation data sets"
    )


def read_collection(config: MlqaRConfig) -> Collection:
    """Questions and candidate sentences; a question's relevant sentences are those of all languages read.

    Raises:
        DataError: a file is missing, damaged or not the published one (file, found and expected count are named), or a
            question without an answer in its paragraph.
    """
    queries: list[tuple[str, SquadQuestion]] = []
    passages: list[PassageRecord] = []
    relevant: dict[str, dict[str, int]] = {}
    languages = _languages(config)
    for language in languages:
        for number, (paragraph, spans) in enumerate(_read(config, language)):
            ids = [f"{NAME}/{paragraph.title}#{number:04d}.{n:02d}@{language}" for n in range(len(spans))]
            passages += [
                PassageRecord(id, language, paragraph.context[start:end], paragraph.context)
                for id, (start, end) in zip(ids, spans, strict=True)
            ]
            for question in paragraph.questions:
                queries.append((language, question))
                sentence = _answer_sentence(_file(config, language), question, spans)
                relevant.setdefault(question.id, {})[ids[sentence]] = 1
    records = [
        QueryRecord(f"{NAME}/{question.id}", language, question.text, relevant[question.id])
        for language, question in queries
    ]
    return collection_from(NAME, languages, records, passages)


def _read(config: MlqaRConfig, language: str) -> list[tuple[SquadParagraph, list[tuple[int, int]]]]:
    """Paragraphs of one language with the spans of their sentences."""
    path = _file(config, language)
    form = "mlqa" if path == _mlqa_file(config, language) else "lareqa"
    read = []
    for paragraph in read_squad(path):
        spans = list(paragraph.sentences) if form == "lareqa" else sentence_spans(paragraph.context, language)
        if not spans:
            raise DataError(
                f"{path}: article {paragraph.title}, paragraph {paragraph.number}: has no sentence_breaks; files of "
                f"MLQA itself are called {_mlqa_file(config, language).name}"
            )
        read.append((paragraph, spans))
    if not config.excerpt:
        _check_counts(path, form, language, read)
    return read


def _check_counts(
    path: Path, form: str, language: str, read: list[tuple[SquadParagraph, list[tuple[int, int]]]]
) -> None:
    way_out = "incomplete, or another release; fetch it again, or set excerpt: true for a part of it"
    questions = sum(len(paragraph.questions) for paragraph, _ in read)
    if questions != PUBLISHED_QUESTIONS[language]:
        raise DataError(f"{path}: holds {questions} questions, expected {PUBLISHED_QUESTIONS[language]}: {way_out}")
    sentences, published = sum(len(spans) for _, spans in read), PUBLISHED_SENTENCES[language]
    if abs(sentences - published) > TOLERANCE[form] * published:
        allowed = f"{published}, give or take {float(TOLERANCE[form]):.0%}"
        raise DataError(f"{path}: holds {sentences} sentences, expected {allowed}: {way_out}")


def _answer_sentence(path: Path, question: SquadQuestion, spans: list[tuple[int, int]]) -> int:
    """Number of the sentence in which the answer starts: the first that ends after the start."""
    if not question.answers:
        raise DataError(f"{path}: question {question.id} has no answer; MLQA answers every question")
    answer = question.answers[0]
    for number, (_, end) in enumerate(spans):
        if answer.start < end:
            return number
    raise DataError(
        f"{path}: question {question.id}: its answer starts at character {answer.start}, after the last sentence"
    )


def _languages(config: MlqaRConfig) -> tuple[str, ...]:
    require_folder(config.path)
    there = tuple(language for language in PUBLISHED_QUESTIONS if _file(config, language).exists())
    if not there:
        example = _mlqa_file(config, "en").name
        raise DataError(f"{config.path}: holds neither LAReQA's files, such as en.json, nor MLQA's, such as {example}")
    return choose_languages(config.languages, there, config.path)


def _file(config: MlqaRConfig, language: str) -> Path:
    own = _plain_or_packed(config.path / f"{language}.json")
    return own if own.exists() else _mlqa_file(config, language)


def _mlqa_file(config: MlqaRConfig, language: str) -> Path:
    return _plain_or_packed(config.path / f"dev-context-{language}-question-{language}.json")


def _plain_or_packed(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    return packed if packed.exists() else path
