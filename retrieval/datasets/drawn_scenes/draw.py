"""A scene -> its picture, always the same one: places and sizes come from the scene's own name."""

import io
import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from retrieval.datasets.drawn_scenes.facts import Colour, Part, Scene, Shape

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

SIDE = 64
"""Pixels of a picture's side."""

_FINER = 4
"""Drawn so many times larger and scaled down, for smooth edges."""

_RGB: dict[Colour, tuple[int, int, int]] = {
    "red": (214, 39, 40),
    "blue": (31, 80, 200),
    "green": (34, 150, 60),
    "yellow": (240, 205, 20),
    "black": (20, 20, 20),
    "purple": (140, 50, 180),
}

Point = tuple[float, float]


def draw(scene: Scene) -> bytes:
    """The picture as PNG, `SIDE` pixels wide and high, on white."""
    from PIL import Image, ImageDraw

    size = SIDE * _FINER
    picture = Image.new("RGB", (size, size), (255, 255, 255))
    pen = ImageDraw.Draw(picture)
    rng = random.Random(scene.id)
    half = size / 2
    for number, part in enumerate((scene.first, scene.second)):
        side_by_side = scene.arrangement == "side_by_side"
        corner = (number * half, 0.0) if side_by_side else (0.0, number * half)
        _draw_part(pen, part, corner, (half, float(size)) if side_by_side else (float(size), half), rng)
    data = io.BytesIO()
    picture.reduce(_FINER).save(data, "PNG")
    return data.getvalue()


def _draw_part(pen: "ImageDraw", part: Part, corner: Point, extent: Point, rng: random.Random) -> None:
    """Draw the things of a part into cells of its half of the picture, two by two, never over each other."""
    width, height = extent[0] / 2, extent[1] / 2
    for cell in rng.sample(range(4), part.count):
        radius = min(width, height) / 2 * rng.uniform(0.72, 0.95)
        left, top = corner[0] + cell % 2 * width, corner[1] + cell // 2 * height
        x = rng.uniform(left + radius, left + width - radius)
        y = rng.uniform(top + radius, top + height - radius)
        _OUTLINES[part.shape](pen, x, y, radius, _RGB[part.colour])


def _circle(pen: "ImageDraw", x: float, y: float, radius: float, fill: tuple[int, int, int]) -> None:
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _polygon(corners: list[Point]) -> Callable[["ImageDraw", float, float, float, tuple[int, int, int]], None]:
    """Draws a polygon given by its corners around 0, of a radius of 1."""

    def outline(pen: "ImageDraw", x: float, y: float, radius: float, fill: tuple[int, int, int]) -> None:
        pen.polygon([(x + a * radius, y + b * radius) for a, b in corners], fill=fill)

    return outline


def _around(corners: int, inner: float = 1.0) -> list[Point]:
    """Corners on a circle from the top on, every second one at `inner` of the radius."""
    radii = [1.0 if number % 2 == 0 else inner for number in range(corners)]
    turns = [2 * math.pi * number / corners - math.pi / 2 for number in range(corners)]
    return [(radius * math.cos(turn), radius * math.sin(turn)) for radius, turn in zip(radii, turns, strict=True)]


_SIDE, _ARM = 0.85, 0.33
_SQUARE = [(-_SIDE, -_SIDE), (_SIDE, -_SIDE), (_SIDE, _SIDE), (-_SIDE, _SIDE)]
_QUARTER_OF_CROSS = [(_ARM, -1.0), (_ARM, -_ARM), (1.0, -_ARM)]
_CROSS = [
    point for turn in range(4) for a, b in _QUARTER_OF_CROSS for point in [((a, b), (-b, a), (-a, -b), (b, -a))[turn]]
]

_OUTLINES: dict[Shape, Callable[["ImageDraw", float, float, float, tuple[int, int, int]], None]] = {
    "circle": _circle,
    "square": _polygon(_SQUARE),
    "triangle": _polygon(_around(3)),
    "star": _polygon(_around(10, inner=0.42)),
    "diamond": _polygon([(0, -1), (0.62, 0), (0, 1), (-0.62, 0)]),
    "cross": _polygon(_CROSS),
}
