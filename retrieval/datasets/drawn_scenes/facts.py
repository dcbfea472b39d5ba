"""What there is to see in a scene, and which split it belongs to."""

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

Colour = Literal["red", "blue", "green", "yellow", "black", "purple"]
Shape = Literal["circle", "square", "triangle", "star", "diamond", "cross"]
Arrangement = Literal["side_by_side", "one_above_the_other"]
Split = Literal["train", "validation", "test"]

COLOURS: tuple[Colour, ...] = get_args(Colour)
SHAPES: tuple[Shape, ...] = get_args(Shape)
ARRANGEMENTS: tuple[Arrangement, ...] = get_args(Arrangement)
COUNTS = (1, 2, 3, 4)

SIZES: dict[Split, int] = {"train": 4000, "validation": 200, "test": 500}
"""Scenes of a split, where its reader does not ask for another number."""

_TENTHS: dict[Split, range] = {"train": range(7), "validation": range(7, 8), "test": range(8, 10)}


@dataclass(frozen=True)
class Part:
    """Some equal things: three red circles."""

    count: int
    colour: Colour
    shape: Shape


@dataclass(frozen=True)
class Scene:
    """Two parts, beside each other or one above the other."""

    first: Part
    """On the left, or above."""
    second: Part
    """On the right, or below."""
    arrangement: Arrangement

    @property
    def id(self) -> str:
        """Says all there is to see: `3-red-circle.1-blue-square.side_by_side`."""
        parts = (f"{part.count}-{part.colour}-{part.shape}" for part in (self.first, self.second))
        return ".".join([*parts, self.arrangement])


def scenes(split: Split, number: int | None = None) -> Sequence[Scene]:
    """Scenes of a split: always the same ones in the same order, of which a smaller number takes the first.

    What a scene shows decides its split, so no combination of facts is in two of them.
    """
    return _all(split)[: SIZES[split] if number is None else number]


@cache
def _all(split: Split) -> tuple[Scene, ...]:
    parts = [Part(*facts) for facts in itertools.product(COUNTS, COLOURS, SHAPES)]
    # Two parts that differ in their number alone are one part to the eye.
    pairs = [
        (first, second)
        for first in parts
        for second in parts
        if (first.colour, first.shape) != (second.colour, second.shape)
    ]
    every = [Scene(first, second, arrangement) for first, second in pairs for arrangement in ARRANGEMENTS]
    return tuple(sorted((scene for scene in every if _key(scene) % 10 in _TENTHS[split]), key=_key))


@cache
def _key(scene: Scene) -> int:
    return int.from_bytes(hashlib.blake2b(scene.id.encode(), digest_size=8).digest(), "big")
