"""mMARCO (Bonifacio et al. 2021, arXiv 2108.13897): MS MARCO's passages and queries, translated by machine, 14
languages.

Queries and passages have the same numbers in every language. Training reads the triples (query, passage that answers
it, passage that does not); passages are read from disk as they are needed, so a language costs 71 MB of memory.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from cluster.config import Config
from cluster.errors import DataError
from retrieval.formats.columns import read_columns
from retrieval.formats.lines import require_folder
from retrieval.formats.numbered import NumberedTexts
from retrieval.formats.record import Record
from retrieval.language_codes import CanonicalLanguages
from retrieval.languages import choose_languages
from retrieval.records import Collection, Group, Pair, PassageRecord, QueryRecord, collection_from

NAME = "mmarco"
LANGUAGE_NAMES = {
    "ar": "arabic", "de": "german", "en": "english", "es": "spanish", "fr": "french", "hi": "hindi", "id": "indonesian",
    "it": "italian", "ja": "japanese", "nl": "dutch", "pt": "portuguese", "ru": "russian", "vi": "vietnamese",
    "zh": "chinese",
}  # fmt: skip
"""How the published files begin."""
PUBLISHED_PASSAGES = 8_841_823
PUBLISHED_QUERIES = {"train": 808_731, "dev": 6_980}


class MmarcoConfig(Config):
    """Which languages and split of mMARCO to read."""

    dataset: Literal["mmarco"] = "mmarco"

    path: Path
    """Folder in the published form: `collections/<name>_collection.tsv`, `queries/train/<name>_queries.train.tsv`,
    `queries/dev/<name>_queries.dev.small.tsv`, `triples.train.ids.small.tsv`; and MS MARCO's `qrels.dev.small.tsv`."""

    languages: CanonicalLanguages | None = None
    """Languages to read; all there are where not given."""

    split: Literal["train", "dev"] = "train"
    """Training triples, or the small development set with its judgements."""

    limit: int | None = Field(default=None, ge=1)
    """Read only the first so many triples (there are 39,780,811)."""

    negatives: int = Field(default=4, ge=0)
    """Hard negatives kept of a query and passage: the first ones among the triples."""

    excerpt: bool = False
    """The files hold only part of the data set: do not check the published counts."""


def input_files(config: MmarcoConfig) -> list[Path]:
    """The files that are read."""
    pairs = [_triples(config)] if config.split == "train" else [_qrels(config)]
    return pairs + [path for code in _languages(config) for path in (_collection(config, code), _queries(config, code))]


def read_groups(config: MmarcoConfig) -> Iterator[Group]:
    """One group per query and passage that answers it, in the languages read.

    Raises:
        DataError: a file is missing, cut short or not in the published form; a language is not there.
    """
    passages, queries = _texts(config)
    for (query, passage), wrong in _answers(config).items():
        pairs = {}
        for language, texts in passages.items():
            if query not in queries[language]:
                raise DataError(f"{_queries(config, language)}: has no query {query}; cut short?")
            negatives = tuple(texts[number] for number in wrong)
            pairs[language] = Pair(queries[language][query], texts[passage], negatives)
        yield Group(f"{NAME}/q{query}-p{passage}", pairs, f"{NAME}/p{passage}")


def read_collection(config: MmarcoConfig) -> Collection:
    """The queries that have judgements against all passages, each relevant in every language read."""
    passages, queries = _texts(config)
    relevant: dict[int, dict[str, int]] = {}
    for query, passage in _answers(config):
        relevant.setdefault(query, {}).update({f"{NAME}/p{passage}@{language}": 1 for language in passages})
    query_records = [
        QueryRecord(f"{NAME}/q{query}", language, queries[language][query], relevant[query])
        for language in passages
        for query in relevant
        if query in queries[language]
    ]
    passage_records = [
        PassageRecord(f"{NAME}/p{number}@{language}", language, texts[number])
        for language, texts in passages.items()
        for number in range(len(texts))
    ]
    return collection_from(f"{NAME}-{config.split}", tuple(passages), query_records, passage_records)


def _answers(config: MmarcoConfig) -> dict[tuple[int, int], list[int]]:
    """(query, passage that answers it) -> passages that do not, in the order of the file."""
    answers: dict[tuple[int, int], list[int]] = {}
    if config.split == "dev":
        for record in read_columns(_qrels(config), ("query", "iteration", "passage", "grade"), separator=None):
            answers[_number(record, "query"), _number(record, "passage")] = []
        return answers
    for record in itertools.islice(read_columns(_triples(config), ("query", "right", "wrong")), config.limit):
        wrong = _number(record, "wrong")
        negatives = answers.setdefault((_number(record, "query"), _number(record, "right")), [])
        if len(negatives) < config.negatives and wrong not in negatives:
            negatives.append(wrong)
    return answers


def _texts(config: MmarcoConfig) -> tuple[dict[str, NumberedTexts], dict[str, dict[int, str]]]:
    """Language -> passages, language -> queries by number."""
    passages, queries = {}, {}
    for language in _languages(config):
        passages[language] = NumberedTexts(_collection(config, language))
        path = _queries(config, language)
        queries[language] = {_number(r, "number"): r.text("text") for r in read_columns(path, ("number", "text"))}
        if config.excerpt:
            continue
        for file, what, found, expected in (
            (_collection(config, language), "passages", len(passages[language]), PUBLISHED_PASSAGES),
            (path, "queries", len(queries[language]), PUBLISHED_QUERIES[config.split]),
        ):
            if found != expected:
                raise DataError(
                    f"{file}: holds {found} {what}, expected {expected}: cut short, or another release; fetch mMARCO "
                    f"again, or set excerpt: true for a part of it"
                )
    return passages, queries


def _number(record: Record, column: str) -> int:
    field = record.text(column)
    if not field.isascii() or not field.isdecimal():
        raise record.error(f"'{field[:20]}' is not a number of a query or passage")
    return int(field)


def _languages(config: MmarcoConfig) -> tuple[str, ...]:
    require_folder(config.path)
    there = tuple(code for code in LANGUAGE_NAMES if _collection(config, code).exists())
    if not there:
        raise DataError(f"{config.path}: holds none of mMARCO's files, such as collections/english_collection.tsv")
    return choose_languages(config.languages, there, config.path)


def _collection(config: MmarcoConfig, language: str) -> Path:
    return config.path / "collections" / f"{LANGUAGE_NAMES[language]}_collection.tsv"


def _queries(config: MmarcoConfig, language: str) -> Path:
    ending = "train" if config.split == "train" else "dev.small"
    return config.path / "queries" / config.split / f"{LANGUAGE_NAMES[language]}_queries.{ending}.tsv"


def _triples(config: MmarcoConfig) -> Path:
    return config.path / "triples.train.ids.small.tsv"


def _qrels(config: MmarcoConfig) -> Path:
    return config.path / "qrels.dev.small.tsv"
