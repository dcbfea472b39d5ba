"""SQuAD v1.1 train: 87,599 English questions on 18,896 paragraphs of 442 articles; ten articles also in Portuguese.

The Portuguese texts (3,286 questions, 506 paragraphs) are machine translations with HTML entities left in them, which
are resolved here. For 1,176 of those questions the translated answer does not occur in the translated paragraph.
"""

import dataclasses
import html
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeVar

from retrieval.datasets.articles import (
    ArticleAmount,
    Articles,
    ArticlesConfig,
    article_files,
    collection_of_articles,
    groups_of_articles,
    read_articles,
)
from retrieval.formats.parallel import Paragraph, Question
from retrieval.records import Collection, Group

NAME = "squad_train"
_LANGUAGES_WITH_ENTITIES = ("pt",)
Text = TypeVar("Text", Paragraph, Question)


class SquadTrainConfig(ArticlesConfig):
    """Which languages and articles of squad-train to read."""

    dataset: Literal["squad_train"] = "squad_train"

    path: Path = Path("../shared/data/squad-train")
    """Folder with `paragraphs.<language>.jsonl.gz` and `questions.<language>.jsonl.gz`."""

    held_out_articles: ArticleAmount = Fraction(0)
    """Articles of the test split: a number, or a share below 1."""

    validation_articles: ArticleAmount = Fraction(0)
    """Articles of the validation split: a number, or a share below 1."""

    require_answer_in_context: bool = False
    """Leave out translations whose answer does not occur in the translated paragraph."""


def input_files(config: SquadTrainConfig) -> list[Path]:
    """The files that decide what is read."""
    return article_files(config)


def read_groups(config: SquadTrainConfig) -> Iterator[Group]:
    """One group per question, with its paragraph, in the languages in which both exist."""
    return groups_of_articles(NAME, _read(config))


def read_collection(config: SquadTrainConfig) -> Collection:
    """The split's questions against all paragraphs of its articles."""
    return collection_of_articles(NAME, f"{NAME}-{config.split}", _read(config))


def _read(config: SquadTrainConfig) -> Articles:
    articles = read_articles(config, require_answer_in_context=config.require_answer_in_context)
    return Articles(_without_entities(articles.paragraphs), _without_entities(articles.questions))


def _without_entities(texts: Mapping[str, Mapping[str, Text]]) -> dict[str, Mapping[str, Text]]:
    """The same records, HTML entities resolved in the languages that have them."""
    return {
        language: {id: dataclasses.replace(record, text=html.unescape(record.text)) for id, record in records.items()}
        if language in _LANGUAGES_WITH_ENTITIES
        else records
        for language, records in texts.items()
    }
