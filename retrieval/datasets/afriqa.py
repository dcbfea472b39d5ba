"""AfriQA (Ogundepo et al. 2023, arXiv 2305.06897): questions in ten African languages, passages in English or French.

The questions are not parallel over the African languages. Each has a translation by people into its pivot language
(French for Fon and Wolof, English for the others), in which its gold passage is written.

    task                a query searches                              groups
    passages            the gold passages, all in a pivot language    the question and its translation, one passage
    parallel_questions  its translation into the pivot language       bitext of the questions

No African language has passages of its own. In a group of `passages` the passage of the African language is therefore
the pivot-language one: what a plan calls a monolingual batch of Hausa pairs Hausa questions with English passages.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cluster.errors import DataError
from cluster.logs import get_logger
from retrieval.cleaning import is_empty, normalise
from retrieval.datasets.bitext import BitextConfig, collection_of_sentences, groups_of_sentences
from retrieval.datasets.checksums import check_content
from retrieval.formats.jsonl import read_jsonl
from retrieval.formats.lines import require_folder
from retrieval.formats.record import Record
from retrieval.language_codes import files_by_language
from retrieval.records import Collection, Group, Pair, PassageRecord, QueryRecord, collection_from

NAME = "afriqa"
PUBLISHED_QUERIES = {
    "bem": 1319, "fon": 1241, "hau": 1171, "ibo": 1244, "kin": 1163, "swa": 1134, "twi": 1393, "wol": 1341, "yor": 1053,
    "zul": 1100,
}  # fmt: skip
PUBLISHED_PASSAGES = {
    "bem": 778, "fon": 964, "hau": 750, "ibo": 1022, "kin": 866, "swa": 295, "twi": 1221, "yor": 502, "zul": 812,
}  # fmt: skip
"""Gold passages; Wolof has none, Swahili has them in the test split only, Yoruba has none in dev."""

log = get_logger("afriqa")
_FILES = {"passages": "gold_passages", "parallel_questions": "queries"}


class AfriqaConfig(BitextConfig):
    """Which languages, split and task of AfriQA to read."""

    dataset: Literal["afriqa"] = "afriqa"

    path: Path = Path("../shared/data/afriqa")
    """Folder with `queries.<language>.jsonl.gz` and `gold_passages.<language>.jsonl.gz`."""

    split: Literal["train", "dev", "test", "all"] = "test"
    """Which questions."""

    task: Literal["passages", "parallel_questions"] = "passages"
    """What a question searches: its gold passage, or its translation."""


def input_files(config: AfriqaConfig) -> list[Path]:
    """The files that are read."""
    return list(_files(config).values())


def read_groups(config: AfriqaConfig) -> Iterator[Group]:
    """Groups of the configured task, each in an African language and its pivot language."""
    if config.task == "parallel_questions":
        yield from groups_of_sentences(NAME, _parallel(config))
        return
    first_with_text: dict[str, str] = {}
    for language, record in _with_passage(config):
        id, passage = _id(record), record.text("context")
        pairs = {
            language: Pair(record.text("question_lang"), passage),
            record.text("pivot"): Pair(record.text("question_translated"), passage),
        }
        passage_id = first_with_text.setdefault(normalise(passage), f"{NAME}/passage-{id}")
        yield Group(f"{NAME}/{id}", pairs, passage_id)


def read_collection(config: AfriqaConfig) -> Collection:
    """Translations, or the distinct gold passages of the languages read; a query is a question or its translation."""
    name = f"{NAME}-{config.split}-{config.task}"
    if config.task == "parallel_questions":
        return collection_of_sentences(NAME, name, _parallel(config), config.own_text)
    queries, passages = [], {}
    for group in read_groups(config):
        (_, pivot), relevant = group.pairs, {group.passage_id: 1}
        passages[group.passage_id] = PassageRecord(group.passage_id, pivot, group.pairs[pivot].passage)
        queries += [QueryRecord(group.id, language, pair.query, relevant) for language, pair in group.pairs.items()]
    languages = sorted({query.language for query in queries})
    return collection_from(name, languages, queries, list(passages.values()))


def _with_passage(config: AfriqaConfig) -> Iterator[tuple[str, Record]]:
    """Language and record of what has a question and a passage; some have an empty one, one has no question."""
    left_out = 0
    for language, record in _records(config, PUBLISHED_PASSAGES):
        texts = (record.fields.get(key) for key in ("question_lang", "question_translated", "context"))
        if all(isinstance(text, str) and not is_empty(text) for text in texts):
            yield language, record
        else:
            left_out += 1
    if left_out:
        log.info("%s: left out %d questions without a passage or without a text", NAME, left_out)


def _parallel(config: AfriqaConfig) -> dict[str, dict[str, str]]:
    """Language -> id -> question, African and pivot languages."""
    sentences: dict[str, dict[str, str]] = {}
    for language, record in _records(config, PUBLISHED_QUERIES):
        for code, key in ((language, "question"), (record.text("pivot"), "translated_question")):
            sentences.setdefault(code, {})[_id(record)] = normalise(record.text(key))
    return sentences


def _records(config: AfriqaConfig, counts: dict[str, int]) -> Iterator[tuple[str, Record]]:
    """Language and record of the split, file by file, after a look at whether each file is the published one."""
    found = False
    for language, path in _files(config).items():
        records = list(read_jsonl(path))
        if not config.excerpt:
            part = path.name.removesuffix(".gz").removesuffix(".jsonl")
            texts = {_id(record): normalise(_as_json(record)) for record in records}
            check_content(path, NAME, part, texts, counts.get(part.partition(".")[2]))
        for record in records:
            if config.split in ("all", record.text("split")):
                found = True
                yield language, record
    if not found:
        raise DataError(f"{config.path}: no record of the {config.split} split in the languages read")


def _as_json(record: Record) -> str:
    return json.dumps(dict(record.fields), sort_keys=True, ensure_ascii=False)


def _id(record: Record) -> str:
    """Ids of the data set count from 0 in each language and split."""
    return f"{record.text('lang')}-{record.text('split')}-{record.identifier('id')}"


def _files(config: AfriqaConfig) -> dict[str, Path]:
    """Canonical code -> file of the task, of the African languages wanted."""
    require_folder(config.path)
    start = f"{_FILES[config.task]}."
    paths = sorted([*config.path.glob(f"{start}*.jsonl.gz"), *config.path.glob(f"{start}*.jsonl")])
    if not paths:
        raise DataError(f"{config.path}: holds none of AfriQA's files, such as {start}hau.jsonl.gz")
    files = {path.name.removeprefix(start).partition(".")[0]: path for path in paths}
    return files_by_language(files, config.languages, config.path)
