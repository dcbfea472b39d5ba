"""Articles of paragraphs with questions, parallel by id: what `squad_parallel` and `squad_train` have in common.

Splits are by article, because paragraphs of one article tell about the same things: a question of a held-out
paragraph would otherwise meet its neighbours from training.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from cluster.config import Config, Share
from cluster.errors import DataError
from retrieval.cleaning import normalise
from retrieval.formats.parallel import (
    Paragraph,
    Question,
    parallel_file,
    parallel_languages,
    read_paragraphs,
    read_questions,
)
from retrieval.languages import Languages, choose_languages
from retrieval.records import Collection, Group, Pair, PassageRecord, QueryRecord, collection_from


def _check_amount(amount: Fraction) -> Fraction:
    if amount < 0 or (amount >= 1 and amount.denominator != 1):
        raise ValueError("must be a whole number of articles, or a share of them below 1")
    return amount


ArticleAmount = Annotated[Share, AfterValidator(_check_amount)]
"""A number of articles (8), or a share of all articles (0.15)."""


class ArticlesConfig(Config):
    """Fields of a data set that is split by article."""

    path: Path
    """Folder of the data set's files; relative paths start in the working directory."""

    languages: Languages | None = None
    """Languages to read; all there are where not given."""

    split: Literal["train", "validation", "test", "all"] = "train"
    """Which articles: `test` are the held-out ones, `train` those that neither other split has."""

    held_out_articles: ArticleAmount
    """Articles of the test split: a number, or a share below 1."""

    validation_articles: ArticleAmount
    """Articles of the validation split: a number, or a share below 1."""

    split_seed: int = 0
    """Another seed holds out other articles. Every configuration on the same data needs the same one."""

    min_languages: int = Field(default=1, ge=1)
    """Leave out questions that exist in fewer of the languages read."""


@dataclass(frozen=True)
class Articles:
    """Texts of one split: language -> id -> record; the ids agree over languages."""

    paragraphs: Mapping[str, Mapping[str, Paragraph]]
    questions: Mapping[str, Mapping[str, Question]]


def article_files(config: ArticlesConfig) -> list[Path]:
    """The files that decide what a configuration reads: the paragraphs of all languages decide the split."""
    there = parallel_languages(config.path)
    chosen = choose_languages(config.languages, there, config.path)
    return [parallel_file(config.path, "paragraphs", language) for language in there] + [
        parallel_file(config.path, "questions", language) for language in chosen
    ]


def read_articles(config: ArticlesConfig, require_answer_in_context: bool = False) -> Articles:
    """Paragraphs and questions of the configured split and languages.

    Args:
        require_answer_in_context: leave out questions whose answer the file says is not in the paragraph.

    Raises:
        DataError: files missing or damaged, languages that are not there, records that disagree over languages.
    """
    there = parallel_languages(config.path)
    chosen = choose_languages(config.languages, there, config.path)
    paragraphs = {language: read_paragraphs(config.path, language) for language in there}
    questions = {language: read_questions(config.path, language, paragraphs[language]) for language in chosen}
    titles = articles_of_split(config, _titles(config.path, paragraphs))
    _check_parallel(config.path, questions)
    return Articles(
        paragraphs={
            language: {id: paragraph for id, paragraph in paragraphs[language].items() if paragraph.title in titles}
            for language in chosen
        },
        questions=_in_enough_languages(
            config,
            {
                language: {
                    id: question
                    for id, question in questions[language].items()
                    if paragraphs[language][question.paragraph_id].title in titles
                    and (question.answer_in_context or not require_answer_in_context)
                }
                for language in chosen
            },
        ),
    )


def articles_of_split(config: ArticlesConfig, titles: set[str]) -> set[str]:
    """The articles of the configured split: by a keyed hash of the title, so neither order nor language choice matters.

    Test articles come first in that order, then validation articles, so that the number of validation articles
    never changes which articles are held out.
    """
    if config.split == "all":
        return titles
    ordered = sorted(titles, key=lambda title: (_keyed_hash(title, config.split_seed), title))
    test_end = _count(config.held_out_articles, len(titles))
    validation_end = test_end + _count(config.validation_articles, len(titles))
    if validation_end > len(titles):
        raise DataError(
            f"{config.path}: held_out_articles and validation_articles ask for {validation_end} articles, "
            f"there are {len(titles)}; lower them"
        )
    bounds = {"test": (0, test_end), "validation": (test_end, validation_end), "train": (validation_end, None)}
    start, end = bounds[config.split]
    chosen = set(ordered[start:end])
    if not chosen:
        raise DataError(
            f"{config.path}: the {config.split} split has none of the {len(titles)} articles; "
            f"change held_out_articles ({config.held_out_articles}) or "
            f"validation_articles ({config.validation_articles})"
        )
    return chosen


