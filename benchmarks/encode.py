"""Question: how many texts a second are encoded on CPUs, beside sentence-transformers with the same weights?

XQuAD-R's questions and sentences, at most 128 tokens, through a fresh encoder of XLM-R's shape (4 layers, 256 wide, 16k
vocabulary). The peer is `SentenceTransformer.encode`, in fp32 and in bf16, with whichever of the batch sizes 32, 64 and
128 is its fastest on a part of the texts. All in turns, medians of the rounds, each on all cores. The limit is what the
matrix units do: the products that the real tokens need, at the rate at which this machine multiplies matrices of the
encoder's sizes.

    python benchmarks/encode.py [--part 8] [--rounds 3]
"""

import argparse
import logging
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from side_by_side import in_turns, line, medians, seconds
from xquad_pairs import ENCODER, SHAPE

from retrieval.datasets.xquad_r import XquadRConfig, read_collection
from retrieval.encode import encode_texts
from retrieval.encoder.folder import build_encoder, save_encoder

PRECISIONS: tuple[Literal["fp32", "bf16"], ...] = ("fp32", "bf16")
BATCH_SIZES = (32, 64, 128)
TRIED = 2_000
"""Texts on which the peer's batch size is chosen."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/xquad-r"))
    parser.add_argument("--part", type=int, default=1, help="every n-th text only")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    collection = read_collection(XquadRConfig(path=options.data))
    every = [*collection.query_texts, *collection.passage_texts]
    texts = every[:: options.part]
    encoder, tokens = build_encoder(ENCODER, every)
    peers: dict[str, _Encode] = {}
    chosen: dict[str, int] = {}
    if not options.no_peers:
        with tempfile.TemporaryDirectory() as folder:
            save_encoder(Path(folder), encoder, tokens)
            peers, chosen = _peers(Path(folder), every[:: max(len(every) // TRIED, 1)], texts)
    ours = {
        f"mixlingual {precision}": partial(encode_texts, encoder, tokens, texts, "passage", precision=precision)
        for precision in PRECISIONS
    }
    found = in_turns(options.rounds, {**ours, **peers})
    rates = {name: len(texts) / value for name, value in medians(found).items()}
    best = max((rate for name, rate in rates.items() if name in peers), default=float("nan"))
    limits = _limits([len(ids) for ids in tokens.encode(texts, "passage")], len(texts))
    print(f"{len(texts):,} texts; batch sizes of the peer: {chosen}")
    for name, rate in rates.items():
        print(f"{name:<32}{rate:9.0f} texts/s  {rate / best:5.2f} of the peer's best")
    for name, rate in limits.items():
        print(f"{'matrix products alone, ' + name:<32}{rate:9.0f} texts/s")
    cosines: dict[str, float] = {}
    if peers:
        sample = every[:: max(len(every) // 500, 1)]
        exact = peers["sentence-transformers fp32"].of(sample)
        for precision in PRECISIONS:
            vectors = encode_texts(encoder, tokens, sample, "passage", precision=precision)
            cosines[precision] = float((vectors * exact).sum(1).min())
        print(f"smallest cosine to the peer's fp32 vectors, {len(sample)} texts: {cosines}")
    line(
        "texts a second, beside sentence-transformers",
        texts=len(texts),
        rates=rates,
        limits=limits,
        batch_sizes=chosen,
        cosines=cosines,
        seconds=found,
    )


def _peers(folder: Path, few: list[str], texts: list[str]) -> "tuple[dict[str, _Encode], dict[str, int]]":
    from sentence_transformers import SentenceTransformer

    peers: dict[str, _Encode] = {}
    chosen: dict[str, int] = {}
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": dtype})
        encode = partial(model.encode, convert_to_numpy=precision == "fp32", convert_to_tensor=precision == "bf16")
        encode(few[:200])
        took = {size: seconds(partial(encode, few, batch_size=size)) for size in BATCH_SIZES}
        chosen[precision] = min(took, key=took.__getitem__)
        peers[f"sentence-transformers {precision}"] = _Encode(encode, texts, chosen[precision])
    return peers, chosen


class _Encode:
    """A call of the peer that can be repeated on other texts."""

    def __init__(self, encode: Any, texts: list[str], batch_size: int) -> None:
        self._encode, self._texts, self._batch_size = encode, texts, batch_size

    def __call__(self) -> Any:
        return self.of(self._texts)

    def of(self, texts: list[str]) -> Any:
        """Vectors of other texts."""
        return self._encode(texts, batch_size=self._batch_size)


def _limits(lengths: list[int], num_texts: int) -> dict[str, float]:
    """Texts a second if there were nothing but the products of the layers' matrices with all real tokens."""
    hidden, wide = SHAPE.hidden, SHAPE.intermediate
    shapes = [(hidden, 3 * hidden), (hidden, hidden), (hidden, wide), (wide, hidden)]
    rates = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        pairs = [(torch.randn(4096, a).to(dtype), torch.randn(a, b).to(dtype)) for a, b in shapes]
        for x, weight in pairs:
            x @ weight
        started = time.perf_counter()
        for _ in range(5):
            for x, weight in pairs:
                x @ weight
        per_token = (time.perf_counter() - started) / (5 * 4096)
        rates[name] = num_texts / (per_token * SHAPE.layers * float(np.sum(lengths)))
    return rates


if __name__ == "__main__":
    main()
