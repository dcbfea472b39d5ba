"""The plan: one global batch is a pure function of (seed, step), and knows nothing of the number of workers.

Every batch comes from one source. Which kind, source and languages it has comes from exact schedules
(`sampling: exact`) or from keyed independent draws (`sampling: random`, as in arXiv 2408.10536). The groups of a
source come in one order that no mix changes, and so do the sources: two mixes with the same seed train on the same
groups at the same steps and differ in languages only, which makes their comparison paired.

A source with one language can only give monolingual batches. Such sources share at most the monolingual share of the
steps; their batches are placed among the monolingual ones, again by an exact schedule.

Where `image_share` asks for images, they take the places of captions afterwards (images.py); all else stays as it is.

A code-switched batch is a monolingual one here, in one of the languages that a dictionary has words of; the feed
replaces words (feed/switch.py).
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from cluster.errors import ConfigError
from trainer.mixing.config import MixingConfig, SourceShape
from trainer.mixing.images import ImageSlots
from trainer.mixing.languages import balanced, ordered_pairs, parallel_languages
from trainer.mixing.permute import draws, key_of
from trainer.mixing.ratios import KINDS, Kind
from trainer.mixing.rows import RowOrder
from trainer.mixing.timeline import Moment, Timeline

_ROW_BLOCK = 16
"""Batches of a source whose rows are computed together."""
MONO, CROSS, MULTI, CODE_SWITCHED = range(len(KINDS))


@dataclass(frozen=True)
class GlobalBatch:
    """The slots of one global batch, or a rank's share of them. B slots, at most P passages each."""

    step: int
    source: int
    """Index into the plan's sources."""
    kind: np.ndarray
    """(B) int8, index into KINDS."""
    row: np.ndarray
    """(B) int64, row of the source."""
    query_language: np.ndarray
    """(B) int16, index into the source's languages; one beyond the last stands for the group's image."""
    passage_language: np.ndarray
    """(B, P) int16, the same; -1 where a slot has fewer than P passages."""

    def share(self, rank: int, world_size: int) -> "GlobalBatch":
        """The neighbouring slots of one rank; `world_size` divides B."""
        size = len(self.row) // world_size
        return self.only(slice(rank * size, (rank + 1) * size))

    def only(self, slots: np.ndarray | slice) -> "GlobalBatch":
        """Some of the slots."""
        return GlobalBatch(
            self.step,
            self.source,
            self.kind[slots],
            self.row[slots],
            self.query_language[slots],
            self.passage_language[slots],
        )


