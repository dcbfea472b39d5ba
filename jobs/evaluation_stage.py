"""Encoders and collections in, vectors and evaluations out, each a result set.

encode      -> vectors/<fingerprint>       a collection's texts by one encoder
evaluate    -> evaluations/<fingerprint>   the queries as they are, or under one perturbation
measure     -> throughput/<fingerprint>    how fast an encoder was; beside the results, never part of their names

Evaluations are written as their records come, whatever the size of the collection: 205 languages have 43 million of
them, and for few languages it takes no longer than to gather them first.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.config import to_plain
from cluster.fingerprint import fingerprint
from cluster.logs import get_logger
from cluster.storage import ResultSet, open_result_set, result_set_exists, write_result_set
from jobs.stages import BM25, VERSION, Stages
from retrieval.datasets import read_collection
from retrieval.perturb.names import PerturbationName
from retrieval.records import Collection
from trainer.worker import ENCODER_FOLDER

if TYPE_CHECKING:
    from retrieval.perturb.perturbation import Perturbation
    from retrieval.robustness import PerturbedQueries

VECTORS_LAYOUT = 2
"""Raised when vectors are written in another form."""
_MEASURES_OF_DROPS = {"exact": ("mAP", "R@1", "nDCG@10"), "faiss": ("R@1", "nDCG@10")}
_logger = get_logger("evaluation")


class EvaluationStage:
    """What is encoded and evaluated in a run."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._store = stages.store
        self._options = stages.config.evaluation
        self._held: tuple[str, Collection] | None = None

    def collection(self, name: str) -> Collection:
        """A collection by its name in `data.evaluation`; the one read last is kept."""
        shared = self._stages.shared.collections.get(fingerprint(to_plain(self._stages.evaluated(name))))
        if shared is not None:
            return shared
        if self._held is None or self._held[0] != name:
            self._held = name, read_collection(self._stages.evaluated(name))
        return self._held[1]

    def vectors(self, arm: str, name: str) -> ResultSet:
        """Vectors of a collection's queries and passages by an arm's encoder; encoded now if they are not there."""
        encoder = self._stages.encoder(arm)
        precision = self._options.precision
        identity: dict[str, Any] = {
            "stage": "encode",
            "version": VERSION,
            "layout": VECTORS_LAYOUT,
            "encoder": encoder.name,
            "precision": precision,
        }
        identity |= {"collection": self._stages.evaluated_content(name)} | self._stages.revision
        key = f"vectors/{fingerprint(identity)}"
        if not result_set_exists(self._store, key):
            about = {"stage": "encode", "encoder": encoder.name, "collection": name, "precision": precision}
            self._encode(key, about, arm, name)
        return open_result_set(self._store, key)

    def _encode(self, key: str, about: dict[str, Any], arm: str, name: str) -> None:
        """Encode a collection, over the cluster where it is large; images only here."""
        from jobs.encoding import encode_collection_over_cluster, write_collection_vectors

        encoder, collection, config = self._stages.encoder(arm), self.collection(name), self._stages.config
        rows = len(collection.query_texts) + len(collection.passage_texts)
        if config.encoding.spreads(rows) and not collection.has_images:
            # The processes tokenise what they encode: this one alone would keep them waiting.
            content = self._stages.evaluated_content(name)
            encode_collection_over_cluster(self._store, key, about, encoder.name, collection, content, config)
            return
        tokens = self.tokens(arm, name)
        about |= {"tokens": tokens.name} if tokens else {}
        known, place = tokens.folder if tokens else None, encoder.folder / ENCODER_FOLDER
        with write_result_set(self._store, key, about) as folder:
            gpu = config.encoding.gpus > 0
            write_collection_vectors(folder, place, collection, self._options, known, gpu)

    def tokens(self, arm: str, name: str) -> ResultSet | None:
        """Token ids of a collection's texts, for all encoders with an arm's tokenizer; see `collection_tokens`."""
        from jobs.token_stage import collection_tokens

        return collection_tokens(self._stages, name, self._stages.encoder(arm), self.collection(name))

    def evaluation_name(self, arm: str, name: str, perturbation: PerturbationName | None = None) -> str:
        """Name of an evaluation; a perturbation of the queries is part of it where there is one."""
        identity: dict[str, Any] = {
            "stage": "evaluate",
            "version": VERSION,
            "collection": self._stages.evaluated_content(name),
        } | self._stages.revision
        if arm == BM25:
            identity["retriever"] = BM25
        else:
            identity |= {"retriever": self._stages.encoder(arm).name, "precision": self._options.precision}
            identity |= self._engine
        if perturbation is not None:
            identity["perturbation"] = perturbation
        if perturbation == "code_switching":
            identity["dictionary"] = self._stages.dictionary.name
        return f"evaluations/{fingerprint(identity)}"

    @property
    def _engine(self) -> dict[str, Any]:
        """What an index has to do with an evaluation's result; nothing where all passages are ranked."""
        if self._options.engine == "exact":
            return {}
        index, shards = self._stages.config.index, self._stages.config.search.shards
        described = "exact" if index.exact else {"index": to_plain(index), "shards": shards}
        return {"engine": self._options.engine, "depth": self._options.depth, "index": described}

    def evaluation(self, arm: str, name: str) -> ResultSet:
        """How an arm (or BM25, or the untrained encoder) does on a collection; evaluated now if it is not there."""
        key = self.evaluation_name(arm, name)
        if not result_set_exists(self._store, key):
            _logger.info("evaluating %s on %s", arm, name)
            about = {"stage": "evaluate", "retriever": arm, "collection": name}
            with write_result_set(self._store, key, about) as folder:
                self._evaluate(folder, arm, name)
        return open_result_set(self._store, key)

    def judged(self, arm: str, name: str) -> list[ResultSet]:
        """Everything that says how an arm does on a collection: as it is, under perturbations, how fast."""
        found = [self.evaluation(arm, name), *self.perturbed(arm, name).values()]
        speed = self.throughput(arm, name)
        return [*found, speed] if speed else found

    def perturbed(self, arm: str, name: str) -> dict[PerturbationName, ResultSet]:
        """How an arm does under each perturbation of `evaluation.perturbations`, by its name."""
        return {one: self._perturbed(arm, name, one) for one in self._options.perturbations}

    def _perturbed(self, arm: str, name: str, perturbation: PerturbationName) -> ResultSet:
        """The evaluation of perturbed queries over the same passages, with what it costs; see `write_drops`."""
        key = self.evaluation_name(arm, name, perturbation)
        if not result_set_exists(self._store, key):
            from retrieval.robustness import perturb_queries, write_drops

            clean = self.evaluation(arm, name)
            _logger.info("evaluating %s on %s under %s", arm, name, perturbation)
            queries = perturb_queries(self.collection(name), self._perturbation(perturbation))
            about = {"stage": "evaluate", "retriever": arm, "collection": name, "perturbation": perturbation}
            with write_result_set(self._store, key, about) as folder:
                self._evaluate(folder, arm, name, queries)
                write_drops(folder, clean.folder, queries, measures=_MEASURES_OF_DROPS[self._options.engine])
        return open_result_set(self._store, key)

    def _evaluate(self, folder: Path, arm: str, name: str, queries: "PerturbedQueries | None" = None) -> None:
        from retrieval.evaluate import evaluate_scores_to, evaluate_search_to, evaluate_vectors_to

        collection = self.collection(name) if queries is None else queries.collection
        if arm == BM25:
            from retrieval.bm25 import bm25_scores

            evaluate_scores_to(folder, collection, bm25_scores(collection))
            return
        from jobs.encoding import PASSAGES, QUERIES, encode_queries, read_passage_vectors
        from retrieval.encode import read_vectors

        vectors = self.vectors(arm, name)
        query_vectors = read_vectors(vectors.folder / QUERIES)
        if queries is not None:
            encoder = self._stages.encoder(arm).folder / ENCODER_FOLDER
            query_vectors = np.array(query_vectors)
            rows = np.flatnonzero(queries.changed)
            query_vectors[rows] = encode_queries(encoder, collection, rows, self._options)
        if self._options.engine == "faiss":
            from jobs.searching import search_in

            with search_in(self._stages, vectors.name, PASSAGES) as (search, _):
                evaluate_search_to(folder, collection, query_vectors, search, self._options.depth)
            return
        from retrieval.device_tiles import ranking_device

        passage_vectors = read_passage_vectors(vectors)
        device = ranking_device(self._options.device, passage_vectors)
        evaluate_vectors_to(folder, collection, query_vectors, passage_vectors, device=device)

    def _perturbation(self, name: PerturbationName) -> "Perturbation":
        from retrieval.perturb.perturbation import PERTURBATIONS

        if name != "code_switching":
            return next(perturbation for perturbation in PERTURBATIONS if perturbation.name == name)
        from retrieval.dictionary import read_dictionary
        from retrieval.perturb.code_switching import code_switching

        return code_switching(read_dictionary(self._stages.dictionary.folder))

    def throughput(self, arm: str, name: str) -> ResultSet | None:
        """How fast a trained arm's encoder is on texts of a collection; measured now if it has not been measured.

        None where `evaluation.throughput` does not ask for it, and for baselines.
        """
        if not self._options.throughput or arm not in self._stages.config.all_arms:
            return None
        encoder = self._stages.encoder(arm)
        identity = {
            "stage": "throughput",
            "version": VERSION,
            "encoder": encoder.name,
            "collection": self._stages.evaluated_content(name),
            "precision": self._options.precision,
            "max_tokens_per_batch": self._options.max_tokens_per_batch,
        }
        key = f"throughput/{fingerprint(identity)}"
        if not result_set_exists(self._store, key):
            from jobs.encoding import measure_throughput
            from retrieval.throughput import write_throughput

            vectors = self.vectors(arm, name)
            _logger.info("measuring the speed of %s on %s", arm, name)
            figures = measure_throughput(encoder.folder / ENCODER_FOLDER, self.collection(name), vectors, self._options)
            about = {"stage": "throughput", "encoder": encoder.name, "collection": name}
            with write_result_set(self._store, key, about) as folder:
                write_throughput(folder, figures)
        return open_result_set(self._store, key)
