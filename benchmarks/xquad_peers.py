"""One setting of XQuAD-R from vectors by peers, for xquad_settings.py: seconds and mAP over whole rankings.

sentence-transformers   its InformationRetrievalEvaluator
ir_measures, ranx       measures from a run: the matrix product and the dictionaries that they ask for are counted

Laying out what is relevant is not counted. ranx only where it is installed (benchmarks/peers.sh).
"""

import importlib.util
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrieval.records import Collection


@dataclass(frozen=True)
class Setting:
    """Queries in one language against the passages of one language, or of all."""

    queries: np.ndarray
    passages: np.ndarray
    relevant: Mapping[str, set[str]]
    """Row of a query -> rows of its relevant passages."""


def setting_of(
    collection: Collection, queries: np.ndarray, passages: np.ndarray, query_language: str, pool: str
) -> Setting:
    """The setting of a pair of languages; `*` for the pool of all."""
    languages = np.array(collection.languages)
    query_rows = np.flatnonzero(languages[collection.query_language] == query_language)
    passage_rows = np.flatnonzero((languages[collection.passage_language] == pool) | (pool == "*"))
    query_at = {row: str(place) for place, row in enumerate(query_rows.tolist())}
    passage_at = {row: str(place) for place, row in enumerate(passage_rows.tolist())}
    relevant: dict[str, set[str]] = {place: set() for place in query_at.values()}
    for query, passage in zip(collection.judged_query.tolist(), collection.judged_passage.tolist(), strict=True):
        if query in query_at and passage in passage_at:
            relevant[query_at[query]].add(passage_at[passage])
    return Setting(queries[query_rows], passages[passage_rows], relevant)


class _GivenVectors:
    """What sentence-transformers' evaluator asks of a model, answered from vectors at hand."""

    def __init__(self, setting: Setting) -> None:
        import torch

        self._queries, self._passages = torch.from_numpy(setting.queries), torch.from_numpy(setting.passages)

    def encode_query(self, texts: list[str], **_: Any) -> Any:
        return self._queries

    def encode_document(self, texts: list[str], **_: Any) -> Any:
        return self._passages


def by_sentence_transformers(setting: Setting) -> tuple[float, float]:
    """Seconds and mAP."""
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
    from sentence_transformers.util import dot_score

    whole = len(setting.passages)
    evaluator = InformationRetrievalEvaluator(
        dict.fromkeys(setting.relevant, ""),
        {str(row): "" for row in range(whole)},
        dict(setting.relevant),
        map_at_k=[whole],
        mrr_at_k=[10],
        ndcg_at_k=[10],
        accuracy_at_k=[1, 10],
        precision_recall_at_k=[1, 10, 100],
        score_functions={"dot": dot_score},
    )
    model: Any = _GivenVectors(setting)
    start = time.perf_counter()
    scores: Any = evaluator.compute_all_metrics(model)
    return time.perf_counter() - start, scores["dot"]["map@k"][whole]


def _run(setting: Setting) -> dict[str, dict[str, float]]:
    names = [str(row) for row in range(len(setting.passages))]
    scores = (setting.queries @ setting.passages.T).tolist()
    return {
        query: dict(zip(names, of_query, strict=True)) for query, of_query in zip(setting.relevant, scores, strict=True)
    }


def _judgments(setting: Setting) -> dict[str, dict[str, int]]:
    return {query: dict.fromkeys(passages, 1) for query, passages in setting.relevant.items()}


def by_ir_measures(setting: Setting) -> tuple[float, float]:
    """Seconds and mAP."""
    import ir_measures
    from ir_measures import AP, RR, R, nDCG

    judged = _judgments(setting)
    start = time.perf_counter()
    found = ir_measures.calc_aggregate([AP, RR @ 10, nDCG @ 10, R @ 1, R @ 10, R @ 100], judged, _run(setting))
    return time.perf_counter() - start, found[AP]


def by_ranx(setting: Setting) -> tuple[float, float]:
    """Seconds and mAP."""
    from ranx import Qrels, Run, evaluate

    judged = Qrels(_judgments(setting))
    start = time.perf_counter()
    measures = ["map", "mrr@10", "ndcg@10", "recall@1", "recall@10", "recall@100"]
    found: Any = evaluate(judged, Run(_run(setting)), measures)
    return time.perf_counter() - start, found["map"]


Peer = Callable[[Setting], tuple[float, float]]


def peers() -> dict[str, Peer]:
    """Those that are installed."""
    found: dict[str, Peer] = {"sentence-transformers": by_sentence_transformers, "ir_measures": by_ir_measures}
    return found | ({"ranx": by_ranx} if importlib.util.find_spec("ranx") else {})
