"""Which slots have an image on one side: schedules of their own, over the slots that the mix has already given out.

In a batch of images (with granularity `slot`, a slot of one) the image takes the place of a caption: by turns that of
the first passage, so that the captions search images, and that of the query, so that images search captions. What is
left of the slot is as its kind has it: in a monolingual batch all captions are in one language, in a cross-lingual one
they are in several, in a multilingual one more captions stand beside the image or answer it.

A schedule for each source with images and each kind, so the share holds exactly in each kind of batch of each source,
and a mix without images gives the batches that it gave before there were any. Code-switched batches stay texts.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from cluster.errors import ConfigError
from trainer.mixing.apportion import ExactSchedule, RandomSchedule
from trainer.mixing.config import MixingConfig, SourceShape
from trainer.mixing.permute import key_of
from trainer.mixing.ratios import KINDS, RunningTotals

TEXTS, IMAGE_ANSWERS, IMAGE_ASKS = range(3)
"""Sides of a slot: captions on both, an image among the passages, an image as the query."""

_KINDS_WITH_IMAGES = [number for number, kind in enumerate(KINDS) if kind != "code_switched"]


class ImageSlots:
    """(source, kind, how many came before) -> which slots have an image, and on which side."""

    def __init__(self, config: MixingConfig, sources: Sequence[SourceShape], seed: int) -> None:
        """
        Raises:
            ConfigError: images are asked for, and no source has any.
        """
        if config.image_share and not any(source.has_images for source in sources):
            raise ConfigError(
                "mixing.image_share: no training source has images; give a data set that has them, or leave it out"
            )
        self._config, self._sources, self._seed = config, sources, seed

    @cached_property
    def _schedules(self) -> dict[tuple[int, int], ExactSchedule | RandomSchedule]:
        share = self._config.image_share
        make = ExactSchedule if self._config.sampling == "exact" else RandomSchedule
        return {
            (number, kind): make(
                RunningTotals([(0, [1 - share, share / 2, share / 2])]),
                seed=int(key_of(self._seed, "images", KINDS[kind], source.name) >> np.uint64(1)),
            )
            for number, source in enumerate(self._sources)
            for kind in _KINDS_WITH_IMAGES
            if share and source.has_images
        }

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_schedules"}

    def sides(self, source: int, kind: int, slots_before: int, number: int) -> np.ndarray:
        """(number) side of each of the next slots of a kind from a source, after `slots_before` others."""
        schedule = self._schedules.get((source, kind))
        if schedule is None:
            return np.full(number, TEXTS)
        if self._config.granularity == "slot":
            return schedule.segment(slots_before, number)
        return np.repeat(schedule.segment(slots_before // self._config.batch, 1), number)

    def put(
        self, source: int, kind: int, slots_before: int, slots: np.ndarray, query: np.ndarray, passages: np.ndarray
    ) -> None:
        """Write the number of `IMAGE`, one after the source's languages, over what images replace.

        Args:
            slots: numbers of the batch's slots of this kind, in order.
            query: (B) language of each query.
            passages: (B, P) languages of the passages.
        """
        side = self.sides(source, kind, slots_before, len(slots))
        image = len(self._sources[source].languages)
        passages[slots[side == IMAGE_ANSWERS], 0] = image
        query[slots[side == IMAGE_ASKS]] = image
