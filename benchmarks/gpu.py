"""Question: how close to a GPU's limits are training, encoding, exact ranks and search? All in one call.

    python benchmarks/gpu.py                                      an encoder of XLM-R base's shape, random weights, bf16
    python benchmarks/gpu.py --small --device cpu                 the same path at toy size, to see that it works

Utilisation is the arithmetic that the real tokens need (6 operations a weight and token forward and backward, 2 for
encoding, and attention's own), over what this device reaches in one large product of matrices in bfloat16. A second
forward pass (caching) and padding count for nothing. The peer takes the same texts, weights, batch and precision.
What has no package or device here is left out, and said.
"""

import argparse
import contextlib
import importlib.util
import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from side_by_side import in_turns, line, medians

from retrieval.encoder.config import EncoderConfig, FreshConfig
from retrieval.encoder.folder import build_encoder, load_encoder, save_encoder
from trainer.batch import LocalBatch
from trainer.engine_config import EngineConfig
from trainer.loss import LossConfig
from trainer.ranks import default_device, process_group

BASE = FreshConfig(layers=12, hidden=768, heads=12, intermediate=3072, vocabulary=250_002)
TOY = FreshConfig(layers=2, hidden=64, heads=4, intermediate=128, vocabulary=400)
QUERY_TOKENS, PASSAGE_TOKENS, MOST_TOKENS = 16, 110, 256
RATE = 2e-5


def main() -> None:
    options = _options()
    logging.disable(logging.WARNING)
    device = torch.device(options.device) if options.device else default_device()
    shape = TOY if options.small else BASE
    peak_rate = _matrix_rate(device, 512 if options.small else 8192)
    print(f"{_name(device)}: {peak_rate / 1e12:.1f} TFLOP/s in one bfloat16 product")
    figures: dict[str, Any] = {"device": _name(device), "matrix_rate": peak_rate}
    with tempfile.TemporaryDirectory() as folder, process_group():
        _save(Path(folder), shape)
        figures["training"] = _training(folder, shape, device, peak_rate, options)
        figures["encoding"] = _encoding(folder, shape, device, peak_rate, options)
        figures["peer"] = _peer(folder, device, options)
    figures["ranks"] = _ranks(device, *((20_000, 64) if options.small else (1_000_000, 768)))
    figures["search"] = _search(device, *((20_000, 64) if options.small else (1_000_000, 768)))
    line("how close to a GPU's limits", **figures)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="as torch names it; default: the GPU where there is one")
    parser.add_argument("--small", action="store_true", help="toy sizes")
    parser.add_argument("--batch", type=int, nargs="*", help="pairs; beyond the first, with gradient caching")
    parser.add_argument("--attention", default="sdpa")
    parser.add_argument("--micro-tokens", type=int, default=65_536, help="tokens of a micro batch with caching")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    options.batch = options.batch or ([32, 128] if options.small else [512, 8192, 65_536])
    return options


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def _clocked(device: torch.device, work: Callable[[], Any]) -> Callable[[], Any]:
    """The work, and then the wait for the device to have done it."""

    def whole() -> Any:
        result = work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return result

    return whole


def _matrix_rate(device: torch.device, size: int) -> float:
    """Operations a second of one large product in bfloat16."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    took = medians(in_turns(10, {"product": _clocked(device, lambda: a @ b)}))["product"]
    return 2 * size**3 / took


def _save(folder: Path, shape: FreshConfig) -> None:
    words = [f"word{number}" for number in range(2_000)]
    limits = {"max_query_tokens": MOST_TOKENS, "max_passage_tokens": MOST_TOKENS}
    config = EncoderConfig(fresh=shape, query_prefix="", passage_prefix="", **limits)
    save_encoder(folder, *build_encoder(config, [" ".join(words[i : i + 20]) for i in range(0, 2_000, 20)]))


def _texts(number: int, mean: int, vocabulary: int, seed: int) -> list[np.ndarray]:
    """Token lists whose lengths spread as those of questions and passages do."""
    rng = np.random.default_rng([seed, mean])
    lengths = np.clip(rng.lognormal(np.log(mean), 0.4, number).astype(int), 4, MOST_TOKENS)
    return [rng.integers(5, vocabulary, length) for length in lengths]


def _batch(number: int, vocabulary: int) -> LocalBatch:
    slot = np.arange(number, dtype=np.int64)
    return LocalBatch(
        step=0,
        query_ids=_texts(number, QUERY_TOKENS, vocabulary, 0),
        passage_ids=_texts(number, PASSAGE_TOKENS, vocabulary, 0),
        passage_slot=slot,
        passage_positive=np.ones(number, bool),
        query_group=slot,
        passage_group=slot,
        query_passage_id=slot,
        passage_passage_id=slot,
    )


def _operations(texts: list[np.ndarray], shape: FreshConfig) -> float:
    """Of one forward pass over real tokens: two a weight of the layers, and attention's two products."""
    weights = shape.layers * (4 * shape.hidden**2 + 2 * shape.hidden * shape.intermediate)
    lengths = np.array([len(text) for text in texts], dtype=np.float64)
    return float(2 * weights * lengths.sum() + 4 * shape.layers * shape.hidden * (lengths**2).sum())


def _loaded(folder: str, attention: str) -> tuple[Any, Any]:
    return load_encoder(Path(folder), EncoderConfig(name_or_path=folder, attention=attention))  # type: ignore[arg-type]


