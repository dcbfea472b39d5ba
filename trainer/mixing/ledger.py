"""The ledger: what was really trained on, counted batch by batch as it reached the loss, and held against the mix."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from cluster.errors import WorkError
from retrieval.images import IMAGE
from trainer.mixing.config import MixingConfig, SourceShape
from trainer.mixing.plan import CODE_SWITCHED, CROSS, MONO, MULTI, GlobalBatch
from trainer.mixing.ratios import KINDS, RunningTotals


class Ledger:
    """Counts of kinds, sources, languages and pairs over the steps so far, and the running error of the mix.

    Its state is a few numbers that ride along in every checkpoint, so that a resumed run has one ledger.
    """

    def __init__(
        self, config: MixingConfig, sources: Sequence[SourceShape], state: Mapping[str, Any] | None = None
    ) -> None:
        self._config = config
        self._sources = sources
        self._totals = RunningTotals([(knot.step, list(knot.shares.values())) for knot in config.mix])
        self._languages = sorted({language for source in sources for language in source.languages})
        if config.image_share:
            self._languages.append(IMAGE)
        state = state or {}
        number = len(self._languages)
        self.steps = int(state.get("steps", 0))
        self._slots = _counts(state.get("slots"), len(KINDS))
        self._batches = _counts(state.get("batches"), len(sources))
        self._query = _counts(state.get("query_languages"), len(KINDS), number)
        self._pairs = _counts(state.get("pairs"), len(KINDS), number, number)
        self._deviation = Fraction(state.get("largest_deviation", 0))

    def record(self, batch: GlobalBatch) -> None:
        """Count one global batch, as it was trained on (all ranks together)."""
        if batch.step != self.steps:
            raise WorkError(f"step {batch.step} reached the loss, {self.steps} was due: the feed is out of order")
        source = self._sources[batch.source]
        contents = source.contents if self._config.image_share else source.languages
        code = np.array([self._languages.index(content) for content in contents])
        query = code[batch.query_language]
        np.add.at(self._query, (batch.kind, query), 1)
        slot, place = np.nonzero(batch.passage_language >= 0)
        passage = code[batch.passage_language[slot, place]]
        np.add.at(self._pairs, (batch.kind[slot], query[slot], passage), 1)
        self._slots += np.bincount(batch.kind, minlength=len(KINDS))
        self._batches[batch.source] += 1
        self.steps += 1
        self._deviation = max(self._deviation, self._current_deviation())

    def _current_deviation(self) -> Fraction:
        """How far the worst kind is from its share now, in batches (granularity `batch`) or slots (`slot`)."""
        scale = self._config.batch if self._config.granularity == "slot" else 1
        return max(
            abs(
                Fraction(int(self._slots[kind]) * scale, self._config.batch)
                - Fraction(self._totals.at(kind, self.steps) * scale, self._totals.denominator)
            )
            for kind in range(len(KINDS))
        )

    def check(self) -> None:
        """Hold the realised mix against the one asked for.

        Raises:
            WorkError: a prefix of an exact schedule strayed by more than 1, or a batch broke its language rule.
        """
        off_diagonal = ~np.eye(len(self._languages), dtype=bool)
        if self._config.image_share:  # an image is in no language: it may stand beside any, never beside itself
            off_diagonal[-1, :-1] = off_diagonal[:-1, -1] = False
            if self._pairs[:, -1, -1].any():
                raise WorkError("ledger: an image was to find itself; please report this bug")
        for kind, meaning in ((MONO, "monolingual"), (CODE_SWITCHED, "code-switched")):
            if self._pairs[kind][off_diagonal].any():
                raise WorkError(f"ledger: a {meaning} batch held a pair in two languages; please report this bug")
        if self._pairs[CROSS].diagonal().any():
            raise WorkError("ledger: a cross-lingual batch held a pair in one language; please report this bug")
        limit = self._largest_deviation_allowed()
        if self._config.sampling == "exact" and self._config_is_plain() and self._deviation > limit:
            raise WorkError(
                f"ledger: the realised mix strayed {float(self._deviation):.2f} from its share (at most {limit})"
            )

    def _largest_deviation_allowed(self) -> int:
        """In batches, or with granularity `slot` in slots: there sources of one language fill whole batches."""
        if self._config.granularity == "batch" or all(len(source.languages) > 1 for source in self._sources):
            return 1
        return 1 + self._config.batch

    def _config_is_plain(self) -> bool:
        """Slot shares of a changing mix are interpolated by slot, not by step: there the figure is for information."""
        return self._config.granularity == "batch" or self._totals.constant

    def state(self) -> dict[str, Any]:
        """Plain numbers for a checkpoint."""
        return {
            "steps": self.steps,
            "slots": self._slots.tolist(),
            "batches": self._batches.tolist(),
            "query_languages": self._query.tolist(),
            "pairs": self._pairs.tolist(),
            "largest_deviation": str(self._deviation),
        }

    def summary(self) -> dict[str, Any]:
        """For people and for the report: planned shares beside realised counts."""
        per_kind = self._slots / self._config.batch
        return {
            "steps": self.steps,
            "batch": self._config.batch,
            "granularity": self._config.granularity,
            "sampling": self._config.sampling,
            "kinds": {
                kind: {"share": self._planned_share(number), "count": _plain(per_kind[number])}
                for number, kind in enumerate(KINDS)
                if self._slots[number] or self._totals.at(number, self.steps)
            },
            "sources": {
                source.name: {"share": str(Fraction(int(count), max(self.steps, 1))), "count": int(count)}
                for source, count in zip(self._sources, self._batches, strict=True)
            },
            "languages": {
                kind: dict(zip(self._languages, self._query[number].tolist(), strict=True))
                for number, kind in enumerate(KINDS)
                if self._slots[number]
            },
            "pairs": {KINDS[kind]: self._pair_rows(kind) for kind in (CROSS, MULTI) if self._slots[kind]},
            "largest_prefix_deviation": float(self._deviation),
        } | ({"images": self._image_counts()} if self._config.image_share else {})

    def _image_counts(self) -> dict[str, Any]:
        """Share asked for, and batches in which captions searched images and images captions."""
        batch = self._config.batch
        return {
            "share": str(self._config.image_share),
            "captions to images": _plain(self._pairs[:, :, -1].sum() / batch),
            "images to captions": _plain(self._query[:, -1].sum() / batch),
        }

    def _planned_share(self, kind: int) -> str:
        return str(Fraction(self._totals.at(kind, self.steps), self._totals.denominator * max(self.steps, 1)))

    def _pair_rows(self, kind: int) -> list[list[Any]]:
        rows, columns = np.nonzero(self._pairs[kind])
        return [
            [self._languages[row], self._languages[column], int(self._pairs[kind, row, column])]
            for row, column in zip(rows, columns, strict=True)
        ]


def _counts(stored: Any, *shape: int) -> np.ndarray:
    """Counts out of a checkpoint, which may be from before the last kinds were known."""
    counts = np.zeros(shape, dtype=np.int64)
    if stored is not None:
        counts[: len(stored)] = stored
    return counts


def _plain(value: float) -> int | float:
    return int(value) if value == int(value) else round(float(value), 4)
