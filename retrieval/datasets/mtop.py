"""MTOP (Li et al. 2021, arXiv 2008.09335): utterances to an assistant, in six languages, with intents and slots.

            en      de      es      fr      hi      th
train       15,667  13,424  10,934  11,814  11,330  10,759
eval         2,235   1,815   1,527   1,577   2,012   1,671
test         4,386   3,549   2,998   3,193   2,789   2,765

Read as published (`<language>/{train,eval,test}.txt`), or as XSemPLR's `dev.json` as JSON lines: 859 utterances in
en, de, es and fr.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from cluster.errors import DataError
from retrieval.cleaning import normalise
from retrieval.datasets.bitext import collection_of_sentences, groups_of_sentences
from retrieval.datasets.checksums import check_file
from retrieval.datasets.splits import Amount, SplitConfig, ids_of_split
from retrieval.formats.columns import read_columns
from retrieval.formats.jsonl import read_jsonl
from retrieval.formats.lines import require_folder
from retrieval.formats.record import Record
from retrieval.language_codes import CanonicalLanguages
from retrieval.languages import choose_languages
from retrieval.records import Collection, Group, Pair, PassageRecord, QueryRecord, collection_from

NAME = "mtop"
ORIGIN = "fb.me/mtop_dataset"
PUBLISHED = {
    "en": {"train": 15667, "eval": 2235, "test": 4386},
    "de": {"train": 13424, "eval": 1815, "test": 3549},
    "es": {"train": 10934, "eval": 1527, "test": 2998},
    "fr": {"train": 11814, "eval": 1577, "test": 3193},
    "hi": {"train": 11330, "eval": 2012, "test": 2789},
    "th": {"train": 10759, "eval": 1671, "test": 2765},
}
"""Utterances of each file."""
PARALLEL_UTTERANCES = 859
PARALLEL_LANGUAGES = ("en", "de", "es", "fr")
SAME_UTTERANCE, SAME_MEANING = 2, 1
"""Relevance grades."""

_COLUMNS = ("id", "intent", "slots", "utterance", "domain", "locale", "decoupled", "tokens")
_PARALLEL_FILE = "dev.en-de-es-fr.jsonl"
_FILE_OF_SPLIT = {"train": "train", "validation": "eval", "test": "test"}


class MtopConfig(SplitConfig):
    """Which utterances of MTOP to read, and which of them mean the same."""

    dataset: Literal["mtop"] = "mtop"

    path: Path = Path("../shared/data/mtop")
    """Folder with `<language>/train.txt` and so on, or with `dev.en-de-es-fr.jsonl.gz`."""

    languages: CanonicalLanguages | None = None
    """Languages to read; all there are where not given."""

    relevance: Literal["utterance", "meaning", "graded"] = "graded"
    """What is relevant to an utterance: its translations (`utterance`); these and utterances with the same intents and
    slots (`meaning`); the same with grade 2 for translations and 1 for the others (`graded`)."""

    own_text: Literal["left_out", "candidate"] = "left_out"
    """Leave an utterance out of its own rankings, or keep it as one more relevant passage."""

    held_out: Amount = Fraction(0)
    """Size of the test split: a number of utterances, or a share below 1. This and `validation` only divide the
    JSON form; the published files have splits of their own."""

    excerpt: bool = False
    """The files hold only part of the data set: do not check SHA-256 and published counts."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """What somebody says to the assistant, in one language."""

    text: str
    frame: str
    """Intents and slots without the words: `IN:CREATE_CALL(SL:CONTACT,SL:NAME_APP)`."""


Utterances = Mapping[str, Mapping[str, Utterance]]
"""Language -> id -> utterance; utterances with one id are translations of each other."""


def input_files(config: MtopConfig) -> list[Path]:
    """The files that are read."""
    parallel = _parallel_file(config)
    if parallel is not None:
        return [parallel]
    return [_file(config, language, name) for language in _languages(config) for name in _names(config)]


def read_groups(config: MtopConfig) -> Iterator[Group]:
    """Groups of utterances.

    With `relevance: utterance` a group is an utterance and its translations, each as query and passage. Otherwise the
    passage is, in each language, the next utterance with the same intent and slots (the utterance itself where there is
    no other), and all groups with the same intent and slots share a passage id, so that none counts as wrong.
    """
    utterances = read_utterances(config)
    if config.relevance == "utterance":
        return groups_of_sentences(NAME, _texts(utterances))
    return _groups_of_frames(utterances)


def read_collection(config: MtopConfig) -> Collection:
    """Every utterance against all utterances."""
    utterances = read_utterances(config)
    name = f"{NAME}-{config.relevance}" + ("" if config.split == "all" else f"-{config.split}")
    if config.relevance == "utterance":
        return collection_of_sentences(NAME, name, _texts(utterances), config.own_text)
    return _collection_of_frames(name, utterances, config)


def read_utterances(config: MtopConfig) -> Utterances:
    """The utterances of the split, by language and id.

    Raises:
        DataError: a file is missing, damaged, of another form or not the published one.
    """
    parallel = _parallel_file(config)
    if parallel is not None:
        return _read_parallel(config, parallel)
    utterances: dict[str, dict[str, Utterance]] = {}
    for language in _languages(config):
        of_language = utterances.setdefault(language, {})
        for name in _names(config):
            _read_published(config, language, name, of_language)
    return utterances


def frame_of(form: str) -> str:
    """Intents and slots of a decoupled form, without its words; slots in the order of their names.

    `[IN:CREATE_CALL [SL:NAME_APP whatsapp ] [SL:CONTACT Camilla ] ]` -> `IN:CREATE_CALL(SL:CONTACT,SL:NAME_APP)`.
    The order of words, and with it of slots, differs between languages; which slots there are does not.

    Raises:
        ValueError: the brackets do not match, or nothing stands in them.
    """
    stack: list[tuple[str, list[str]]] = [("", [])]
    for token in form.split():
        if token.startswith(("[IN:", "[SL:")):
            stack.append((token[1:], []))
        elif token == "]" and len(stack) > 1:
            label, children = stack.pop()
            stack[-1][1].append(f"{label}({','.join(sorted(children))})" if children else label)
        elif token == "]":
            raise ValueError("a bracket closes that was not opened")
    if len(stack) != 1 or len(stack[0][1]) != 1:
        raise ValueError("is not one bracketed form [IN:... ]")
    return stack[0][1][0]


def _texts(utterances: Utterances) -> dict[str, dict[str, str]]:
    return {language: {id: u.text for id, u in of.items()} for language, of in utterances.items()}


def _groups_of_frames(utterances: Utterances) -> Iterator[Group]:
    passage_of: dict[tuple[str, str], str] = {}
    for language, of_language in utterances.items():
        for ids in _ids_by_frame(of_language).values():
            for id, following in zip(ids, [*ids[1:], ids[0]], strict=True):
                passage_of[language, id] = of_language[following].text
    for id in dict.fromkeys(id for of_language in utterances.values() for id in of_language):
        found = {language: of_language[id] for language, of_language in utterances.items() if id in of_language}
        pairs = {language: Pair(u.text, passage_of[language, id]) for language, u in found.items()}
        frame = next(iter(found.values())).frame
        yield Group(id=f"{NAME}/{id}", pairs=pairs, passage_id=f"{NAME}/{frame}")


def _collection_of_frames(name: str, utterances: Utterances, config: MtopConfig) -> Collection:
    """Utterances of a language with the same text are one candidate, with the meanings of each."""
    passages: dict[tuple[str, str], PassageRecord] = {}
    of_frame: dict[str, dict[str, int]] = {}
    of_id: dict[str, dict[str, int]] = {}
    translation = SAME_UTTERANCE if config.relevance == "graded" else SAME_MEANING
    for language, of_language in utterances.items():
        for id, utterance in of_language.items():
            key = (language, normalise(utterance.text))
            passage = passages.setdefault(key, PassageRecord(f"{NAME}/{id}@{language}", language, utterance.text))
            of_frame.setdefault(utterance.frame, {})[passage.id] = SAME_MEANING
            of_id.setdefault(id, {})[passage.id] = translation
    queries = []
    for language, of_language in utterances.items():
        for id, utterance in of_language.items():
            own = passages[language, normalise(utterance.text)].id if config.own_text == "left_out" else ""
            relevant = of_frame[utterance.frame] | of_id[id]
            queries.append(QueryRecord(f"{NAME}/{id}", language, utterance.text, relevant, own))
    return collection_from(name, tuple(utterances), queries, list(passages.values()))


def _ids_by_frame(of_language: Mapping[str, Utterance]) -> dict[str, list[str]]:
    ids: dict[str, list[str]] = {}
    for id, utterance in of_language.items():
        ids.setdefault(utterance.frame, []).append(id)
    return ids


def _read_published(config: MtopConfig, language: str, name: str, into: dict[str, Utterance]) -> None:
    path = _file(config, language, name)
    count = 0
    for record in read_columns(path, _COLUMNS):
        id, locale = record.identifier("id"), record.text("locale")
        if locale.partition("_")[0] != language:
            raise record.error(f"its locale is '{locale}', expected '{language}'; was the file renamed?")
        if id in into:
            raise record.error(f"id '{id}' stands twice in '{language}'")
        into[id] = _utterance(record, record.text("utterance"), record.text("decoupled"))
        count += 1
    if not config.excerpt and count != PUBLISHED[language][name]:
        raise DataError(
            f"{path}: holds {count} utterances, expected {PUBLISHED[language][name]}: cut short, or another release; "
            f"fetch it again from {ORIGIN}, or set excerpt: true for a part of it"
        )


def _read_parallel(config: MtopConfig, path: Path) -> Utterances:
    if not config.excerpt:
        check_file(path, NAME, _PARALLEL_FILE, "github.com/psunlpgroup/XSemPLR, dataset/mtop/dev.json")
    languages = choose_languages(config.languages, PARALLEL_LANGUAGES, path)
    utterances: dict[str, dict[str, Utterance]] = {language: {} for language in languages}
    for record in read_jsonl(path):
        id = record.identifier("id")
        if id in utterances[languages[0]]:
            raise record.error(f"id '{id}' stands twice in this file")
        texts, forms = record.record("question"), record.record("slot_intent")
        for language in languages:
            utterances[language][id] = _utterance(record, texts.text(language), forms.text(language))
    count = len(utterances[languages[0]])
    if not config.excerpt and count != PARALLEL_UTTERANCES:
        raise DataError(f"{path}: holds {count} utterances, expected {PARALLEL_UTTERANCES}: cut short?")
    ids = ids_of_split(config, utterances[languages[0]], path)
    return {language: {id: of_language[id] for id in ids} for language, of_language in utterances.items()}


def _utterance(record: Record, text: str, form: str) -> Utterance:
    try:
        return Utterance(text, frame_of(form))
    except ValueError as error:
        raise record.error(f"its form '{form[:60]}' {error}") from None


def _parallel_file(config: MtopConfig) -> Path | None:
    require_folder(config.path)
    packed = config.path / f"{_PARALLEL_FILE}.gz"
    return next((path for path in (packed, packed.with_suffix("")) if path.exists()), None)


def _languages(config: MtopConfig) -> tuple[str, ...]:
    there = tuple(language for language in PUBLISHED if (config.path / language).is_dir())
    if not there:
        raise DataError(
            f"{config.path}: holds neither {_PARALLEL_FILE}.gz nor folders of languages such as en/train.txt"
        )
    return choose_languages(config.languages, there, config.path)


def _names(config: MtopConfig) -> Sequence[str]:
    return tuple(_FILE_OF_SPLIT.values()) if config.split == "all" else (_FILE_OF_SPLIT[config.split],)


def _file(config: MtopConfig, language: str, name: str) -> Path:
    return config.path / language / f"{name}.txt"
