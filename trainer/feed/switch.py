"""Texts of a slot -> the same with words in other languages, decided by seed, step and group alone.

A group comes up once in a step, so no rank and no slot number enters, and the next epoch draws other words.
"""

import hashlib
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from retrieval.dictionary import Dictionary
from retrieval.perturb.code_switching import code_switched
from trainer.mixing.config import CodeSwitchingConfig

if TYPE_CHECKING:
    from trainer.feed.fetch import SlotTexts


class CodeSwitcher:
    """Switches the texts of code-switched slots.

    Args:
        dictionary: word translations.
        config: how much is switched, and whether passages are.
        seed: of the plan.
    """

    def __init__(self, dictionary: Dictionary, config: CodeSwitchingConfig, seed: int) -> None:
        self._dictionary, self._config, self._seed = dictionary, config, seed

    def switched(self, slot: "SlotTexts", step: int) -> "SlotTexts":
        """A slot with words of its query switched, and unless only queries are, of its passages and hard negatives."""

        def mixed(text: str | bytes, language: str, *part: str | int) -> str:
            assert isinstance(text, str), "the plan puts no images into code-switched slots"
            key = "\0".join(map(str, (self._seed, step, slot.group_id, *part)))
            rng = random.Random(hashlib.blake2b(key.encode()).digest())
            return code_switched(text, language, self._dictionary, rng, share=self._config.share)

        query = mixed(slot.query, slot.query_language, "query")
        if self._config.texts == "queries":
            return replace(slot, query=query)
        passages = enumerate(zip(slot.passages, slot.passage_languages, strict=True))
        # Negatives too: left in one language they would give themselves away.
        negatives = enumerate(zip(slot.negatives, slot.negative_languages, strict=True))
        return replace(
            slot,
            query=query,
            passages=[mixed(text, language, "passage", place) for place, (text, language) in passages],
            negatives=[mixed(text, language, "negative", place) for place, (text, language) in negatives],
        )
