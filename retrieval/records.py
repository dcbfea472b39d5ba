"""The records everything else passes on: groups (one meaning in many languages) and collections (what is searched).

Shape letters: Q queries, P passages, J judgements, L languages.
"""

import itertools
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from cluster.errors import DataError
from retrieval.images import IMAGE, ImageSource, Search, asks_with, finds

LANGUAGE_CODE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and the passage that answers it, both in one language."""

    query: str
    passage: str
    negatives: tuple[str, ...] = ()
    """Passages in the same language that do not answer the query (hard negatives)."""


@dataclass(frozen=True, slots=True)
class Group:
    """One meaning in several languages."""

    id: str
    """Unique over all data sets: `<dataset>/<id in the data set>`."""

    pairs: Mapping[str, Pair]
    """Language code -> pair."""

    passage_id: str = ""
    """Groups that share a passage (several questions on one paragraph) share this id; '' = only this group has it."""

    image: ImageSource | None = None
    """What the texts describe, where the data set has images."""


@dataclass(frozen=True)
class Collection:
    """What one evaluation searches: queries and passages in several languages, and which answer which.

    Passages stand in blocks by language, in the order of `languages`; `passage row` means the position in that order,
    and equal scores are ranked by it.
    """

    name: str
    languages: tuple[str, ...]
    query_ids: Sequence[str]
    """(Q) the id without its language: parallel queries share it."""
    query_texts: Sequence[str]
    query_language: np.ndarray
    """(Q) int16, index into `languages`."""
    passage_ids: Sequence[str]
    passage_texts: Sequence[str]
    passage_language: np.ndarray
    """(P) int16, index into `languages`, never falling."""
    judged_query: np.ndarray
    """(J) int64 query row of each relevant pair; sorted by (query row, passage row)."""
    judged_passage: np.ndarray
    """(J) int64 passage row of each relevant pair."""
    grade: np.ndarray
    """(J) int16 relevance grade >= 1."""
    passage_contexts: Sequence[str] | None = field(default=None)
    """(P) the paragraph around each passage, where the data set gives one."""
    own_passage: np.ndarray | None = field(default=None)
    """(Q) int64 row of the passage that is the query itself, which its rankings leave out; -1 = none."""
    query_images: Sequence[ImageSource | None] | None = field(default=None)
    """(Q) the query where it is an image, whose text is empty and whose language is `IMAGE`; None = no query is one."""
    passage_images: Sequence[ImageSource | None] | None = field(default=None)
    """(P) the same of passages."""

    def __post_init__(self) -> None:
        if len(self.query_ids) != len(self.query_texts) or len(self.query_texts) != len(self.query_language):
            raise DataError(f"{self.name}: query ids, texts and languages differ in number")
        if len(self.passage_ids) != len(self.passage_texts) or len(self.passage_texts) != len(self.passage_language):
            raise DataError(f"{self.name}: passage ids, texts and languages differ in number")
        for what, images, texts in (
            ("query", self.query_images, self.query_texts),
            ("passage", self.passage_images, self.passage_texts),
        ):
            if images is not None and len(images) != len(texts):
                raise DataError(f"{self.name}: {len(images)} {what} images for {len(texts)} texts")
        if self.own_passage is not None and len(self.own_passage) != len(self.query_texts):
            raise DataError(f"{self.name}: {len(self.own_passage)} own passages for {len(self.query_texts)} queries")
        if not self.query_texts or not self.passage_texts or not len(self.judged_query):
            raise DataError(
                f"{self.name}: {len(self.query_texts)} queries, {len(self.passage_texts)} passages and "
                f"{len(self.judged_query)} judgements; an evaluation needs some of each"
            )
        if np.any(np.diff(self.passage_language) < 0):
            raise DataError(f"{self.name}: passages must stand in blocks by language; build it with `collection_from`")

    @property
    def language_bounds(self) -> np.ndarray:
        """(L + 1) int64: passages of language l are rows bounds[l] up to bounds[l + 1]."""
        return np.searchsorted(self.passage_language, np.arange(len(self.languages) + 1)).astype(np.int64)

    @property
    def has_images(self) -> bool:
        """Whether a query or a passage is an image."""
        return self.query_images is not None or self.passage_images is not None


@dataclass(frozen=True, slots=True)
class QueryRecord:
    """One query of an evaluation, before rows are numbered."""

    id: str
    language: str
    text: str
    relevant: Mapping[str, int]
    """Passage id -> grade; passages of all languages that answer it. Ids are unique over languages."""
    own: str = ""
    """Id of the passage that is the query itself (a caption that searches captions): left out of its rankings and,
    where `relevant` names it, of its judgements, so that all captions of an image can share one mapping."""
    image: ImageSource | None = None
    """The query itself, where it is an image: then the language is `IMAGE` and the text empty."""


@dataclass(frozen=True, slots=True)
class PassageRecord:
    """One passage of an evaluation, before rows are numbered."""

    id: str
    language: str
    text: str
    context: str = ""
    image: ImageSource | None = None
    """The passage itself, where it is an image: then the language is `IMAGE` and the text empty."""


def collection_from(
    name: str, languages: Sequence[str], queries: Sequence[QueryRecord], passages: Sequence[PassageRecord]
) -> Collection:
    """Number rows, order passages by language (stable) and resolve judgements.

    Raises:
        DataError: a passage id stands twice, a judgement or a query's own passage is not among the passages, a language
            is not in `languages`.
    """
    index = {language: number for number, language in enumerate(languages)}
    unknown = sorted(({query.language for query in queries} | {p.language for p in passages}) - index.keys())
    if unknown:
        raise DataError(f"{name}: language {unknown[0]} is not among {', '.join(languages)}")
    ordered = sorted(passages, key=lambda passage: index[passage.language])
    row_of = {passage.id: row for row, passage in enumerate(ordered)}
    if len(row_of) != len(ordered):
        repeated = next(p.id for row, p in enumerate(ordered) if row_of[p.id] != row)
        raise DataError(f"{name}: passage id {repeated} stands twice")
    # Arrays of machine numbers, not tuples: captions in many languages have tens of millions of judgements.
    judged_query, judged_passage, grade = array("q"), array("q"), array("q")
    for query_row, query in enumerate(queries):
        if query.own and query.own not in row_of:
            raise DataError(f"{name}: query {query.id} ({query.language}): its own passage {query.own} is not there")
        for passage_id, value in query.relevant.items():
            if passage_id not in row_of:
                raise DataError(
                    f"{name}: query {query.id} ({query.language}) judges passage {passage_id}, which is not there"
                )
            if passage_id != query.own:
                judged_query.append(query_row)
                judged_passage.append(row_of[passage_id])
                grade.append(value)
    judgements = np.array([judged_query, judged_passage, grade], dtype=np.int64)
    judgements = judgements[:, np.lexsort((judgements[1], judgements[0]))]
    return Collection(
        name=name,
        languages=tuple(languages),
        query_ids=[query.id for query in queries],
        query_texts=[query.text for query in queries],
        query_language=np.array([index[query.language] for query in queries], dtype=np.int16),
        passage_ids=[passage.id for passage in ordered],
        passage_texts=[passage.text for passage in ordered],
        passage_language=np.array([index[passage.language] for passage in ordered], dtype=np.int16),
        judged_query=judgements[0],
        judged_passage=judgements[1],
        grade=judgements[2].astype(np.int16),
        passage_contexts=[passage.context for passage in ordered] if any(p.context for p in ordered) else None,
        own_passage=np.array([row_of.get(query.own, -1) for query in queries], dtype=np.int64)
        if any(query.own for query in queries)
        else None,
        query_images=_images(queries),
        passage_images=_images(ordered),
    )


def _images(records: Sequence[QueryRecord] | Sequence[PassageRecord]) -> list[ImageSource | None] | None:
    images = [record.image for record in records]
    return images if any(image is not None for image in images) else None


def collection_from_groups(
    name: str, groups: Iterator[Group] | Sequence[Group], languages: Sequence[str], search: Search = "captions"
) -> Collection:
    """An evaluation over prepared groups: each group's query against the distinct passages of all groups.

    All texts that stand under one `passage_id` (or, without one, belong to one group) answer all of its groups, and
    equal texts in a language are one candidate, so nothing that answers a query counts as wrong. So it is with the
    groups' images, where `search` lets them ask or be found: they are one more language, `IMAGE`.

    Raises:
        DataError: a group stands twice, a group has no image where images are asked for, or there is nothing to search.
    """
    kept: dict[str, Group] = {}
    passages: dict[str, PassageRecord] = {}
    candidate_with: dict[tuple[str, str | ImageSource], str] = {}
    answers: dict[str, dict[str, int]] = {}
    for group in groups:
        if group.id in kept:
            raise DataError(f"{name}: group {group.id} stands twice")
        kept[group.id] = group
        shared = answers.setdefault(_passage_id(group), {})
        for language, content in _contents(name, group, languages, finds(search), "passage"):
            candidate = candidate_with.get((language, content))
            if candidate is None:
                candidate = _unused(_passage_id(group), language, passages)
                candidate_with[language, content] = candidate
                text, image = _text_and_image(content)
                passages[candidate] = PassageRecord(candidate, language, text, image=image)
            shared[candidate] = 1
    queries: list[QueryRecord] = []
    asked: set[ImageSource] = set()
    for wanted in (*languages, IMAGE):
        for group in kept.values():
            for language, content in _contents(name, group, [wanted], asks_with(search), "query"):
                text, image = _text_and_image(content)
                if image is not None and image in asked:
                    continue  # several groups describe it; a text, too, may be asked by several, but for itself each
                own = candidate_with.get((IMAGE, image), "") if image is not None else ""
                asked |= {image} if image is not None else set()
                queries.append(QueryRecord(group.id, language, text, answers[_passage_id(group)], own, image))
    everything = (*languages, IMAGE) if search != "captions" else languages
    return collection_from(name, everything, queries, list(passages.values()))


def _passage_id(group: Group) -> str:
    return group.passage_id or group.id


def _contents(
    name: str, group: Group, languages: Sequence[str], wanted: tuple[bool, bool], role: Literal["query", "passage"]
) -> Iterator[tuple[str, str | ImageSource]]:
    """The group's texts of a role in languages, and its image (where it asks, only if `IMAGE` is among them)."""
    texts, images = wanted
    if texts:
        for language in languages:
            if language in group.pairs:
                yield language, getattr(group.pairs[language], role)
    if images and (role == "passage" or IMAGE in languages):
        if group.image is None:
            raise DataError(f"{name}: group {group.id} has no image; search: captions needs none")
        yield IMAGE, group.image


def _text_and_image(content: str | ImageSource) -> tuple[str, ImageSource | None]:
    return (content, None) if isinstance(content, str) else ("", content)


def _unused(passage_id: str, language: str, taken: Mapping[str, PassageRecord]) -> str:
    """`<passage id>@<language>`, or with #2, #3, ... where the passage id has several texts in the language."""
    names = (f"{passage_id}{'' if number == 1 else f'#{number}'}@{language}" for number in itertools.count(1))
    return next(name for name in names if name not in taken)
