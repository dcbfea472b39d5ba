"""SQuAD v1.1 dev without XQuAD's paragraphs, translated: questions and paragraphs parallel by id in seven languages.

    language    en     es     da     it     sv     zh     id
    questions   9,380  5,851  6,743  6,117  4,492  3,445  3,770
    paragraphs  1,827  1,766  1,808  1,614  1,029  1,006  1,019

48 articles; Swedish, Chinese and Indonesian have 35 of them. XQuAD takes its (other) paragraphs from the same 48, so
a model trained here has read about the topics of XQuAD.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Literal

from retrieval.datasets.articles import (
    ArticleAmount,
    ArticlesConfig,
    article_files,
    collection_of_articles,
    groups_of_articles,
    read_articles,
)
from retrieval.records import Collection, Group

NAME = "squad_parallel"


class SquadParallelConfig(ArticlesConfig):
    """Which languages and articles of squad-parallel to read."""

    dataset: Literal["squad_parallel"] = "squad_parallel"

    path: Path = Path("../shared/data/squad-parallel")
    """Folder with `paragraphs.<language>.jsonl.gz` and `questions.<language>.jsonl.gz`."""

    held_out_articles: ArticleAmount = Fraction(8)
    """Articles of the test split: a number, or a share below 1."""

    validation_articles: ArticleAmount = Fraction(4)
    """Articles of the validation split: a number, or a share below 1."""


def input_files(config: SquadParallelConfig) -> list[Path]:
    """The files that decide what is read."""
    return article_files(config)


def read_groups(config: SquadParallelConfig) -> Iterator[Group]:
    """One group per question, with its paragraph, in the languages in which both exist."""
    return groups_of_articles(NAME, read_articles(config))


def read_collection(config: SquadParallelConfig) -> Collection:
    """The split's questions against all paragraphs of its articles."""
    return collection_of_articles(NAME, f"{NAME}-{config.split}", read_articles(config))