class Plan:
    """step -> GlobalBatch.

    Raises:
        ConfigError: the mix asks for languages that no source has, or a source has fewer groups than a batch.
    """

    def __init__(self, config: MixingConfig, sources: tuple[SourceShape, ...], seed: int) -> None:
        _check(config, sources)
        self.config = config
        self.sources = sources
        self.seed = seed
        self._images = ImageSlots(config, sources, seed)
        self._orders = [
            RowOrder(source.name, source.num_groups, source.row_group_rows, config.batch, config.window_rows, seed)
            for source in sources
        ]

    @cached_property
    def _row_blocks(self) -> dict[int, tuple[int, np.ndarray]]:
        """Source -> number and rows of the block of its batches that was asked for last."""
        return {}

    @cached_property
    def timeline(self) -> Timeline:
        """Kinds and sources of all steps; built in each process that asks for a batch."""
        return Timeline(self.config, self.sources, self.seed)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name not in ("timeline", "_row_blocks")}

    def batch(self, step: int) -> GlobalBatch:
        """The global batch of one step, counted from 0."""
        moment = self.timeline.moment(step)
        kind = self._kinds(step, moment)
        query, passages = self._languages(moment, kind)
        return GlobalBatch(
            step=step,
            source=moment.source,
            kind=kind.astype(np.int8),
            row=self._rows(moment),
            query_language=query.astype(np.int16),
            passage_language=passages.astype(np.int16),
        )

    def _rows(self, moment: Moment) -> np.ndarray:
        """(B) rows of a batch. They are computed by the block: for a single batch, numpy's overhead is most of it."""
        number, place = divmod(moment.batch_number, _ROW_BLOCK)
        kept = self._row_blocks.get(moment.source)
        if kept is None or kept[0] != number:
            kept = number, self._orders[moment.source].rows_of(number * _ROW_BLOCK, _ROW_BLOCK)
            self._row_blocks[moment.source] = kept
        return kept[1][place].copy()

    def _kinds(self, step: int, moment: Moment) -> np.ndarray:
        """(B) kind of each slot; with granularity `slot` spread over the batch, so that all ranks get alike."""
        kinds = np.repeat(np.arange(len(KINDS)), moment.slots)
        if self.config.granularity == "batch":
            return kinds
        return kinds[np.argsort(draws(key_of(self.seed, "slots", step), np.arange(len(kinds))), kind="stable")]

    def _languages(self, moment: Moment, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        source = self.sources[moment.source]
        languages = len(source.languages)
        width = min(self.config.positives, languages) if (kind == MULTI).any() else 1
        query = np.empty(len(kind), dtype=np.int64)
        passages = np.full((len(kind), width), -1, dtype=np.int64)
        for number in np.unique(kind):
            slots = np.flatnonzero(kind == number)
            counters = moment.slots_before[number] + np.arange(len(slots))
            if number in (MONO, CODE_SWITCHED):
                query[slots] = self._one_language(KINDS[number], source, counters)
                passages[slots, 0] = query[slots]
            elif number == CROSS:
                pair = self._choose("cross", source, counters, languages * (languages - 1))
                query[slots], passages[slots, 0] = ordered_pairs(pair, languages)
            else:
                query[slots] = self._choose("multi", source, counters, languages)
                passages[slots, :width] = self._parallel(source, counters, width)
            before = int(moment.slots_before[number])
            self._images.put(moment.source, int(number), before, slots, query, passages)
        return query, passages

    def _one_language(self, kind: Kind, source: SourceShape, slot_counters: np.ndarray) -> np.ndarray:
        """A whole batch shares one language, so batches are counted; with granularity `slot`, slots."""
        counters = slot_counters // self.config.batch if self.config.granularity == "batch" else slot_counters
        if kind == "mono":
            return self._choose(kind, source, counters, len(source.languages))
        numbers = np.array(source.switchable_numbers)
        return numbers[self._choose(kind, source, counters, len(numbers))]

    def _choose(self, purpose: Kind, source: SourceShape, counters: np.ndarray, choices: int) -> np.ndarray:
        key = key_of(self.seed, purpose, "languages", source.name)
        if self.config.sampling == "random":
            return (draws(key, counters) % np.uint64(choices)).astype(np.int64)
        return balanced(counters, choices, key)

    def _parallel(self, source: SourceShape, counters: np.ndarray, width: int) -> np.ndarray:
        languages = len(source.languages)
        key = key_of(self.seed, "multi", "passages", source.name)
        if self.config.sampling == "random":
            return np.argsort(draws(key, counters[:, None] * languages + np.arange(languages)), axis=1)[:, :width]
        return parallel_languages(counters, languages, width, key)


def _check(config: MixingConfig, sources: tuple[SourceShape, ...]) -> None:
    if not sources:
        raise ConfigError("data.train: the prepared groups hold no source; prepare at least one data set")
    steps = [knot.step for knot in config.mix]
    if any(later <= earlier for earlier, later in pairwise(steps)):
        raise ConfigError(f"mixing.mix: steps must rise from one mix to the next, found {', '.join(map(str, steps))}")
    for source in sources:
        if source.num_groups < config.batch:
            raise ConfigError(
                f"mixing.batch: {config.batch} exceeds the {source.num_groups} groups of source {source.name}; "
                f"use a smaller batch, or raise prepare.min_groups so that small sources are merged"
            )
    most = max(len(source.languages) for source in sources)
    if most < 2 and any(knot.mono < 1 for knot in config.mix):
        raise ConfigError(
            f"mixing.mix: all but mono batches need groups in two languages or more, but every source has one "
            f"({', '.join(sorted({source.languages[0] for source in sources}))}); use mono: 1 or add parallel data"
        )
    for source in sources if config.uses("code_switched") else ():
        if len(source.languages) > 1 and not source.switchable_numbers:
            raise ConfigError(
                f"mixing.mix: code_switched batches need a language with a dictionary, source {source.name} has none "
                f"({', '.join(source.languages)}): too few parallel texts, or scripts without spaces between words; "
                f"leave out the source or the kind, or raise data.min_groups so that it is merged"
            )
    if config.positives > most and config.uses("multi"):
        raise ConfigError(
            f"mixing.positives: {config.positives} parallel passages asked for, but no source has over {most} languages"
        )
