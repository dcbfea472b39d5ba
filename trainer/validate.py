"""Retrieval on a small collection while training: the real measures, in all three settings, on all ranks' time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cluster.errors import ConfigError
from retrieval.encoder.tokens import Tokens
from retrieval.evaluate import evaluate_vectors
from retrieval.records import Collection
from trainer.config import ValidationConfig
from trainer.engine import Engine
from trainer.loss.gather import gather_rows, row_counts
from trainer.ranks import rank, world_size
from trainer.telemetry import brief

# Selection needs the means only; a handful of resamples keeps the intervals' code path without its cost.
_RESAMPLES = 2


class Validator:
    """Encodes a collection on all ranks together and measures retrieval on it.

    Texts are tokenised once. Each rank encodes every world_size-th text, so that lengths spread evenly.
    """

    def __init__(self, collection: Collection, tokens: Tokens) -> None:
        self._collection = collection
        names = np.array(collection.languages)
        query_languages = names[collection.query_language].tolist()
        passage_languages = names[collection.passage_language].tolist()
        self._texts = [
            *tokens.encode(collection.query_texts, "query", query_languages),
            *tokens.encode(collection.passage_texts, "passage", passage_languages),
        ]

    def measure(self, engine: Engine) -> dict[str, Any]:
        """{setting: {measure: macro mean}, "rank_distance": mean}; the same on all ranks. Collective."""
        mine = self._texts[rank() :: world_size()]
        # Encoding is collective: a rank without a text of its own takes part with another's.
        own = engine.encode(mine or self._texts[:1])[: len(mine)]
        counts = row_counts(len(own), engine.device)
        # On the engine's device: NCCL gathers nothing that lies on the CPU.
        gathered = gather_rows(torch.from_numpy(own).to(engine.device), counts).cpu().numpy()
        vectors = np.empty((len(self._texts), own.shape[1]), dtype=np.float32)
        first = 0
        for number, count in enumerate(counts):
            vectors[number :: world_size()] = gathered[first : first + count]
            first += count
        num_queries = len(self._collection.query_texts)
        evaluation = evaluate_vectors(
            self._collection, vectors[:num_queries], vectors[num_queries:], resamples=_RESAMPLES
        )
        return brief(evaluation.summary)


def chosen_value(record: Mapping[str, Any], measure: str) -> float:
    """The figure that selects the encoder, out of a validation record.

    Raises:
        ConfigError: the record has no such setting or measure.
    """
    setting, _, name = measure.partition(".")
    settings = [s for s in ("mono", "cross", "multi") if s in record] if setting == "mean" else [setting]
    try:
        return float(np.mean([record[one][name] for one in settings]))
    except KeyError:
        known = sorted(f"{one}.{other}" for one in ("mono", "cross", "multi") for other in record.get(one, {}))
        raise ConfigError(
            f"training.validation.measure: '{measure}' is not measured on this collection; "
            f"known: {', '.join(known)}, and mean.<measure>"
        ) from None


@dataclass(frozen=True)
class Selection:
    """Which validation was best so far, and how long ago."""

    best: float | None = None
    best_step: int | None = None
    without_best: int = 0
    """Validations since the best one."""

    def after(self, value: float, step: int) -> "Selection":
        """With one more validation; a tie keeps the earlier one."""
        if self.best is None or value > self.best:
            return Selection(value, step, 0)
        return Selection(self.best, self.best_step, self.without_best + 1)

    def exhausted(self, config: ValidationConfig) -> bool:
        """Whether training should stop early."""
        return 0 < config.patience <= self.without_best
