"""Texts in, texts with slips of the finger out."""

import random
from collections.abc import Callable, Mapping

from retrieval.perturb.graphemes import clusters, holds_together, is_letter
from retrieval.perturb.keyboards import neighbours
from retrieval.perturb.primary import primary_language

SLIPS_PER_LETTER = 0.1
_ATTEMPTS = 12

Slip = Callable[[list[str], int, Mapping[str, str], random.Random], list[str] | None]
"""Characters, place of the slip, neighbouring keys -> characters; None where this slip cannot happen there."""


def typing_noise(text: str, language: str, rng: random.Random) -> str:
    """One slip per ten letters, at least one: a neighbouring key hit instead or too, a letter doubled, lost or swapped.

    Only letters slip, as whole grapheme clusters. Keys are those of `keyboards`; letters without a key there are
    doubled, lost or swapped. A text without letters stays as it is.
    """
    parts, keys = clusters(text), neighbours(primary_language(language))
    for _ in range(max(1, round(SLIPS_PER_LETTER * sum(map(is_letter, parts))))):
        parts = _slipped(text, parts, keys, rng)
    return "".join(parts)


def _slipped(text: str, parts: list[str], keys: Mapping[str, str], rng: random.Random) -> list[str]:
    letters = [place for place, part in enumerate(parts) if is_letter(part)]
    for _ in range(_ATTEMPTS if letters else 0):
        slip: Slip = rng.choice((_hit_neighbour, _hit_both, _lose, _swap))
        changed = slip(parts, rng.choice(letters), keys, rng)
        if changed and any(map(is_letter, changed)) and holds_together(changed) and "".join(changed) != text:
            return changed
    return parts


def _neighbour(letter: str, keys: Mapping[str, str], rng: random.Random) -> str | None:
    near = keys.get(letter) or keys.get(letter.lower())
    if not near:
        return None
    key = rng.choice(near)
    return key.upper() if letter not in keys and len(key.upper()) == 1 else key


def _hit_neighbour(parts: list[str], place: int, keys: Mapping[str, str], rng: random.Random) -> list[str] | None:
    key = _neighbour(parts[place], keys, rng)
    return [*parts[:place], key, *parts[place + 1 :]] if key else None


def _hit_both(parts: list[str], place: int, keys: Mapping[str, str], rng: random.Random) -> list[str] | None:
    key = _neighbour(parts[place], keys, rng) or parts[place]
    return [*parts[: place + 1], key, *parts[place + 1 :]]


def _lose(parts: list[str], place: int, keys: Mapping[str, str], rng: random.Random) -> list[str] | None:
    return [*parts[:place], *parts[place + 1 :]]


def _swap(parts: list[str], place: int, keys: Mapping[str, str], rng: random.Random) -> list[str] | None:
    if place + 1 == len(parts) or not is_letter(parts[place + 1]) or parts[place] == parts[place + 1]:
        return None
    return [*parts[:place], parts[place + 1], parts[place], *parts[place + 2 :]]
