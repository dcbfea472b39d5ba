"""Perturbations by name, and queries under one of them."""

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from retrieval.perturb.marks import lower_case, upper_case, without_diacritics
from retrieval.perturb.typing_noise import typing_noise
from retrieval.perturb.variants import script_variant

Change = Callable[[str, str, random.Random], str]
"""Text, language code, source of chance -> text; the same text where nothing can be changed."""


@dataclass(frozen=True)
class Perturbation:
    """A way in which queries differ from those a retriever was trained on, though they mean the same."""

    name: str
    meaning: str
    change: Change


TYPING_NOISE = Perturbation("typing_noise", "one slip of the finger per ten letters", typing_noise)
NO_DIACRITICS = Perturbation("no_diacritics", "typed without accents", without_diacritics)
LOWER_CASE = Perturbation("lower_case", "all lower case", lower_case)
UPPER_CASE = Perturbation("upper_case", "all capitals", upper_case)
SCRIPT_VARIANT = Perturbation("script_variant", "another spelling or script of the language", script_variant)

PERTURBATIONS = (TYPING_NOISE, NO_DIACRITICS, LOWER_CASE, UPPER_CASE, SCRIPT_VARIANT)
"""Those that need no data of their own; `code_switching` needs a dictionary."""


def perturbed(perturbation: Perturbation, text: str, language: str, query_id: str, seed: int = 0) -> str:
    """A query under a perturbation; decided by these arguments alone, whatever other queries there are."""
    key = "\0".join((str(seed), perturbation.name, language, query_id))
    rng = random.Random(hashlib.sha256(key.encode()).digest())
    return perturbation.change(text, language, rng)


def perturbed_queries(
    perturbation: Perturbation, texts: Sequence[str], languages: Sequence[str], query_ids: Sequence[str], seed: int = 0
) -> list[str]:
    """Queries under a perturbation, in their order."""
    return [
        perturbed(perturbation, text, language, query_id, seed)
        for text, language, query_id in zip(texts, languages, query_ids, strict=True)
    ]
