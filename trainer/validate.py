"""Retrieval on a small collection while training: the real measures, in all three settings, on all ranks' time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cluster.errors import ConfigError
from retrieval.encoder.config import Role
from retrieval.encoder.pixels import Pixels
from retrieval.encoder.tokens import Tokens
from retrieval.evaluate import evaluate_vectors
from retrieval.images import ImageSource, encoded
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

    Texts are tokenised and images decoded once. Each rank encodes every world_size-th of them, so that lengths spread
    evenly.
    """

    def __init__(self, collection: Collection, tokens: Tokens, pixels: Pixels | None = None) -> None:
        self._collection = collection
        names = np.array(collection.languages)
        query_languages = names[collection.query_language].tolist()
        passage_languages = names[collection.passage_language].tolist()
        self._inputs = [
            *_inputs(tokens, pixels, collection.query_texts, collection.query_images, "query", query_languages),
            *_inputs(tokens, pixels, collection.passage_texts, collection.passage_images, "passage", passage_languages),
        ]

    def measure(self, engine: Engine) -> dict[str, Any]:
        """{setting: {measure: macro mean}, "rank_distance": mean}; the same on all ranks. Collective."""
        mine = self._inputs[rank() :: world_size()]
        # Encoding is collective: a rank without an input of its own takes part with another's.
        own = engine.encode(mine or self._inputs[:1])[: len(mine)]
        counts = row_counts(len(own), engine.device)
        # On the engine's device: NCCL gathers nothing that lies on the CPU.
        gathered = gather_rows(torch.from_numpy(own).to(engine.device), counts).cpu().numpy()
        vectors = np.empty((len(self._inputs), own.shape[1]), dtype=np.float32)
        first = 0
        for number, count in enumerate(counts):
            vectors[number :: world_size()] = gathered[first : first + count]
            first += count
        num_queries = len(self._collection.query_texts)
        evaluation = evaluate_vectors(
            self._collection, vectors[:num_queries], vectors[num_queries:], resamples=_RESAMPLES
        )
        return brief(evaluation.summary)


def _inputs(
    tokens: Tokens,
    pixels: Pixels | None,
    texts: Sequence[str],
    images: Sequence[ImageSource | None] | None,
    role: Role,
    languages: Sequence[str],
) -> list[np.ndarray]:
    """Token ids of each text, pixels of each image."""
    of_row = images or [None] * len(texts)
    rows = [row for row, image in enumerate(of_row) if image is None]
    ids = iter(tokens.encode([texts[row] for row in rows], role, [languages[row] for row in rows]))
    inputs = []
    for number, image in enumerate(of_row):
        if image is None:
            inputs.append(next(ids))
        else:
            assert pixels is not None, "images to validate on, and an encoder without a tower for them"
            where = str(image) if isinstance(image, Path) else f"validation image {number}"
            inputs.append(pixels.encode(encoded(image), where))
    return inputs


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
