"""The leakage rule: ids and passages of evaluation sets are refused in training sources."""

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.config import Config
from cluster.errors import DataError
from retrieval.cleaning import is_empty
from retrieval.datasets import describe_dataset, in_all_languages, read_collection
from retrieval.preparation.keys import image_key, text_key
from retrieval.records import Group

_EXCERPT = 60


def bare_id(id: str) -> str:
    """The id in its data set: what stands after the data set's label."""
    return id.partition("/")[2]


@dataclass(frozen=True)
class Protected:
    """What one evaluation set forbids in training."""

    name: str
    ids: frozenset[str]
    """Query ids, without the data set's label: data sets of one origin share them."""
    passages: frozenset[int]
    """Keys of the normalised passages, and of the paragraphs around them, in every language."""
    images: frozenset[int] = frozenset()
    """Keys of the images that ask or are found."""


def protect(config: Config) -> Protected:
    """Read what an evaluation set forbids: in all its languages, whichever of them are evaluated."""
    collection = read_collection(in_all_languages(config))
    passages = [*collection.passage_texts, *(collection.passage_contexts or ())]
    images = {*(collection.query_images or ()), *(collection.passage_images or ())} - {None}
    return Protected(
        name=describe_dataset(config),
        ids=frozenset(bare_id(id) for id in collection.query_ids),
        passages=frozenset(text_key(text) for text in set(passages) if not is_empty(text)),
        images=frozenset(image_key(image) for image in images if image is not None),
    )


def find_leak(group: Group, protected: Iterable[Protected]) -> str | None:
    """Say what a group (its texts normalised) shares with an evaluation set; None where it shares nothing."""
    id = bare_id(group.id)
    image = image_key(group.image) if group.image is not None else None
    for evaluation in protected:
        if image in evaluation.images:
            return f"has an image of evaluation set {evaluation.name}"
        if id in evaluation.ids:
            return f"has the id of a query of evaluation set {evaluation.name}"
        for language, pair in group.pairs.items():
            for text in (pair.passage, *pair.negatives):
                if text_key(text) in evaluation.passages:
                    return (
                        f"holds a passage of evaluation set {evaluation.name} "
                        f"({language}: '{text[:_EXCERPT]}{'...' if len(text) > _EXCERPT else ''}')"
                    )
    return None


def refuse_leak(group: Group, source: str, leak: str) -> DataError:
    """The error for a leaking group, with the ways out."""
    return DataError(
        f"leak: group {group.id} of training source {source} {leak}; train on another split or data set, "
        f"rename the id where two data sets share it by chance, or set on_leak: drop to leave such groups out"
    )
