"""Question: how many pairs a second come from groups on disk to token ids, beside peers and the tokenizer alone?

    tokenizer      the limit: the Rust tokenizer alone on the same texts, 1,024 at a time, on all cores
    texts          our batches, tokenised on the fly out of Parquet, in this process
    cache          the same out of a token cache
    ray texts, ray cache    the same through the Ray Data stream that training reads, in its own process
    peers          see feed_peers

All variants take turns within one run; medians over the rounds. Hybrid batches, half monolingual, half cross-lingual.
Streams start anew in every round and are timed from their 16th batch on. Processor time is that of this process, so it
holds all of a variant's work for the first three and for peers without worker processes: on a busy machine it says more
than the clock.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from feed_peers import (
    Collator,
    endless,
    pairs_by_languages,
    sentence_transformers_loader,
    streaming_loader,
    streaming_there,
)
from side_by_side import figures_in_turns

from cluster.config import build_config, load_config
from cluster.ray_runtime import RayConfig, ray_cluster
from jobs.config import RunConfig
from jobs.stages import Stages
from retrieval.encoder.folder import load_encoder_tokens
from retrieval.group_tokens import open_group_tokens, write_group_tokens
from retrieval.groups import PreparedGroups, open_groups
from trainer.feed.config import FeedConfig
from trainer.feed.stream import Batches, BatchMaker, FeedSpec, rank_stream
from trainer.mixing.config import MixingConfig, SourceShape
from trainer.mixing.plan import Plan
from trainer.worker import ENCODER_FOLDER

WARM_BATCHES = 16
Variant = Callable[[int], tuple[float, float]]
"""Steps -> pairs a second, and microseconds of processor time per pair that this process took."""


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as name, contextlib.ExitStack() as stack:
        config = load_config(RunConfig, options.config, [])
        stages = Stages(config, options.root or f"{name}/root")
        folder = stages.start.folder / ENCODER_FOLDER
        spec = _spec(open_groups(stages.groups), folder, options.batch)
        (Path(name) / "tokens").mkdir()
        write_group_tokens(Path(name) / "tokens", spec.groups, spec.tokens)
        cached = replace(spec, cache=open_group_tokens(Path(name) / "tokens"))
        variants: dict[str, Variant] = {
            "tokenizer": _tokenizer(spec),
            "texts": _maker(spec),
            "cache": _maker(cached),
        }
        if not options.no_ray:
            stack.enter_context(ray_cluster(RayConfig(object_store_mib=512), 4))
            variants |= {"ray texts": _stream(spec), "ray cache": _stream(cached)}
        if not options.no_peers:
            variants |= _peers(folder, spec, Path(name), stack)
        steps = {variant: options.steps * (options.cached_factor if "cache" in variant else 1) for variant in variants}
        work = {variant: partial(measure, steps[variant]) for variant, measure in variants.items()}
        found = figures_in_turns(options.rounds, work)
        rates = {variant: statistics.median(rate for rate, _ in figures) for variant, figures in found.items()}
        cpu = {variant: statistics.median(one for _, one in figures) for variant, figures in found.items()}
        _show(rates, cpu, spec, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--config", type=Path, default=Path("jobs/configs/quickstart.yaml"), help="whose groups and encoder"
    )
    parser.add_argument("--root", help="where they are, or are made; default: a folder that goes afterwards")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=80, help="batches of a round")
    parser.add_argument("--cached-factor", type=int, default=8, help="so many times more from the cache")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-ray", action="store_true")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--folder", help="where files are written meanwhile")
    return parser.parse_args()


def _spec(groups: PreparedGroups, folder: Path, batch: int) -> FeedSpec:
    shapes = tuple(SourceShape.of(source) for source in groups.sources)
    mixing = build_config(MixingConfig, {"mix": {"mono": 0.5, "cross": 0.5}, "batch": batch})
    return FeedSpec(Plan(mixing, shapes, 0), groups, load_encoder_tokens(folder), FeedConfig(), 1 << 20)


def _tokenizer(spec: FeedSpec) -> Variant:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(spec.tokens.files["tokenizer.json"].decode())
    tokenizer.no_padding()
    maker = BatchMaker(spec, 0, 1)

    def measure(steps: int) -> tuple[float, float]:
        shares = [spec.plan.batch(step) for step in range(steps)]
        slots = [slot for share in shares for slot in maker.fetcher.texts(share)]
        sides = (
            ("query", [str(slot.query) for slot in slots]),
            ("passage", [str(text) for slot in slots for text in slot.passages]),
        )
        seconds = cpu = 0.0
        for role, texts in sides:
            tokenizer.enable_truncation(spec.tokens.config.max_tokens(role))  # type: ignore[arg-type]
            prefixed = [spec.tokens.config.prefix(role) + text for text in texts]  # type: ignore[arg-type]
            started, before = time.perf_counter(), time.process_time()
            for first in range(0, len(prefixed), 1024):
                tokenizer.encode_batch_fast(prefixed[first : first + 1024])
            seconds += time.perf_counter() - started
            cpu += time.process_time() - before
        return len(slots) / seconds, 1e6 * cpu / len(slots)

    return measure


def _maker(spec: FeedSpec) -> Variant:
    per_task = spec.config.steps_per_task

    def measure(steps: int) -> tuple[float, float]:
        maker = BatchMaker(spec, 0, 1)  # with nothing kept of the round before
        tasks = [range(first, min(first + per_task, steps)) for first in range(0, steps, per_task)]
        with ThreadPoolExecutor(2) as threads:  # as many as Ray Data's actor has
            made = (batch for batches in threads.map(maker.make_all, tasks) for batch in batches)
            return _rate((len(batch.local.passage_ids) for batch in made), steps, warm=0)

    return measure


def _stream(spec: FeedSpec) -> Variant:
    def measure(steps: int) -> tuple[float, float]:
        ending = replace(spec, num_steps=steps + WARM_BATCHES)
        stream = rank_stream(ending, 0, 0, 1).iterator()
        return _rate((len(batch.local.passage_ids) for batch in Batches(stream, 0, spec.config.prefetch)), steps)

    return measure


def _rate(sizes: Iterator[int], steps: int, warm: int = WARM_BATCHES) -> tuple[float, float]:
    """Figures of `steps` batches after the first ones, from the sizes of all batches."""
    for _ in islice(sizes, warm):
        pass
    started, before = time.perf_counter(), time.process_time()
    pairs = sum(islice(sizes, steps))
    return pairs / (time.perf_counter() - started), 1e6 * (time.process_time() - before) / pairs


def _peers(folder: Path, spec: FeedSpec, scratch: Path, stack: contextlib.ExitStack) -> dict[str, Variant]:
    source = max(spec.groups.sources, key=lambda one: one.num_groups * len(one.languages))
    data, batch = pairs_by_languages(source), spec.plan.config.batch
    loaders = {
        f"sentence-transformers, {workers} workers": sentence_transformers_loader(folder, data, batch, workers)
        for workers in (0, 2)
    }
    if streaming_there():
        config = spec.tokens.config
        collator = Collator(folder, config.max_query_tokens, config.max_passage_tokens)
        loaders |= {
            f"mosaicml-streaming, {workers} workers": streaming_loader(scratch, collator, data, batch, workers)
            for workers in (0, 2)
        }

    def variant(batches: Iterator[object]) -> Variant:
        def measure(steps: int) -> tuple[float, float]:
            return _rate((batch for _ in batches), steps)

        return measure

    return {name: variant(stack.enter_context(endless(loader))) for name, loader in loaders.items()}


def _show(rates: dict[str, float], cpu: dict[str, float], spec: FeedSpec, options: argparse.Namespace) -> None:
    limit = rates["tokenizer"]
    print(f"{'':34} {'pairs/s':>9} {'of the tokenizer':>17} {'CPU us/pair':>12}")
    for name, rate in rates.items():
        print(f"{name:34} {rate:9.0f} {rate / limit:17.2f} {cpu[name]:12.1f}")
    batch = BatchMaker(spec, 0, 1).make(0).local
    facts = {
        "question": "pairs a second from groups on disk to token ids",
        "pairs_per_second": {name: round(rate, 1) for name, rate in rates.items()},
        "cpu_microseconds_per_pair": {name: round(one, 2) for name, one in cpu.items()},
        "batch": options.batch,
        "tokens_per_pair": round(sum(map(len, batch.inputs)) / len(batch.passage_ids), 1),
        "config": options.config.stem,
        "rounds": options.rounds,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
