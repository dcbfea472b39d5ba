"""Slots -> batches out of a token cache: no text is read, and nothing is tokenised.

The batches are those that `collate` makes of the texts, bit for bit. Code-switched slots have texts that no cache
holds: they are read and tokenised as without one, a whole batch of them at once where all its slots are switched.
Images are read from the groups, for their pixels are no tokens.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from retrieval.encoder.pixels import Pixels
from retrieval.encoder.tokens import Tokens
from retrieval.group_tokens import GroupTokens, SourceTokens, negative_places, place_of
from trainer.batch import LocalBatch
from trainer.feed.collate import FeedBatch, collate, image_pixels
from trainer.feed.fetch import Fetcher
from trainer.mixing.plan import CODE_SWITCHED, GlobalBatch
from trainer.mixing.ratios import KINDS


class CachedBatches:
    """Makes shares of batches from the token ids of their groups.

    Args:
        cache: the token ids of all texts of the groups.
        fetcher: of the groups themselves, for what the cache has not.
        tokens: that made the cache.
        hard_negatives: negatives to add per query, at most.
        pixels: of the images; needed where the plan has any.
    """

    def __init__(
        self, cache: GroupTokens, fetcher: Fetcher, tokens: Tokens, hard_negatives: int, pixels: Pixels | None
    ) -> None:
        self._sources = [cache.source(number) for number in range(len(cache.sources))]
        self._fetcher, self._tokens, self._pixels = fetcher, tokens, pixels
        self._hard_negatives = hard_negatives

    def batch(self, slots: GlobalBatch) -> FeedBatch:
        """The batch of a share's slots.

        Raises:
            DataError: a file of the cache or of the groups is damaged, or an image is.
        """
        switched = np.flatnonzero(slots.kind == CODE_SWITCHED)
        if len(switched) == len(slots.kind):
            return self._from_texts(slots)
        batch = FeedBatch(slots, self._local(slots))
        if not len(switched):
            return batch
        return FeedBatch(slots, _with_slots(batch.local, self._from_texts(slots.only(switched)).local, switched))

    def _from_texts(self, slots: GlobalBatch) -> FeedBatch:
        name = self._sources[slots.source].facts.name
        return collate(slots, self._fetcher.texts(slots), self._tokens, name, self._pixels)

    def _local(self, slots: GlobalBatch) -> LocalBatch:
        source = self._sources[slots.source]
        group, passage = source.hashes(slots.row).T
        owner, column = np.nonzero(slots.passage_language >= 0)
        positive = np.ones(len(owner), dtype=bool)
        language = slots.passage_language[owner, column]
        passage_ids = self._texts(source, slots, owner, language, "passage")
        passage_group, passage_passage = group[owner], passage[owner]
        if source.facts.has_negatives and self._hard_negatives:
            rows, places = slots.row, source.negative_counts(slots.row)
            whose, places = _chosen_negatives(places, owner, language, self._hard_negatives)
            passage_ids = [*passage_ids, *source.texts(rows[whose], places)]
            hashes = source.negative_hashes(rows[whose], places)
            passage_group = np.concatenate([passage_group, hashes])
            passage_passage = np.concatenate([passage_passage, hashes])
            positive = np.concatenate([positive, np.zeros(len(whose), dtype=bool)])
            owner = np.concatenate([owner, whose])
            # Slot by slot, positives first: they come first already, and a stable sort leaves them there.
            order = np.argsort(owner, kind="stable")
            passage_ids = [passage_ids[number] for number in order.tolist()]
            owner, positive = owner[order], positive[order]
            passage_group, passage_passage = passage_group[order], passage_passage[order]
        everyone = np.arange(len(slots.row))
        return LocalBatch(
            step=slots.step,
            query_ids=self._texts(source, slots, everyone, slots.query_language, "query"),
            passage_ids=passage_ids,
            passage_slot=owner,
            passage_positive=positive,
            query_group=np.ascontiguousarray(group),
            passage_group=passage_group,
            query_passage_id=np.ascontiguousarray(passage),
            passage_passage_id=passage_passage,
            kinds=[KINDS[kind] for kind in slots.kind.tolist()],
            sources=[source.facts.name] * len(slots.row),
        )

    def _texts(
        self, source: SourceTokens, slots: GlobalBatch, owner: np.ndarray, language: np.ndarray, role: str
    ) -> list[np.ndarray]:
        """Token ids of a role's texts, by slot and language; pixels where the language is that of images."""
        is_image = language == len(source.facts.languages)
        if not is_image.any():
            return source.texts(slots.row[owner], place_of(role, language))
        texts = iter(source.texts(slots.row[owner[~is_image]], place_of(role, language[~is_image])))
        return [
            self._image(slots, int(slot)) if image else next(texts)
            for slot, image in zip(owner.tolist(), is_image.tolist(), strict=True)
        ]

    def _image(self, slots: GlobalBatch, slot: int) -> np.ndarray:
        content, group_id = self._fetcher.image(slots.source, int(slots.row[slot]))
        return image_pixels(content, group_id, self._pixels)


def _chosen_negatives(
    counts: np.ndarray, owner: np.ndarray, language: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """The first hard negatives of each slot, in the order of its passages' languages, `most` of them.

    Args:
        counts: (b, L) hard negatives of each slot's row in each language.
        owner: (n) slot of each positive passage, rising.
        language: (n) its language; L = an image, which has no negatives.

    Returns:
        Slot (m) and place in the row (m) of each negative, slot by slot.
    """
    first = negative_places(counts)
    text = language < counts.shape[1]
    owner, language = owner[text], language[text]
    there = counts[owner, language]
    running = np.cumsum(there) - there
    # Those of the slot's passages before: the running number less what it was at the slot's first passage.
    begin = np.searchsorted(owner, owner, side="left")
    taken = np.clip(most - (running - running[begin]), 0, there) if len(owner) else there
    within = np.arange(taken.sum()) - np.repeat(np.cumsum(taken) - taken, taken)
    return np.repeat(owner, taken), np.repeat(first[owner, language], taken) + within


def _with_slots(local: LocalBatch, other: LocalBatch, slots: np.ndarray) -> LocalBatch:
    """A batch whose slots with the numbers given are those of another one, which has just them."""
    passages = np.flatnonzero(np.isin(local.passage_slot, slots))
    changed: dict[str, Any] = {
        "query_ids": _put(local.query_ids, slots, other.query_ids),
        "passage_ids": _put(local.passage_ids, passages, other.passage_ids),
    }
    for name in ("passage_group", "passage_passage_id"):  # a switched negative is another text
        changed[name] = getattr(local, name).copy()
        changed[name][passages] = getattr(other, name)
    return replace(local, **changed)


def _put(inputs: Sequence[np.ndarray], places: np.ndarray, others: Sequence[np.ndarray]) -> list[np.ndarray]:
    found = list(inputs)
    for place, one in zip(places.tolist(), others, strict=True):
        found[place] = one
    return found
