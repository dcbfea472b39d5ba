"""How long do XQuAD-R's 132 settings take from given vectors?

11 monolingual, 110 cross-lingual and 11 multilingual settings; 13,090 queries, 13,014 passages in XQuAD-R's sizes, all
measures, per-query records and bootstrap intervals. The vectors are random: noisy copies of one meaning per question,
so that relevant passages rank anywhere from first to last. Peers take one setting at a time, here with whole rankings
as mAP asks for; see xquad_peers.

    python benchmarks/xquad_settings.py                  ours alone
    python benchmarks/xquad_settings.py --peer subset    and 3 settings by each peer, the rest extrapolated
    python benchmarks/xquad_settings.py --peer full      and all settings by each peer (many minutes)

Prints a table for people and, last, one JSON line for scripts.
"""

import argparse
import json
import logging
import os
import platform
import statistics
import time
from typing import Any

import numpy as np
from xquad_peers import Peer, peers, setting_of

from retrieval.evaluate import Evaluation, evaluate_vectors
from retrieval.ranks import num_threads
from retrieval.records import Collection

PASSAGES = {
    "ar": 1222, "de": 1276, "el": 1234, "en": 1180, "es": 1215, "hi": 1244, "ru": 1219, "th": 852, "tr": 1167,
    "vi": 1209, "zh": 1196,
}  # fmt: skip
QUESTIONS = 1190
Data = tuple[Collection, np.ndarray, np.ndarray]
PEER_SUBSET = (("en", "en"), ("th", "zh"), ("de", "*"))


def xquad_shaped(dimensions: int, questions: int = QUESTIONS, seed: int = 0) -> Data:
    """A collection without texts in XQuAD-R's sizes, its query vectors and its passage vectors."""
    rng = np.random.default_rng(seed)
    sizes = np.array(list(PASSAGES.values()))
    first = np.cumsum(sizes) - sizes
    relevant = np.stack([start + rng.integers(0, size, questions) for start, size in zip(first, sizes, strict=True)], 1)
    num_languages, num_passages, num_queries = len(PASSAGES), int(sizes.sum()), questions * len(PASSAGES)
    collection = Collection(
        name="xquad-r shaped",
        languages=tuple(PASSAGES),
        query_ids=[f"q{number}" for number in range(questions)] * num_languages,
        query_texts=[""] * num_queries,
        query_language=np.repeat(np.arange(num_languages, dtype=np.int16), questions),
        passage_ids=[f"p{row}" for row in range(num_passages)],
        passage_texts=[""] * num_passages,
        passage_language=np.repeat(np.arange(num_languages, dtype=np.int16), sizes),
        judged_query=np.repeat(np.arange(num_queries), num_languages),
        judged_passage=np.tile(relevant, (num_languages, 1)).reshape(-1),
        grade=np.ones(num_queries * num_languages, np.int16),
    )
    meaning = rng.standard_normal((questions, dimensions), np.float32)
    passages = rng.standard_normal((num_passages, dimensions), np.float32)
    passages[relevant] = meaning[:, None] + 2 * passages[relevant]
    queries = np.tile(meaning, (num_languages, 1)) + 2 * rng.standard_normal((num_queries, dimensions), np.float32)
    return collection, _unit(queries), _unit(passages)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def run_peer(peer: Peer, data: Data, ours: Evaluation, chosen: list[tuple[str, str]]) -> float:
    """Time a peer on some settings, check that it finds our mAP, and scale to all settings of each kind."""
    our_map = {(pair["query_language"], pair["pool_language"]): pair["mAP"] for pair in ours.summary["pairs"]}
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for query_language, pool in chosen:
        took, their_map = peer(setting_of(*data, query_language, pool))
        difference = abs(their_map - our_map[query_language, pool])
        print(f"{query_language + ' -> ' + pool:>34}  {took:9.2f} s   mAP differs by {difference:.1e}")
        seconds[pool == "*"].append(took)
    num_languages = len(PASSAGES)
    return num_languages**2 * statistics.mean(seconds[False]) + num_languages * statistics.mean(seconds[True])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", choices=["none", "subset", "full"], default="none")
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    logging.getLogger("sentence_transformers").setLevel(logging.WARNING)

    start = time.perf_counter()
    evaluate_vectors(*xquad_shaped(dimensions=8, questions=1))
    first_use = time.perf_counter() - start
    collection, queries, passages = xquad_shaped(options.dimensions)
    rounds = []
    for _ in range(options.rounds):
        start = time.perf_counter()
        ours = evaluate_vectors(collection, queries, passages)
        rounds.append(time.perf_counter() - start)
    print(f"{'first use (compile, or load cache)':>34}  {first_use:9.2f} s   not counted below")
    print(f"{'ours, 132 settings, median':>34}  {statistics.median(rounds):9.2f} s   best {min(rounds):.2f} s")

    result: dict[str, Any] = {
        "question": "seconds for XQuAD-R's 132 settings from given vectors",
        "dimensions": options.dimensions,
        "first_use_seconds": first_use,
        "seconds": rounds,
        "median_seconds": statistics.median(rounds),
        "mAP": {setting: figures["mAP"]["mean"] for setting, figures in ours.summary["settings"].items()},
        "machine": f"{platform.machine()}, {num_threads()} threads of {os.cpu_count()}, numpy {np.__version__}",
    }
    if options.peer != "none":
        everything = [(query, pool) for query in PASSAGES for pool in (*PASSAGES, "*")]
        chosen = everything if options.peer == "full" else list(PEER_SUBSET)
        label = "measured" if options.peer == "full" else f"extrapolated from {len(chosen)} settings"
        result |= {"peers": {}, "peers_are": label}
        for name, peer in peers().items():
            peer(setting_of(*xquad_shaped(dimensions=8, questions=1), "en", "en"))  # what it compiles or imports
            took = run_peer(peer, (collection, queries, passages), ours, chosen)
            ratio = took / statistics.median(rounds)
            print(f"{name + ', 132 settings':>34}  {took:9.2f} s   {ratio:.0f}x ours, {label}")
            result["peers"][name] = took
    print(json.dumps(result))


if __name__ == "__main__":
    main()
