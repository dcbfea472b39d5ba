"""Texts of slots -> token ids, with the ids that tell who answers whom."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.encoder.config import Role
from retrieval.encoder.pixels import Pixels
from retrieval.encoder.tokens import Tokens
from retrieval.images import IMAGE
from trainer.batch import LocalBatch
from trainer.feed.fetch import SlotTexts
from trainer.mixing.plan import GlobalBatch
from trainer.mixing.ratios import KINDS


@dataclass(frozen=True)
class FeedBatch:
    """One rank's share of a global batch: the slots that the plan chose, and what the loss needs of them."""

    slots: GlobalBatch
    local: LocalBatch


def stable_hash(text: str) -> int:
    """A signed 64-bit number that stands for an id on every rank."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def collate(
    slots: GlobalBatch, texts: Sequence[SlotTexts], tokens: Tokens, source: str, pixels: Pixels | None = None
) -> FeedBatch:
    """Tokenise one rank's slots: passages of a slot stand together, positives before hard negatives.

    Args:
        slots: the rank's share of the plan's batch.
        texts: what stands in each slot.
        tokens: of the texts.
        source: name of the source of all slots.
        pixels: of the images; needed where the plan has any.

    Raises:
        DataError: an image is damaged; its group is named.
    """
    passages, languages, owner, positive, groups, passage_ids = [], [], [], [], [], []
    for number, slot in enumerate(texts):
        passages += [*slot.passages, *slot.negatives]
        languages += [*slot.passage_languages, *slot.negative_languages]
        owner += [number] * (len(slot.passages) + len(slot.negatives))
        positive += [True] * len(slot.passages) + [False] * len(slot.negatives)
        own = [stable_hash(f"negative\0{text}") for text in slot.negatives]
        groups += [stable_hash(slot.group_id)] * len(slot.passages) + own
        passage_ids += [stable_hash(slot.passage_id)] * len(slot.passages) + own
    local = LocalBatch(
        step=slots.step,
        query_ids=_encoded(
            [slot.query for slot in texts],
            [slot.query_language for slot in texts],
            "query",
            tokens,
            pixels,
            [slot.group_id for slot in texts],
        ),
        passage_ids=_encoded(
            passages, languages, "passage", tokens, pixels, [texts[number].group_id for number in owner]
        ),
        passage_slot=np.array(owner, dtype=np.int64),
        passage_positive=np.array(positive, dtype=bool),
        query_group=np.array([stable_hash(slot.group_id) for slot in texts], dtype=np.int64),
        passage_group=np.array(groups, dtype=np.int64),
        query_passage_id=np.array([stable_hash(slot.passage_id) for slot in texts], dtype=np.int64),
        passage_passage_id=np.array(passage_ids, dtype=np.int64),
        kinds=[KINDS[kind] for kind in slots.kind.tolist()],
        sources=[source] * len(texts),
    )
    return FeedBatch(slots, local)


def _encoded(
    contents: Sequence[str | bytes],
    languages: Sequence[str],
    role: Role,
    tokens: Tokens,
    pixels: Pixels | None,
    group_ids: Sequence[str],
) -> list[np.ndarray]:
    """Token ids of each text, pixels of each image."""
    texts = [(content, language) for content, language in zip(contents, languages, strict=True) if language != IMAGE]
    ids = iter(tokens.encode([str(text) for text, _ in texts], role, [language for _, language in texts]))
    encoded = []
    for content, group_id in zip(contents, group_ids, strict=True):
        if isinstance(content, bytes):
            assert pixels is not None, "the plan has images, but the feed does not know what the encoder makes of them"
            encoded.append(pixels.encode(content, f"image of group {group_id}"))
        else:
            encoded.append(next(ids))
    return encoded
