"""Images as they travel: a file's path or its encoded bytes, decoded only where pixels are needed.

An image has no language. Wherever something goes by language (what a batch's slots hold, what a collection searches) it
stands under `IMAGE`, which no language code can be, as one more language: so pairs, shares, rankings and reports need
no second notion for it.
"""

import functools
import hashlib
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cluster.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE = "image"
"""Stands among languages for images; longer than the first part of any language code."""

ImageSource = Path | bytes
"""A file with an encoded image, or the encoded image itself."""

Search = Literal["captions", "text_to_image", "image_to_text", "everything"]
"""What asks and what is found: captions captions, captions images, images captions, or each of them both."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""What is decoded; Pillow reads many more, of which some run other programs or have a history of faults."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")

MAX_PIXELS = 64 << 20
"""A larger image is refused by its header, before anything is unpacked: a few bytes can unpack to gigabytes."""

MAX_BYTES = 128 << 20


def asks_with(search: Search) -> tuple[bool, bool]:
    """Whether captions and whether images are queries."""
    return search != "image_to_text", search in ("image_to_text", "everything")


def finds(search: Search) -> tuple[bool, bool]:
    """Whether captions and whether images are passages."""
    return search != "text_to_image", search in ("text_to_image", "everything")


def encoded(source: ImageSource) -> bytes:
    """The encoded image.

    Raises:
        DataError: the file is missing, cannot be read or is too large; it is named.
    """
    if isinstance(source, bytes):
        return source
    try:
        if source.stat().st_size > MAX_BYTES:
            raise DataError(f"{source}: larger than {MAX_BYTES >> 20} MiB, which no photograph is; leave it out")
        return source.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{source}: no such image; is this the folder of the data set's images?") from None
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror})") from None


def decoded(data: bytes, where: str) -> "Image":
    """An encoded image as RGB, upright as its EXIF data say, transparency over white; of several frames the first.

    Args:
        data: the encoded image.
        where: its file or group, named in errors.

    Raises:
        DataError: it is cut short or damaged, of a format not in `FORMATS`, or has more than `MAX_PIXELS` pixels.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on sizes (we set our own limit) and on odd metadata, which we do not read
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                image.load()
                upright = ImageOps.exif_transpose(image)
                if upright.has_transparency_data:
                    with_alpha = upright.convert("RGBA")
                    paper = Image.new("RGBA", with_alpha.size, (255, 255, 255, 255))
                    return Image.alpha_composite(paper, with_alpha).convert("RGB")
                return upright.convert("RGB")
    except Image.DecompressionBombError:  # Pillow has a limit of its own, above ours
        raise DataError(f"{where}: would unpack to over {MAX_PIXELS:,} pixels; scale it down") from None
    except Exception as error:  # by format and damage: OSError, ValueError, SyntaxError, struct.error, EOFError, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{where}: not a whole image ({reason}); formats read are {', '.join(FORMATS)}; mend it or leave it out"
        ) from None


def checked(source: ImageSource, where: str) -> bytes:
    """The encoded image, once it was seen to decode; a file that several groups name is decoded once.

    Raises:
        DataError: see `encoded` and `decoded`; names the file, or `where` for an image without one.
    """
    if isinstance(source, Path):
        return _checked_file(source, *_state(source))
    decoded(source, where)
    return source


def content_key(source: ImageSource) -> str:
    """SHA-256 of the encoded image; a file that several groups name is read once.

    Raises:
        DataError: see `encoded`.
    """
    if isinstance(source, Path):
        return _key_of_file(source, *_state(source))
    return hashlib.sha256(source).hexdigest()


# The captions of one image follow each other, so a few files are enough; one that changes meanwhile is another.


@functools.lru_cache(maxsize=16)
def _checked_file(path: Path, mtime_ns: int, size: int) -> bytes:
    data = encoded(path)
    decoded(data, str(path))
    return data


@functools.lru_cache(maxsize=16)
def _key_of_file(path: Path, mtime_ns: int, size: int) -> str:
    return hashlib.sha256(encoded(path)).hexdigest()


def _state(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except OSError:
        return 0, 0  # `encoded` says what is wrong with it
    return facts.st_mtime_ns, facts.st_size


def find_images(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """The file of each image: its name with one of `SUFFIXES`, in a folder.

    Raises:
        DataError: the folder is not there, or an image is not in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of images")
    there = {path.name: path for path in folder.iterdir()}
    found = {}
    for name in names:
        file = next((there[name + suffix] for suffix in SUFFIXES if name + suffix in there), None)
        if file is None:
            raise DataError(
                f"{folder / name}{SUFFIXES[0]}: no such image (nor with {', '.join(SUFFIXES[1:])}); "
                "fetch the data set's images, one file an image, named as in its captions"
            )
        found[name] = file
    return found
