"""SQuAD JSON: articles of paragraphs with questions, as in SQuAD v1.1; XQuAD-R adds the spans of the sentences."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.documents import parse_json
from cluster.errors import DataError
from retrieval.formats.lines import read_text
from retrieval.formats.record import Record


@dataclass(frozen=True, slots=True)
class SquadAnswer:
    """A span of a paragraph that answers a question, as the file claims it; not every data set's spans are right."""

    start: int
    """Offset in the paragraph's context, in characters."""
    text: str


@dataclass(frozen=True, slots=True)
class SquadQuestion:
    """A question on a paragraph."""

    id: str
    text: str
    answers: tuple[SquadAnswer, ...]


@dataclass(frozen=True, slots=True)
class SquadParagraph:
    """A paragraph with its questions."""

    title: str
    """Of the article; empty where the file gives none."""
    number: int
    """Position in its article, from 0."""
    context: str
    sentences: tuple[tuple[int, int], ...]
    """[start, end) of each sentence in `context`, in characters; empty in plain SQuAD."""
    questions: tuple[SquadQuestion, ...]


def read_squad(path: Path) -> list[SquadParagraph]:
    """Paragraphs of a SQuAD JSON file (plain or gzipped), in order.

    Raises:
        DataError: missing, empty, cut short, not JSON, or not in SQuAD's form; names the article, paragraph, question.
    """
    try:
        document = parse_json(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}: line {error.lineno}: not valid JSON ({error.msg}, column {error.colno}); cut short or damaged?"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not usable JSON ({error})") from None
    paragraphs = []
    for number, article in enumerate(Record.of(path, "the whole", document).items("data")):
        record = Record.of(path, f"article {number}", article)
        title = record.optional_text("title") or ""
        for position, paragraph in enumerate(record.items("paragraphs")):
            place = f"{record.place} ({title}), paragraph {position}"
            paragraphs.append(_paragraph(Record.of(path, place, paragraph), title, position))
    if not paragraphs:
        raise DataError(f"{path}: holds no paragraphs")
    return paragraphs


def _paragraph(record: Record, title: str, number: int) -> SquadParagraph:
    context = record.text("context")
    sentences = record.items("sentence_breaks") if "sentence_breaks" in record.fields else []
    questions = [
        _question(Record.of(record.path, f"{record.place}, question {position}", question))
        for position, question in enumerate(record.items("qas"))
    ]
    return SquadParagraph(
        title=title,
        number=number,
        context=context,
        sentences=tuple(_span(record, span, len(context)) for span in sentences),
        questions=tuple(questions),
    )


def _question(record: Record) -> SquadQuestion:
    answers = [Record.of(record.path, f"{record.place}, an answer", answer) for answer in record.items("answers")]
    return SquadQuestion(
        id=record.identifier("id"),
        text=record.text("question"),
        answers=tuple(SquadAnswer(answer.whole_number("answer_start"), answer.text("text")) for answer in answers),
    )


def _span(record: Record, span: Any, length: int) -> tuple[int, int]:
    is_pair = isinstance(span, list) and len(span) == 2 and all(type(bound) is int for bound in span)
    if not is_pair or not 0 <= span[0] < span[1] <= length:
        raise record.error(f"sentence_breaks holds {span}, expected [start, end) within its {length} characters")
    return span[0], span[1]
