"""Texts of slots -> token ids, with the ids that tell who answers whom."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from cluster.fingerprint import hash64
from retrieval.encoder.config import Role
from retrieval.encoder.pixels import Pixels
from retrieval.encoder.tokens import Tokens
from retrieval.group_tokens import NEGATIVE
from trainer.batch import LocalBatch
from trainer.feed.fetch import SlotTexts
from trainer.mixing.plan import GlobalBatch
from trainer.mixing.ratios import KINDS


@dataclass(frozen=True)
class FeedBatch:
    """One rank's share of a global batch: the slots that the plan chose, and what the loss needs of them."""

    slots: GlobalBatch
    local: LocalBatch


@dataclass(frozen=True)
class Draft:
    """The texts of a share that is not tokenised yet."""

    slots: GlobalBatch
    """The rank's share of the plan's batch."""
    texts: Sequence[SlotTexts]
    """What stands in each slot."""
    source: str
    """Name of the source of all slots."""


def collate(
    slots: GlobalBatch, texts: Sequence[SlotTexts], tokens: Tokens, source: str, pixels: Pixels | None = None
) -> FeedBatch:
    """Tokenise one rank's slots; see `collate_all`."""
    return collate_all([Draft(slots, texts, source)], tokens, pixels)[0]


def collate_all(drafts: Sequence[Draft], tokens: Tokens, pixels: Pixels | None = None) -> list[FeedBatch]:
    """Tokenise shares: passages of a slot stand together, positives before hard negatives.

    All of them go to the tokenizer at once: its threads wait for each other at the end of every call.

    Args:
        tokens: of the texts.
        pixels: of the images; needed where the plan has any.

    Raises:
        DataError: an image is damaged; its group is named.
    """
    slots = [slot for draft in drafts for slot in draft.texts]
    queries = _encoded(
        [slot.query for slot in slots],
        [slot.query_language for slot in slots],
        [slot.group_id for slot in slots],
        "query",
        tokens,
        pixels,
    )
    passages = _encoded(
        [content for slot in slots for content in (*slot.passages, *slot.negatives)],
        [language for slot in slots for language in (*slot.passage_languages, *slot.negative_languages)],
        [slot.group_id for slot in slots for _ in range(len(slot.passages) + len(slot.negatives))],
        "passage",
        tokens,
        pixels,
    )
    return [_batch(draft, queries, passages) for draft in drafts]


def _batch(draft: Draft, queries: Iterator[np.ndarray], passages: Iterator[np.ndarray]) -> FeedBatch:
    """One share, taking what is its own from the encoded queries and passages."""
    texts, b = draft.texts, len(draft.texts)
    positives = np.array([len(slot.passages) for slot in texts])
    negatives = np.array([len(slot.negatives) for slot in texts])
    owner = np.repeat(np.arange(b), positives + negatives)
    place = np.arange(len(owner)) - np.repeat(
        np.cumsum(positives + negatives) - positives - negatives, positives + negatives
    )
    is_positive = place < positives[owner]
    group = np.array([hash64(slot.group_id) for slot in texts], dtype=np.int64)
    passage = np.array([hash64(slot.passage_id) for slot in texts], dtype=np.int64)
    passage_group, passage_passage = group[owner], passage[owner]
    if negatives.any():
        own = [hash64(NEGATIVE + text) for slot in texts for text in slot.negatives]
        passage_group[~is_positive] = passage_passage[~is_positive] = own
    local = LocalBatch(
        step=draft.slots.step,
        query_ids=list(islice(queries, b)),
        passage_ids=list(islice(passages, len(owner))),
        passage_slot=owner,
        passage_positive=is_positive,
        query_group=group,
        passage_group=passage_group,
        query_passage_id=passage,
        passage_passage_id=passage_passage,
        kinds=[KINDS[kind] for kind in draft.slots.kind.tolist()],
        sources=[draft.source] * b,
    )
    return FeedBatch(draft.slots, local)


def _encoded(
    contents: Sequence[str | bytes],
    languages: Sequence[str],
    group_ids: Sequence[str],
    role: Role,
    tokens: Tokens,
    pixels: Pixels | None,
) -> Iterator[np.ndarray]:
    """Token ids of each text, pixels of each image."""
    texts = [content for content in contents if isinstance(content, str)]
    if len(texts) == len(contents):
        yield from tokens.encode(texts, role, languages)
        return
    of_texts = [
        language for content, language in zip(contents, languages, strict=True) if not isinstance(content, bytes)
    ]
    ids = iter(tokens.encode(texts, role, of_texts))
    for content, group_id in zip(contents, group_ids, strict=True):
        yield image_pixels(content, group_id, pixels) if isinstance(content, bytes) else next(ids)


def image_pixels(content: bytes, group_id: str, pixels: Pixels | None) -> np.ndarray:
    """What the encoder makes of a group's image.

    Raises:
        DataError: it is damaged.
    """
    assert pixels is not None, "the plan has images, but the feed does not know what the encoder makes of them"
    return pixels.encode(content, f"image of group {group_id}")
