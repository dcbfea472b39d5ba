"""How long do XQuAD-R's 132 settings take from given vectors?

11 monolingual, 110 cross-lingual and 11 multilingual settings; 13,090 queries, 13,014 passages in XQuAD-R's sizes, all
measures, per-query records and bootstrap intervals. The vectors are random: noisy copies of one meaning per question,
so that relevant passages rank anywhere from first to last. The peer is sentence-transformers'
InformationRetrievalEvaluator, which ranks one setting at a time, here over whole rankings as mAP asks for.

    python benchmarks/xquad_settings.py                  ours alone
    python benchmarks/xquad_settings.py --peer subset    and 3 of the peer's settings, the rest extrapolated
    python benchmarks/xquad_settings.py --peer full      and all of the peer's settings (minutes)

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

from retrieval.evaluate import Evaluation, evaluate_vectors
from retrieval.ranks import num_threads
from retrieval.records import Collection

PASSAGES = {
    "ar": 1222, "de": 1276, "el": 1234, "en": 1180, "es": 1215, "hi": 1244, "ru": 1219, "th": 852, "tr": 1167,
    "vi": 1209, "zh": 1196,
}  # fmt: skip
QUESTIONS = 1190
PEER_SUBSET = (("en", "en"), ("th", "zh"), ("de", "*"))


def xquad_shaped(
    dimensions: int, questions: int = QUESTIONS, seed: int = 0
) -> tuple[Collection, np.ndarray, np.ndarray]:
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


class GivenVectors:
    """What the peer's evaluator asks of a model, answered from vectors at hand."""

    def __init__(self, queries: np.ndarray, passages: np.ndarray) -> None:
        import torch

        self.queries, self.passages = torch.from_numpy(queries), torch.from_numpy(passages)

    def encode_query(self, texts: list[str], **_: Any) -> Any:
        return self.queries

    def encode_document(self, texts: list[str], **_: Any) -> Any:
        return self.passages


def peer_setting(
    collection: Collection, queries: np.ndarray, passages: np.ndarray, query_language: str, pool: str
) -> tuple[float, float]:
    """Seconds and mAP of one setting by the peer; making its dictionaries is not counted."""
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
    from sentence_transformers.util import dot_score

    languages = np.array(collection.languages)
    query_rows = np.flatnonzero(languages[collection.query_language] == query_language)
    passage_rows = np.flatnonzero((languages[collection.passage_language] == pool) | (pool == "*"))
    in_pool = set(passage_rows.tolist())
    relevant: dict[str, set[str]] = {str(row): set() for row in query_rows}
    for query, passage in zip(collection.judged_query.tolist(), collection.judged_passage.tolist(), strict=True):
        if passage in in_pool and str(query) in relevant:
            relevant[str(query)].add(str(passage))
    evaluator = InformationRetrievalEvaluator(
        {str(row): "" for row in query_rows},
        {str(row): "" for row in passage_rows},
        relevant,
        map_at_k=[len(passage_rows)],
        mrr_at_k=[10],
        ndcg_at_k=[10],
        accuracy_at_k=[1, 10],
        precision_recall_at_k=[1, 10, 100],
        score_functions={"dot": dot_score},
    )
    model: Any = GivenVectors(queries[query_rows], passages[passage_rows])
    start = time.perf_counter()
    scores: Any = evaluator.compute_all_metrics(model)
    return time.perf_counter() - start, scores["dot"]["map@k"][len(passage_rows)]


def run_peer(
    collection: Collection, queries: np.ndarray, passages: np.ndarray, ours: Evaluation, chosen: list[tuple[str, str]]
) -> float:
    """Time the peer on some settings, check that it finds our mAP, and scale to all settings of each kind."""
    our_map = {(pair["query_language"], pair["pool_language"]): pair["mAP"] for pair in ours.summary["pairs"]}
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for query_language, pool in chosen:
        took, their_map = peer_setting(collection, queries, passages, query_language, pool)
        difference = abs(their_map - our_map[query_language, pool])
        print(f"{'peer ' + query_language + ' -> ' + pool:>34}  {took:9.2f} s   mAP differs by {difference:.1e}")
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

    result = {
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
        peer = run_peer(collection, queries, passages, ours, chosen)
        label = "measured" if options.peer == "full" else f"extrapolated from {len(chosen)} settings"
        ratio = peer / statistics.median(rounds)
        print(f"{'peer, 132 settings':>34}  {peer:9.2f} s   {ratio:.0f}x ours, {label}")
        result |= {"peer_seconds": peer, "peer_is": label, "ratio": ratio}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