def groups_of_articles(label: str, articles: Articles) -> Iterator[Group]:
    """One group per question id, its paragraph as the passage, in every language in which the question exists."""
    ids = dict.fromkeys(id for questions in articles.questions.values() for id in questions)
    for id in ids:
        pairs, paragraph_id = {}, ""
        for language, questions in articles.questions.items():
            if id in questions:
                paragraph_id = questions[id].paragraph_id
                pairs[language] = Pair(questions[id].text, articles.paragraphs[language][paragraph_id].text)
        yield Group(id=f"{label}/{id}", pairs=pairs, passage_id=f"{label}/{paragraph_id}")


def collection_of_articles(label: str, name: str, articles: Articles) -> Collection:
    """Every question against every paragraph of the split, also those that no question of that language asks about.

    A question's paragraph is relevant in every language in which it exists, whether or not the question exists there:
    the paragraphs are parallel. Paragraphs of one language with the same text are one candidate, relevant to the
    questions of each.
    """
    languages = tuple(articles.paragraphs)
    passages: dict[str, PassageRecord] = {}
    candidates_of: dict[str, dict[str, int]] = {}
    first_with_text: dict[tuple[str, str], str] = {}
    for language, paragraphs in articles.paragraphs.items():
        for paragraph in paragraphs.values():
            text = normalise(paragraph.text)
            candidate = first_with_text.setdefault((language, text), f"{label}/{paragraph.id}@{language}")
            passages.setdefault(candidate, PassageRecord(candidate, language, text))
            candidates_of.setdefault(paragraph.id, {})[candidate] = 1
    queries = [
        QueryRecord(f"{label}/{question.id}", language, question.text, candidates_of[question.paragraph_id])
        for language, questions in articles.questions.items()
        for question in questions.values()
    ]
    return collection_from(name, languages, queries, list(passages.values()))


def _titles(folder: Path, paragraphs: Mapping[str, Mapping[str, Paragraph]]) -> set[str]:
    """Titles of all articles; a paragraph in two articles would make the splits leak."""
    title_of: dict[str, str] = {}
    for language, of_language in paragraphs.items():
        for paragraph in of_language.values():
            if title_of.setdefault(paragraph.id, paragraph.title) != paragraph.title:
                raise DataError(
                    f"{parallel_file(folder, 'paragraphs', language)}: paragraph '{paragraph.id}' belongs to article "
                    f"'{paragraph.title}', in another language to '{title_of[paragraph.id]}'; titles must agree"
                )
    return set(title_of.values())


def _check_parallel(folder: Path, questions: Mapping[str, Mapping[str, Question]]) -> None:
    paragraph_of: dict[str, str] = {}
    for language, of_language in questions.items():
        for question in of_language.values():
            if paragraph_of.setdefault(question.id, question.paragraph_id) != question.paragraph_id:
                raise DataError(
                    f"{parallel_file(folder, 'questions', language)}: question '{question.id}' asks about paragraph "
                    f"'{question.paragraph_id}', in another language about '{paragraph_of[question.id]}'"
                )


def _in_enough_languages(
    config: ArticlesConfig, questions: dict[str, dict[str, Question]]
) -> dict[str, dict[str, Question]]:
    counts: dict[str, int] = {}
    for of_language in questions.values():
        for id in of_language:
            counts[id] = counts.get(id, 0) + 1
    kept = {
        language: {id: question for id, question in of_language.items() if counts[id] >= config.min_languages}
        for language, of_language in questions.items()
    }
    if not any(kept.values()):
        raise DataError(
            f"{config.path}: no question of the {config.split} split exists in {config.min_languages} of the "
            f"languages {', '.join(questions)}; lower min_languages"
        )
    return kept


def _count(amount: Fraction, articles: int) -> int:
    """A share that is not 0 gives at least one article."""
    if amount == 0 or amount >= 1:
        return int(amount)
    return max(1, round(amount * articles))


def _keyed_hash(title: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {title}".encode(errors="surrogatepass"), digest_size=8, person=b"articles").digest()
