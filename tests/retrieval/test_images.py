"""Images as they are decoded, and what is refused."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cluster.errors import DataError
from retrieval.images import MAX_PIXELS, checked, content_key, decoded, encoded, find_images


def packed(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def picture(width: int = 9, height: int = 5) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "JPEG", "WEBP"])
def test_every_format_gives_rgb_of_the_same_size(kind: str) -> None:
    found = decoded(packed(picture(), kind), "here")
    assert (found.mode, found.size) == ("RGB", (9, 5))
    if kind in ("PNG", "BMP"):
        np.testing.assert_array_equal(np.asarray(found), np.asarray(picture()))


def test_grey_and_palette_become_rgb_and_transparency_lies_over_white() -> None:
    assert decoded(packed(picture().convert("L")), "here").mode == "RGB"
    assert decoded(packed(picture().convert("P")), "here").mode == "RGB"
    clear = Image.new("RGBA", (2, 1), (10, 20, 30, 0))
    clear.putpixel((1, 0), (10, 20, 30, 255))
    np.testing.assert_array_equal(np.asarray(decoded(packed(clear), "here")), [[[255, 255, 255], [10, 20, 30]]])


def test_a_photograph_taken_upright_is_turned_as_its_camera_says() -> None:
    sideways = picture(6, 4)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by 90 degrees
    np.testing.assert_array_equal(
        np.asarray(decoded(packed(sideways, exif=exif), "here")),
        np.asarray(sideways.transpose(Image.Transpose.ROTATE_270)),
    )


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def bomb(side: int) -> bytes:
    """A PNG of a few bytes whose header promises side x side pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [int(MAX_PIXELS**0.5) + 1, 60_000, 2**30])
def test_an_image_that_would_unpack_to_gigabytes_is_refused_by_its_header(side: int) -> None:
    with pytest.raises(DataError, match=r"^photo\.png: would unpack to over 67,108,864 pixels; scale it down$"):
        decoded(bomb(side), "photo.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_an_image_cut_short_anywhere_is_refused_in_one_line(kind: str) -> None:
    whole = packed(picture(64, 48), kind)
    for size in (0, 1, 20, len(whole) // 2, len(whole) - 40):
        with pytest.raises(DataError, match=r"^photo: not a whole image \(.+\); formats read are") as caught:
            decoded(whole[:size], "photo")
        assert "\n" not in str(caught.value)


def test_what_is_no_image_or_of_another_format_is_refused() -> None:
    for data in (b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg/>", packed(picture(), "TIFF"), b"\0" * 500):
        with pytest.raises(DataError, match="not a whole image"):
            decoded(data, "photo")


def test_files_are_named_in_errors(tmp_path: Path) -> None:
    good, bad = tmp_path / "a.png", tmp_path / "b.jpg"
    good.write_bytes(packed(picture()))
    bad.write_bytes(b"no image")
    assert checked(good, "-") == encoded(good) == encoded(good.read_bytes())
    assert content_key(good) == content_key(good.read_bytes())
    with pytest.raises(DataError, match=f"^{bad}: not a whole image"):
        checked(bad, "-")
    with pytest.raises(DataError, match=f"^{tmp_path}/c.png: no such image"):
        checked(tmp_path / "c.png", "-")
    with pytest.raises(DataError, match="^group 7: not a whole image"):
        checked(b"no image", "group 7")


def test_image_files_are_found_by_their_names(tmp_path: Path) -> None:
    for name in ("one.jpg", "two.webp", "other.png"):
        (tmp_path / name).touch()
    assert find_images(tmp_path, ["two", "one"]) == {"two": tmp_path / "two.webp", "one": tmp_path / "one.jpg"}
    with pytest.raises(DataError, match=f"^{tmp_path}/three.jpg: no such image"):
        find_images(tmp_path, ["one", "three"])
    with pytest.raises(DataError, match=f"^{tmp_path}/nowhere: no such folder of images"):
        find_images(tmp_path / "nowhere", [])
