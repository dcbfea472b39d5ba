"""A folder of `paragraphs.<language>.jsonl[.gz]` and `questions.<language>.jsonl[.gz]` whose ids agree over languages.

paragraphs: {"pid", "title", "context"}    questions: {"id", "pid", "question", ...}
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import DataError
from retrieval.formats.jsonl import read_jsonl
from retrieval.formats.lines import require_folder

_ENDINGS = (".jsonl.gz", ".jsonl")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph of an article in one language."""

    id: str
    title: str
    """Title of the article; the same in every language."""
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question in one language."""

    id: str
    paragraph_id: str
    text: str
    answer_in_context: bool
    """Whether an answer occurs in the paragraph literally; true where the file does not say."""


def parallel_languages(folder: Path) -> tuple[str, ...]:
    """Languages that have both files, sorted.

    Raises:
        DataError: no such folder, or no such files in it.
    """
    require_folder(folder)
    found = [
        {path.name.removeprefix(kind + ".").removesuffix(ending) for path in folder.glob(f"{kind}.*{ending}")}
        for kind in ("paragraphs", "questions")
        for ending in _ENDINGS
    ]
    languages = tuple(sorted((found[0] | found[1]) & (found[2] | found[3])))
    if not languages:
        raise DataError(f"{folder}: holds no paragraphs.<language>.jsonl.gz with questions.<language>.jsonl.gz")
    return languages


def parallel_file(folder: Path, kind: str, language: str) -> Path:
    """The file of one kind (`paragraphs` or `questions`) and language."""
    packed, plain = (folder / f"{kind}.{language}{ending}" for ending in _ENDINGS)
    return packed if packed.exists() else plain


def read_paragraphs(folder: Path, language: str) -> dict[str, Paragraph]:
    """Paragraphs of one language by id, in the order of the file."""
    paragraphs: dict[str, Paragraph] = {}
    for record in read_jsonl(parallel_file(folder, "paragraphs", language)):
        paragraph = Paragraph(record.identifier("pid"), record.text("title"), record.text("context"))
        if paragraph.id in paragraphs:
            raise record.error(f"pid '{paragraph.id}' stands twice in this file")
        paragraphs[paragraph.id] = paragraph
    return paragraphs


def read_questions(folder: Path, language: str, paragraphs: Mapping[str, Paragraph]) -> dict[str, Question]:
    """Questions of one language by id, in the order of the file; each must name one of the paragraphs."""
    questions: dict[str, Question] = {}
    for record in read_jsonl(parallel_file(folder, "questions", language)):
        question = Question(
            id=record.identifier("id"),
            paragraph_id=record.identifier("pid"),
            text=record.text("question"),
            answer_in_context=record.flag("answer_in_context", default=True),
        )
        if question.id in questions:
            raise record.error(f"id '{question.id}' stands twice in this file")
        if question.paragraph_id not in paragraphs:
            raise record.error(f"pid '{question.paragraph_id}' is not among the paragraphs of '{language}'")
        questions[question.id] = question
    return questions
