"""Question: what does gradient caching cost on CPUs, in time and in memory?

A training step of our engine (DeepSpeed, one worker, bf16, dropout 0.1) on XQuAD-R's questions and sentences, with the
activations of all texts kept and with those of one micro batch kept; and sentence-transformers' loss and cached loss
over the same pairs (fp32). Steps in turns, medians of the rounds. Then one step of a very large batch with caching, in
a process of its own, and the largest memory it had.

    python benchmarks/gradcache.py [--batch 512] [--large 8192]
"""

import argparse
import logging
import multiprocessing
import resource
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from side_by_side import in_turns, line, medians
from xquad_pairs import ENCODER, Pairs, pairs_by_language

from retrieval.encoder.folder import build_encoder, load_encoder, load_encoder_tokens, save_encoder
from trainer.batch import LocalBatch
from trainer.engine_config import EngineConfig
from trainer.loss import LossConfig
from trainer.ranks import process_group

RATE, MICRO_TOKENS = 1e-4, 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/xquad-r"))
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--large", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    pairs = pairs_in_one_order(options.data)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder), pairs)
        work = partial(context.Pool, 1)
        with work() as pool:
            ours = pool.apply(_ours, (folder, pairs, options.batch, options.rounds))
        with work() as pool:
            theirs = pool.apply(_theirs, (folder, pairs[: options.batch], options.rounds))
        with work() as pool:
            large = pool.apply(_large, (folder, pairs, options.large))
    for name, found in (("mixlingual", ours), ("sentence-transformers", theirs)):
        took = medians(found)
        ratio = took["cached"] / took["plain"]
        print(f"{name:<24}plain {took['plain']:6.2f} s, cached {took['cached']:6.2f} s: {ratio:.2f} times")
    print(f"one cached step of {options.large:,} pairs: {large['seconds']:.1f} s, at most {large['gib']:.2f} GiB")
    line("what gradient caching costs", batch=options.batch, ours=ours, theirs=theirs, large=large)


def pairs_in_one_order(data: Path) -> Pairs:
    """All pairs, in an order that mixes languages."""
    pairs = [pair for of_language in pairs_by_language(data).values() for pair in of_language]
    return [pairs[row] for row in np.random.default_rng(0).permutation(len(pairs))]


def save(folder: Path, pairs: Pairs) -> None:
    save_encoder(folder, *build_encoder(ENCODER, [text for pair in pairs for text in pair]))


def engine_of(folder: str, caching: bool, micro_batches: int) -> tuple[Any, Any]:
    """An engine over the encoder of a folder, and its tokenizer; within a process group."""
    from trainer.engine import Engine

    encoder, tokens = load_encoder(Path(folder))
    config = EngineConfig(precision="bf16", micro_batches=micro_batches, gradient_caching=caching)
    return Engine(encoder, tokens.pad_id, config, LossConfig()), tokens


def batch_of(tokens: Any, pairs: Pairs) -> LocalBatch:
    number = np.arange(len(pairs), dtype=np.int64)
    return LocalBatch(
        step=0,
        query_ids=tokens.encode([query for query, _ in pairs], "query"),
        passage_ids=tokens.encode([passage for _, passage in pairs], "passage"),
        passage_slot=number,
        passage_positive=np.ones(len(pairs), bool),
        query_group=number,
        passage_group=number,
        query_passage_id=number,
        passage_passage_id=number,
    )


def _cuts(batch: LocalBatch) -> int:
    return max(-(-sum(map(len, batch.inputs)) // MICRO_TOKENS), 1)


def _ours(folder: str, pairs: Pairs, number: int, rounds: int) -> dict[str, list[float]]:
    with process_group():
        plain, tokens = engine_of(folder, False, 1)
        batch = batch_of(tokens, pairs[:number])
        cached, _ = engine_of(folder, True, _cuts(batch))
        steps = {"plain": plain.train_step, "cached": cached.train_step}
        return in_turns(rounds, {name: partial(step, batch, RATE) for name, step in steps.items()})


def _theirs(folder: str, pairs: Pairs, rounds: int) -> dict[str, list[float]]:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import (
        CachedMultipleNegativesRankingLoss,
        MultipleNegativesRankingLoss,
    )

    model = SentenceTransformer(folder, device="cpu").train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    features = [model.preprocess(list(texts)) for texts in zip(*pairs, strict=True)]

    def step(loss: torch.nn.Module) -> None:
        loss([dict(one) for one in features], torch.empty(0)).backward()
        optimizer.step()
        optimizer.zero_grad()

    losses = {
        "plain": MultipleNegativesRankingLoss(model),
        "cached": CachedMultipleNegativesRankingLoss(model, mini_batch_size=64),
    }
    return in_turns(rounds, {name: partial(step, loss) for name, loss in losses.items()})


def _large(folder: str, pairs: Pairs, number: int) -> dict[str, float]:
    with process_group():
        batch = batch_of(load_encoder_tokens(Path(folder)), pairs[:number])
        engine, _ = engine_of(folder, True, _cuts(batch))
        (seconds,) = in_turns(1, {"cached": partial(engine.train_step, batch, RATE)})["cached"]
    return {"seconds": seconds, "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)}


if __name__ == "__main__":
    main()