def _training(
    folder: str, shape: FreshConfig, device: torch.device, peak_rate: float, options: argparse.Namespace
) -> list[dict[str, Any]]:
    from trainer.engine import Engine

    found = []
    for position, number in enumerate(options.batch):
        encoder, tokens = _loaded(folder, options.attention)
        batch = _batch(number, min(shape.vocabulary, tokens.vocabulary_size))
        num_tokens = sum(map(len, batch.inputs))
        cuts = max(4, -(-num_tokens // options.micro_tokens))
        config = EngineConfig(precision="bf16", micro_batches=cuts, gradient_caching=position > 0)
        engine = Engine(encoder, tokens.pad_id, config, LossConfig())
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        step = _clocked(device, lambda engine=engine, batch=batch: engine.train_step(batch, RATE))
        rounds = options.rounds if position == 0 else 2
        took = medians(in_turns(rounds, {"step": step}))["step"]
        engine.close()
        share = 3 * _operations(batch.inputs, shape) / took / peak_rate
        memory = torch.cuda.max_memory_allocated() / (1 << 30) if device.type == "cuda" else None
        print(
            f"training, {number:,} pairs{', cached' if position else ''}, {cuts} micro batches: {number / took:,.0f} "
            f"pairs/s, {num_tokens / took:,.0f} tokens/s, utilisation {share:.1%}, {memory or 0:.1f} GiB of the device"
        )
        found.append({"pairs": number, "seconds": took, "utilisation": share, "gib": memory, "tokens": num_tokens})
    return found


def _encoding(
    folder: str, shape: FreshConfig, device: torch.device, peak_rate: float, options: argparse.Namespace
) -> dict[str, Any]:
    """Our engine's own encoding (what validation uses): token lists in, vectors out."""
    from trainer.engine import Engine

    encoder, tokens = _loaded(folder, options.attention)
    texts = _texts(200 if options.small else 20_000, PASSAGE_TOKENS, min(shape.vocabulary, tokens.vocabulary_size), 1)
    engine = Engine(encoder, tokens.pad_id, EngineConfig(precision="bf16"), LossConfig())
    encode = _clocked(device, lambda: engine.encode(texts, options.micro_tokens))
    took = medians(in_turns(options.rounds, {"encode": encode}))["encode"]
    engine.close()
    share = _operations(texts, shape) / took / peak_rate
    print(f"encoding: {len(texts) / took:,.0f} passages/s, utilisation {share:.1%}")
    return {"texts": len(texts), "seconds": took, "utilisation": share}


def _peer(folder: str, device: torch.device, options: argparse.Namespace) -> dict[str, float] | None:
    """A step of sentence-transformers' loss over as many pairs: bf16 autocast, fused AdamW, padded as it pads."""
    if importlib.util.find_spec("sentence_transformers") is None:
        print("sentence-transformers is not installed: no comparison")
        return None
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    number = options.batch[0]
    model = SentenceTransformer(folder, device=str(device)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, fused=device.type == "cuda")
    loss = MultipleNegativesRankingLoss(model)
    batch = _batch(number, len(model.tokenizer))
    pad_id = model.tokenizer.pad_token_id

    def features(texts: Any) -> dict[str, torch.Tensor]:
        ids = torch.nn.utils.rnn.pad_sequence(list(map(torch.from_numpy, texts)), True, pad_id).to(device)
        return {"input_ids": ids, "attention_mask": (ids != pad_id).long()}

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            value = loss([features(batch.query_ids), features(batch.passage_ids)], torch.empty(0))
        value.backward()
        optimizer.step()
        optimizer.zero_grad()

    took = medians(in_turns(options.rounds, {"step": _clocked(device, step)}))["step"]
    print(f"sentence-transformers, {number:,} pairs: {number / took:,.0f} pairs/s")
    return {"pairs": number, "seconds": took}


def _ranks(device: torch.device, rows: int, dimension: int, queries: int = 1024) -> dict[str, Any]:
    """Exact ranks of a tile of queries, against one reading of all vectors and the product alone."""
    from retrieval.device_tiles import count_ahead_on

    torch.manual_seed(0)
    passages = torch.randn(rows, dimension, device=device)
    asked = torch.randn(queries, dimension, device=device)
    starts = np.arange(queries + 1)
    relevant = np.random.default_rng(0).integers(0, rows, queries)
    bounds, zeros = np.array([0, rows]), np.zeros(queries, np.int64)
    scores = asked @ passages.T
    took = medians(
        in_turns(
            3,
            {
                "product": _clocked(device, lambda: asked @ passages.T),
                "count": _clocked(device, lambda: count_ahead_on(scores, starts, relevant, zeros, bounds)),
            },
        )
    )
    read = passages.numel() * 4 / took["product"] / 1e9
    print(
        f"ranks of {queries} queries among {rows:,} x {dimension}: product {took['product'] * 1e3:.1f} ms "
        f"({read:,.0f} GB/s of vectors), counting {took['count'] * 1e3:.1f} ms"
    )
    return took | {"rows": rows, "dimension": dimension, "queries": queries}


def _search(device: torch.device, rows: int, dimension: int) -> dict[str, Any] | None:
    """Flat search by FAISS on the GPU."""
    import faiss

    if device.type != "cuda" or not hasattr(faiss, "StandardGpuResources"):
        print("FAISS here has no GPU: flat search left out")
        return None
    rng = np.random.default_rng(0)
    index = faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), dimension)
    index.add(rng.standard_normal((rows, dimension), dtype=np.float32))
    queries = rng.standard_normal((1024, dimension), dtype=np.float32)
    with contextlib.suppress(RuntimeError):
        index.search(queries[:8], 100)
    started = time.perf_counter()
    index.search(queries, 100)
    took = time.perf_counter() - started
    print(
        f"FAISS, flat: {len(queries) / took:,.0f} queries/s, {rows * dimension * 4 / took / 1e9:,.0f} GB/s of vectors"
    )
    return {"queries": len(queries), "seconds": took}


if __name__ == "__main__":
    main()
