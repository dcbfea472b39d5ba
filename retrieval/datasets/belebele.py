"""Belebele (Bandarkar et al. 2024, arXiv 2308.16884): 900 questions on 488 FLORES passages, the same in 122 languages.

A group is a question with its passage, in every language; wrong answers of the multiple choice are not passages and
are not read. For evaluation a question searches the passages: those it was asked about are relevant, in every
language.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cluster.config import Config
from cluster.errors import DataError
from retrieval.formats.jsonl import read_jsonl
from retrieval.formats.lines import require_folder
from retrieval.language_codes import CanonicalLanguages, files_by_language
from retrieval.records import Group, Pair

NAME = "belebele"
PUBLISHED_QUESTIONS = 900
PUBLISHED_PASSAGES = 488


class BelebeleConfig(Config):
    """Which languages of Belebele to read."""

    dataset: Literal["belebele"] = "belebele"

    path: Path
    """The published folder of `<language>.jsonl`, with FLORES codes such as `eng_Latn.jsonl`; gzipped works, too."""

    languages: CanonicalLanguages | None = None
    """Languages to read, by any of their codes; all there are where not given."""

    excerpt: bool = False
    """The files hold only part of the data set: do not check the published counts."""


def input_files(config: BelebeleConfig) -> list[Path]:
    """The files that are read."""
    return list(_files(config).values())


def read_groups(config: BelebeleConfig) -> Iterator[Group]:
    """One group per question in the languages read; questions on one passage share its id.

    Raises:
        DataError: a file is missing, damaged or does not have 900 questions on 488 passages; a language is not there,
        or
            its file is of another language.
    """
    pairs_of: dict[str, dict[str, Pair]] = {}
    passage_of: dict[str, str] = {}
    for language, path in _files(config).items():
        links, count = set(), 0
        for record in read_jsonl(path):
            link, count = record.text("link"), count + 1
            links.add(link)
            id = f"{link}#{record.whole_number('question_number')}"
            pairs = pairs_of.setdefault(id, {})
            if language in pairs:
                raise record.error(f"question {record.fields['question_number']} of {link} stands twice")
            if "dialect" in record.fields and record.text("dialect") != path.name.partition(".")[0]:
                raise record.error(f"is in {record.text('dialect')}, not in the file's language; was the file renamed?")
            pairs[language] = Pair(record.text("question"), record.text("flores_passage"))
            passage_of[id] = link
        if not config.excerpt and (count, len(links)) != (PUBLISHED_QUESTIONS, PUBLISHED_PASSAGES):
            raise DataError(
                f"{path}: holds {count} questions on {len(links)} passages, expected {PUBLISHED_QUESTIONS} on "
                f"{PUBLISHED_PASSAGES}: cut short, or another release; fetch Belebele again, or set excerpt: true"
            )
    for id, pairs in pairs_of.items():
        yield Group(f"{NAME}/{id}", pairs, f"{NAME}/{passage_of[id]}")


def _files(config: BelebeleConfig) -> dict[str, Path]:
    require_folder(config.path)
    paths = sorted([*config.path.glob("*.jsonl"), *config.path.glob("*.jsonl.gz")])
    if not paths:
        raise DataError(f"{config.path}: holds none of Belebele's files, such as eng_Latn.jsonl")
    return files_by_language({path.name.partition(".")[0]: path for path in paths}, config.languages, config.path)
