"""MIRACL v1.0 (Zhang et al. 2023, arXiv 2210.09984): questions in 18 languages, on the Wikipedia of each.

Topics and judgements (TREC's format) of `miracl/miracl`, passages of `miracl/miracl-corpus`. Judgements are binary, and
irrelevant passages are judged, too: they serve as hard negatives. Questions of different languages are not parallel, so
all settings but the monolingual one only show which language a pooled index prefers.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from cluster.config import Config
from cluster.errors import DataError
from retrieval.datasets.checksums import check_file
from retrieval.formats.columns import read_columns
from retrieval.formats.jsonl import read_jsonl
from retrieval.formats.lines import require_folder
from retrieval.language_codes import CanonicalLanguages
from retrieval.languages import choose_languages
from retrieval.records import Collection, Group, Pair, PassageRecord, QueryRecord, collection_from

NAME = "miracl"
ORIGIN = "huggingface.co/datasets/miracl/miracl"
CORPUS_ORIGIN = "huggingface.co/datasets/miracl/miracl-corpus"


class Counts(NamedTuple):
    """Published numbers of one language; table 2 of the paper."""

    passages: int
    dev_topics: int
    dev_judgements: int
    train_topics: int = 0
    train_judgements: int = 0


PUBLISHED = {
    "ar": Counts(2_061_414, 2896, 29197, 3495, 25382),
    "bn": Counts(297_265, 411, 4206, 1631, 16754),
    "de": Counts(15_866_222, 305, 3144),
    "en": Counts(32_893_221, 799, 8350, 2863, 29416),
    "es": Counts(10_373_953, 648, 6443, 2162, 21531),
    "fa": Counts(2_207_172, 632, 6571, 2107, 21844),
    "fi": Counts(1_883_509, 1271, 12008, 2897, 20350),
    "fr": Counts(14_636_953, 343, 3429, 1143, 11426),
    "hi": Counts(506_264, 350, 3494, 1169, 11668),
    "id": Counts(1_446_315, 960, 9668, 4071, 41358),
    "ja": Counts(6_953_614, 860, 8354, 3477, 34387),
    "ko": Counts(1_486_752, 213, 3057, 868, 12767),
    "ru": Counts(9_543_918, 1252, 13100, 4683, 33921),
    "sw": Counts(131_924, 482, 5092, 1901, 9359),
    "te": Counts(518_079, 828, 1606, 3452, 18608),
    "th": Counts(542_166, 733, 7573, 2972, 21293),
    "yo": Counts(49_043, 119, 1188),
    "zh": Counts(4_934_368, 393, 3928, 1312, 13113),
}


class MiraclConfig(Config):
    """Which topics of MIRACL to read, and which passages they search."""

    dataset: Literal["miracl"] = "miracl"

    path: Path = Path("../shared/data/miracl-v1.0")
    """Folder with the topics and judgements, as published (`miracl-v1.0-<language>/{topics,qrels}/`) or side by side,
    and with the passages, `miracl-corpus-v1.0-<language>/docs-*.jsonl.gz`."""

    languages: CanonicalLanguages | None = None
    """Languages to read; all that have topics where not given."""

    split: Literal["train", "dev"] = "dev"
    """Which topics; German and Yoruba have no training topics."""

    candidates: Literal["all", "judged"] = "all"
    """What topics search: all passages of their language, or those that are judged for any topic of the split. The
    second gives higher figures, but needs little memory."""

    excerpt: bool = False
    """The files hold only part of the data set: do not check SHA-256 and published counts."""


class Topics(NamedTuple):
    """Questions of one language and split, and their judgements."""

    questions: dict[str, str]
    """Topic id -> text."""
    judgements: dict[str, dict[str, int]]
    """Topic id -> passage id -> grade; 0 = judged and irrelevant."""


def input_files(config: MiraclConfig) -> list[Path]:
    """The files that are read."""
    files = []
    for language in _languages(config):
        files += [_topic_file(config, kind, language) for kind in ("topics", "qrels")]
        files += _shards(config, language)
    return files


def read_groups(config: MiraclConfig) -> Iterator[Group]:
    """One group per topic and relevant passage, with the topic's irrelevant passages as hard negatives.

    Raises:
        DataError: see `read_collection`; or the split is `dev`, which is for evaluation.
    """
    if config.split != "train":
        raise DataError(f"{NAME}: the {config.split} split is for evaluation only; train on split: train")
    return _groups(config)


def protected(config: MiraclConfig) -> MiraclConfig:
    """What must not be trained on: the topics evaluated and the passages judged for them.

    Topics of other languages ask something else, and all other passages are just Wikipedia, which `train` searches too.
    """
    return config.model_copy(update={"candidates": "judged"})


def read_collection(config: MiraclConfig) -> Collection:
    """Topics against passages (title, then text) of all languages read; relevant are passages with a grade above 0.

    Raises:
        DataError: a file is missing, damaged or not the published one; a judgement names a topic or a relevant passage
            that is not there.
    """
    queries: list[QueryRecord] = []
    passages: list[PassageRecord] = []
    languages = _languages(config)
    for language in languages:
        topics = read_topics(config, language)
        judged = None if config.candidates == "all" else _judged(topics)
        passages += [
            PassageRecord(_passage_id(id, language), language, text)
            for id, text in read_passages(config, language)
            if judged is None or id in judged
        ]
        for id, question in topics.questions.items():
            grades = topics.judgements[id]
            relevant = {_passage_id(passage, language): grade for passage, grade in grades.items() if grade > 0}
            queries.append(QueryRecord(_topic_id(id, language), language, question, relevant))
    name = f"{NAME}-{config.split}" + ("" if config.candidates == "all" else f"-{config.candidates}")
    return collection_from(name, languages, queries, passages)


def read_topics(config: MiraclConfig, language: str) -> Topics:
    """Questions and judgements of one language; see `read_collection` for the errors."""
    topic_file, qrels_file = (_topic_file(config, kind, language) for kind in ("topics", "qrels"))
    if not config.excerpt:
        for kind, path in (("topics", topic_file), ("qrels", qrels_file)):
            check_file(path, NAME, _file_name(config, kind, language), ORIGIN)
    questions: dict[str, str] = {}
    for record in read_columns(topic_file, ("id", "text")):
        id = record.identifier("id")
        if id in questions:
            raise record.error(f"topic '{id}' stands twice in this file")
        questions[id] = record.text("text")
    judgements: dict[str, dict[str, int]] = {id: {} for id in questions}
    for record in read_columns(qrels_file, ("topic", "q0", "passage", "grade"), separator=None):
        topic, passage, grade = record.text("topic"), record.text("passage"), record.text("grade")
        if topic not in questions:
            raise record.error(f"judges topic '{topic}', which {topic_file.name} has not; are both of one release?")
        if not grade.isdecimal():
            raise record.error(f"its grade is '{grade}', expected 0 or 1")
        if passage in judgements[topic]:
            raise record.error(f"topic '{topic}' judges passage '{passage}' a second time")
        judgements[topic][passage] = int(grade)
    if not config.excerpt:
        published = PUBLISHED[language]
        expected = published[3:] if config.split == "train" else published[1:3]
        _check_count(topic_file, "topics", len(questions), expected[0], ORIGIN)
        _check_count(qrels_file, "judgements", sum(map(len, judgements.values())), expected[1], ORIGIN)
    return Topics(questions, judgements)


def read_passages(config: MiraclConfig, language: str) -> Iterator[tuple[str, str]]:
    """Id and text (title, then text) of every passage of one language, shard by shard, in bounded memory."""
    count = 0
    for path in _shards(config, language):
        for record in read_jsonl(path):
            count += 1
            yield record.identifier("docid"), f"{record.text('title')}\n{record.text('text')}"
    if not config.excerpt:
        _check_count(_corpus(config, language), "passages", count, PUBLISHED[language].passages, CORPUS_ORIGIN)


def _groups(config: MiraclConfig) -> Iterator[Group]:
    for language in _languages(config):
        topics = read_topics(config, language)
        judged = _judged(topics)
        text_of = {id: text for id, text in read_passages(config, language) if id in judged}
        for topic, question in topics.questions.items():
            grades = topics.judgements[topic]
            missing = [id for id in grades if id not in text_of]
            if missing:
                raise DataError(
                    f"{_corpus(config, language)}: has no passage '{missing[0]}', but it is judged; cut short?"
                )
            negatives = tuple(text_of[id] for id, grade in grades.items() if grade == 0)
            relevant = [id for id, grade in grades.items() if grade > 0]
            for number, id in enumerate(relevant, 1):
                pair = Pair(question, text_of[id], negatives)
                suffix = "" if number == 1 else f"#{number}"
                yield Group(_topic_id(topic, language) + suffix, {language: pair}, _passage_id(id, language))


def _judged(topics: Topics) -> set[str]:
    return {id for grades in topics.judgements.values() for id in grades}


def _topic_id(id: str, language: str) -> str:
    return f"{NAME}/{language}-{id}"


def _passage_id(id: str, language: str) -> str:
    return f"{NAME}/{id}@{language}"


def _check_count(path: Path, what: str, found: int, expected: int, origin: str) -> None:
    if found != expected:
        raise DataError(
            f"{path}: holds {found} {what}, expected {expected}: incomplete, or another release; fetch v1.0 again from "
            f"{origin}, or set excerpt: true for a part of it"
        )


def _languages(config: MiraclConfig) -> tuple[str, ...]:
    require_folder(config.path)
    there = tuple(language for language in PUBLISHED if _topic_file(config, "topics", language).exists())
    if not there:
        raise DataError(
            f"{config.path}: holds no topics of {config.split}, such as {_file_name(config, 'topics', 'sw')}"
        )
    return choose_languages(config.languages, there, config.path)


def _file_name(config: MiraclConfig, kind: str, language: str) -> str:
    return f"{kind}.miracl-v1.0-{language}-{config.split}.tsv"


def _topic_file(config: MiraclConfig, kind: str, language: str) -> Path:
    name = _file_name(config, kind, language)
    folders = (config.path / f"miracl-v1.0-{language}" / kind, config.path)
    forms = [folder / f"{name}{packed}" for folder in folders for packed in ("", ".gz")]
    return next((path for path in forms if path.exists()), forms[0])


def _corpus(config: MiraclConfig, language: str) -> Path:
    return config.path / f"miracl-corpus-v1.0-{language}"


def _shards(config: MiraclConfig, language: str) -> list[Path]:
    """Shards in the order of their numbers; a gap shows that one is missing."""
    folder = _corpus(config, language)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; the passages of '{language}' come from {CORPUS_ORIGIN}")
    names = ((re.fullmatch(r"docs-(\d+)\.jsonl(\.gz)?", path.name), path) for path in folder.iterdir())
    found = {int(match[1]): path for match, path in names if match}
    if sorted(found) != list(range(len(found))) or not found:
        gap = next(number for number in range(len(found) + 1) if number not in found)
        raise DataError(f"{folder}: has no docs-{gap}.jsonl.gz; fetch it from {CORPUS_ORIGIN}")
    return [found[number] for number in sorted(found)]
