"""Question: where does the time go in training, encoding and evaluation? Kept as tables in `profiles/`.

training      steps of our engine (one worker, bf16, dropout 0.1) on 128 pairs of XQuAD-R, by operation of torch
encoding      every eighth text of XQuAD-R in bf16, by operation of torch
evaluation    XQuAD-R's 132 settings from vectors, by function, those called by it counted in

    python benchmarks/profiles.py [training] [encoding] [evaluation]
"""

import argparse
import cProfile
import io
import logging
import os
import pstats
import subprocess
import tempfile
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import gradcache
import torch
from xquad_pairs import ENCODER
from xquad_settings import xquad_shaped

from retrieval.datasets.xquad_r import XquadRConfig, read_collection
from retrieval.encode import encode_texts
from retrieval.encoder.folder import build_encoder
from retrieval.evaluate import evaluate_vectors
from trainer.ranks import process_group

FOLDER = Path(__file__).parent / "profiles"
ROOT = Path(__file__).parents[1]
ROWS, STEPS, PAIRS = 20, 4, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", choices=[*PROFILES, []], help="default: all three")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/xquad-r"))
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    FOLDER.mkdir(exist_ok=True)
    for name in options.which or PROFILES:
        said = PROFILES[name](options.data)
        head = f"benchmarks/profiles.py {name}, {date.today()}, commit {commit.stdout.strip()}, {os.cpu_count()} cores"
        (FOLDER / f"{name}.txt").write_text(f"{head}\n\n{said}", encoding="utf-8")
        print(f"{head}\n\n{said}")


def _training(data: Path) -> str:
    pairs = gradcache.pairs_in_one_order(data)
    with tempfile.TemporaryDirectory() as folder, process_group():
        gradcache.save(Path(folder), pairs)
        engine, tokens = gradcache.engine_of(folder, False, 1)
        batches = [gradcache.batch_of(tokens, pairs[start : start + PAIRS]) for start in range(0, STEPS * PAIRS, PAIRS)]
        return _operations(lambda: [engine.train_step(batch, gradcache.RATE) for batch in batches])


def _encoding(data: Path) -> str:
    collection = read_collection(XquadRConfig(path=data))
    every = [*collection.query_texts, *collection.passage_texts]
    encoder, tokens = build_encoder(ENCODER, every)
    return _operations(partial(encode_texts, encoder, tokens, every[::8], "passage", precision="bf16"))


def _evaluation(_: Path) -> str:
    data = xquad_shaped(384)
    evaluate_vectors(*data)
    profile, table = cProfile.Profile(), io.StringIO()
    profile.runcall(evaluate_vectors, *data)
    pstats.Stats(profile, stream=table).strip_dirs().sort_stats("cumulative").print_stats(ROWS)
    return _trimmed(table.getvalue())


def _operations(work: Callable[[], Any]) -> str:
    work()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        work()
    return _trimmed(profile.key_averages().table("self_cpu_time_total", row_limit=ROWS, max_name_column_width=60))


def _trimmed(table: str) -> str:
    return "\n".join(line.rstrip() for line in table.splitlines() if line.strip()) + "\n"


PROFILES: dict[str, Callable[[Path], str]] = {"training": _training, "encoding": _encoding, "evaluation": _evaluation}


if __name__ == "__main__":
    main()
