"""A small encoder, small global batches of each kind and a float64 reference, for the workers of this folder."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import transformers

from retrieval.encoder.config import EncoderConfig, FreshConfig, FreshImageConfig, ImageConfig
from retrieval.encoder.dual import IDENTITY, Dense, DualEncoder
from retrieval.encoder.vision import build_image_tower
from trainer.batch import LocalBatch
from trainer.loss import LossConfig

PAD_ID = 1
KINDS = ("mono", "cross", "multi")
NUM_QUERIES = 8
SIDE = 6
"""Pixels of an image's side."""


def small_encoder(dropout: float = 0.0, images: Literal["clip", "siglip"] | None = None) -> DualEncoder:
    """XLM-R, two layers 24 wide, mean pooling, projected to 7 numbers: sizes that two ranks do not divide evenly.

    With a tower for images where asked for: one layer 15 wide, over 4 patches.
    """
    torch.manual_seed(7)
    config = transformers.XLMRobertaConfig(
        vocab_size=64,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=40,
        max_position_embeddings=40,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    backbone = transformers.XLMRobertaModel(config, add_pooling_layer=False)
    config = EncoderConfig(fresh=FreshConfig())
    encoder = DualEncoder(backbone, 24, [Dense(24, 7, bias=True, activation=IDENTITY)], config)
    if images is not None:
        sizes = {"layers": 1, "hidden": 15, "heads": 3, "intermediate": 20, "image_size": SIDE, "patch_size": SIDE // 2}
        tower = ImageConfig(fresh=FreshImageConfig(architecture=images, **sizes))
        encoder.image = build_image_tower(config.model_copy(update={"image": tower}), encoder.dimension)
    return encoder


def global_batch(kind: str, step: int = 0) -> LocalBatch:
    """All of a global batch, as one rank would hold it.

    Queries 1 and 5 share a paragraph, queries 2 and 6 a group. mono: one positive each; cross: hard negatives too,
    more of them for the first queries, so that ranks hold different numbers; multi: one to three positives.
    """
    rng = np.random.default_rng([step, KINDS.index(kind)])
    slots = np.arange(NUM_QUERIES)
    positives = {"mono": np.ones(8, int), "cross": np.ones(8, int), "multi": np.array([2, 3, 1, 2, 2, 1, 3, 1])}[kind]
    negatives = {
        "mono": np.zeros(8, int),
        "cross": np.array([2, 1, 1, 0, 0, 0, 0, 1]),
        "multi": np.eye(8, dtype=int)[3],
    }
    slot = np.repeat(slots, positives + negatives[kind])
    place = np.concatenate([np.arange(count) for count in positives + negatives[kind]])
    positive = place < positives[slot]
    group = 100 + slots
    group[6] = group[2]
    passage_id = 200 + slots
    passage_id[5] = passage_id[1]
    own = 1000 + np.arange(len(slot))  # no group and no passage has it
    return LocalBatch(
        step=step,
        query_ids=[rng.integers(2, 64, size=rng.integers(2, 9)) for _ in slots],
        passage_ids=[rng.integers(2, 64, size=rng.integers(3, 21)) for _ in slot],
        passage_slot=slot,
        passage_positive=positive,
        query_group=group,
        passage_group=np.where(positive, group[slot], own),
        query_passage_id=passage_id,
        passage_passage_id=np.where(positive, passage_id[slot], own),
        kinds=[kind] * NUM_QUERIES,
        sources=["atlas"] * NUM_QUERIES,
    )


def with_images(batch: LocalBatch, queries: Sequence[int], passages: Sequence[int]) -> LocalBatch:
    """The batch with images in the place of some queries and passages."""
    rng = np.random.default_rng([batch.step, 99])

    def mixed(inputs: Sequence[np.ndarray], places: Sequence[int]) -> list[np.ndarray]:
        picture = [rng.integers(0, 256, size=(SIDE, SIDE, 3), dtype=np.uint8) for _ in inputs]
        return [picture[place] if place in places else one for place, one in enumerate(inputs)]

    return replace(batch, query_ids=mixed(batch.query_ids, queries), passage_ids=mixed(batch.passage_ids, passages))


def share(batch: LocalBatch, rank: int, world: int) -> LocalBatch:
    """What one of `world` ranks holds of a global batch."""
    b = len(batch.query_ids) // world
    mine = slice(rank * b, (rank + 1) * b)
    rows = np.flatnonzero(batch.passage_slot // b == rank)
    return LocalBatch(
        step=batch.step,
        query_ids=batch.query_ids[mine],
        passage_ids=[batch.passage_ids[row] for row in rows],
        passage_slot=batch.passage_slot[rows] - rank * b,
        passage_positive=batch.passage_positive[rows],
        query_group=batch.query_group[mine],
        passage_group=batch.passage_group[rows],
        query_passage_id=batch.query_passage_id[mine],
        passage_passage_id=batch.passage_passage_id[rows],
        kinds=batch.kinds[mine],
        sources=batch.sources[mine],
    )


def reference_loss(encoder: torch.nn.Module, batch: LocalBatch, config: LossConfig) -> torch.Tensor:
    """The loss in plain loops, text by text, without padding, sorting, gathering or masks as arrays."""

    def encode(inputs: Any) -> list[torch.Tensor]:
        return [
            encoder.image(torch.from_numpy(one)[None])[0]
            if one.ndim == 3
            else encoder(torch.from_numpy(one)[None], torch.ones(1, len(one), dtype=torch.int64))[0]
            for one in inputs
        ]

    queries, passages = encode(batch.query_ids), encode(batch.passage_ids)

    def score(i: int, p: int) -> torch.Tensor:
        return queries[i] @ passages[p] / config.temperature

    def same(i: int, p: int) -> bool:
        return bool(
            (config.mask_same_group and batch.query_group[i] == batch.passage_group[p])
            or (config.mask_same_passage and batch.query_passage_id[i] == batch.passage_passage_id[p])
        )

    def positive(i: int, p: int) -> bool:
        return bool(batch.passage_slot[p] == i and batch.passage_positive[p])

    losses = []
    for i in range(len(queries)):
        terms = []
        for p in filter(lambda p, i=i: positive(i, p), range(len(passages))):
            hit = score(i, p).exp()
            others = [score(i, n).exp() for n in range(len(passages)) if not positive(i, n) and not same(i, n)]
            term = -torch.log(hit / (hit + sum(others)))
            if config.symmetric:
                rivals = [score(j, p).exp() for j in range(len(queries)) if j != i and not same(j, p)]
                term = (term - torch.log(hit / (hit + sum(rivals)))) / 2
            terms.append(term)
        losses.append(sum(terms) / len(terms))
    return sum(losses) / len(losses)


def report(value: Any) -> None:
    """Hand a result to the test that started this worker."""
    Path(os.environ["REPORT"]).write_text(json.dumps(value))
