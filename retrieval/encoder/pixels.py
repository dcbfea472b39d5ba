"""Images -> arrays of pixels, as an image processor of transformers says, by Pillow alone: the same bytes everywhere.

What leaves here are whole numbers from 0 to 255; mean and standard deviation are applied in the tower, on its device.
So a pixel takes one byte on its way through Ray Data instead of four.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cluster.documents import parse_json
from cluster.errors import ConfigError
from retrieval.images import decoded

PROCESSOR_FILE = "preprocessor_config.json"
_NESTED_FILE, _NESTED = "processor_config.json", "image_processor"
_BILINEAR, _BICUBIC = 2, 3
_SUPPORTED_RESAMPLING = (0, 1, _BILINEAR, _BICUBIC, 4, 5)
"""Pillow's numbers: nearest, Lanczos, bilinear, bicubic, box, Hamming."""

MAX_SIDE = 8192
"""Longest side of an array, in pixels; towers take 224 to 1,024."""
_HALVES = (0.5, 0.5, 0.5)
_MUST_BE = {"do_rescale": True, "do_resize": True, "do_normalize": True, "do_pad": False}


@dataclass(frozen=True)
class Pixels:
    """How an image becomes the array that a tower takes. Plain data, so it travels into any process."""

    height: int
    """Of the array."""
    width: int
    """Of the array."""
    shortest_edge: int | None = None
    """Scale the shorter side to this, keeping proportions, then crop the middle; None = stretch to height and width."""
    resample: int = _BICUBIC
    """Pillow's number of the resampling filter."""
    mean: tuple[float, float, float] = _HALVES
    """Of red, green and blue between 0 and 1; subtracted in the tower."""
    std: tuple[float, float, float] = _HALVES
    """Divided by in the tower."""

    def encode(self, image: bytes, where: str) -> np.ndarray:
        """uint8 (height, width, 3) of an encoded image.

        Args:
            image: the encoded image.
            where: its file or group, named in errors.

        Raises:
            DataError: it is damaged or too large; see `retrieval.images.decoded`.
        """
        picture = decoded(image, where)
        if self.shortest_edge is None:
            return np.asarray(picture.resize((self.width, self.height), self.resample))
        shorter = min(picture.size)
        width, height = (int(self.shortest_edge * side / shorter) for side in picture.size)
        left, top = (width - self.width) // 2, (height - self.height) // 2
        scaled = picture.resize((width, height), self.resample)
        return np.asarray(scaled.crop((left, top, left + self.width, top + self.height)))

    @property
    def blank(self) -> np.ndarray:
        """A black image, for who has to take part without one."""
        return np.zeros((self.height, self.width, 3), dtype=np.uint8)


def read_pixels(folder: Path) -> Pixels:
    """How the image processor in a model's folder makes arrays of images.

    Raises:
        ConfigError: there is none, or it does something that we do not.
    """
    path, fields = _processor(folder)
    for name, wanted in _MUST_BE.items():
        if fields.get(name, wanted) is not wanted and fields.get(name) is not None:
            raise ConfigError(f"{path}: {name}: {fields[name]} is not supported; only {wanted} is")
    factor = fields.get("rescale_factor", 1 / 255)
    if not isinstance(factor, (int, float)) or not abs(factor - 1 / 255) <= 1e-9:
        raise ConfigError(f"{path}: rescale_factor {factor} is not supported; only 1/255 is")
    resample = fields.get("resample", _BICUBIC)
    if not isinstance(resample, int) or resample not in _SUPPORTED_RESAMPLING:
        raise ConfigError(f"{path}: resample {resample} is not one of Pillow's filters")
    try:
        mean, std = (tuple(map(float, fields.get(name) or _HALVES)) for name in ("image_mean", "image_std"))
        size, crop = fields["size"], fields.get("crop_size")
        if isinstance(size, int):  # the form of early configurations, CLIP's for one
            size = {"shortest_edge": size}
        if isinstance(crop, int):
            crop = {"height": crop, "width": crop}
        if "shortest_edge" not in size:
            return Pixels(_side(size["height"]), _side(size["width"]), None, resample, _three(mean), _three(std))
        if not fields.get("do_center_crop", True) or crop is None:
            raise ConfigError(f"{path}: shortest_edge without do_center_crop gives images of unequal sizes")
        sides = _side(crop["height"]), _side(crop["width"]), _side(size["shortest_edge"])
        pixels = Pixels(*sides, resample, _three(mean), _three(std))
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ConfigError(f"{path}: its size, crop_size, image_mean or image_std cannot be read ({error!r})") from None
    if pixels.shortest_edge is not None and max(pixels.height, pixels.width) > pixels.shortest_edge:
        raise ConfigError(f"{path}: crops {pixels.height} x {pixels.width} out of images scaled to less")
    return pixels


def write_pixels(folder: Path, pixels: Pixels, processor_type: str) -> None:
    """Write the image processor's file, in the form that transformers reads too."""
    square = {"height": pixels.height, "width": pixels.width}
    fields: dict[str, Any] = {
        "image_processor_type": processor_type,
        "do_convert_rgb": True,
        "do_resize": True,
        "size": square if pixels.shortest_edge is None else {"shortest_edge": pixels.shortest_edge},
        "resample": pixels.resample,
        "do_center_crop": pixels.shortest_edge is not None,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(pixels.mean),
        "image_std": list(pixels.std),
    }
    if pixels.shortest_edge is not None:
        fields["crop_size"] = square
    (folder / PROCESSOR_FILE).write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _side(pixels: Any) -> int:
    if type(pixels) is not int or not 0 < pixels <= MAX_SIDE:
        raise ValueError(f"{pixels} pixels")
    return pixels


def _three(values: tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = values
    return red, green, blue


def _processor(folder: Path) -> tuple[Path, Mapping[str, Any]]:
    for path, nested in ((folder / PROCESSOR_FILE, False), (folder / _NESTED_FILE, True)):
        if path.is_file():
            try:
                fields = parse_json(path.read_text(encoding="utf-8"))
                fields = fields[_NESTED] if nested else fields
                if not isinstance(fields, dict):
                    raise TypeError("no object {...}")
                return path, fields
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"{path}: cannot be read as an image processor ({error!r})") from None
    raise ConfigError(
        f"{folder / PROCESSOR_FILE}: missing; it says how images become arrays (size, mean, standard deviation)"
    )
