"""Captions of images in several languages: what `multi30k`, `xflickrco` and `xm3600` have in common.

A caption searches captions; those of its image are relevant, in every language: many to many where
an image has several. With the images at hand captions search images, too, and images captions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import Field, model_validator

from cluster.config import Config
from cluster.errors import DataError
from retrieval.cleaning import is_empty, normalise
from retrieval.images import IMAGE, Search, asks_with, find_images, finds
from retrieval.language_codes import CanonicalLanguages
from retrieval.records import Collection, Group, Pair, PassageRecord, QueryRecord, collection_from

AnyCaptions = TypeVar("AnyCaptions", bound="CaptionsConfig")

Captions = Mapping[str, Mapping[str, Sequence[str]]]
"""Language -> image (file name without its ending) -> captions, in the order of the files."""


class CaptionsConfig(Config):
    """Fields of a data set of captions."""

    path: Path
    """Folder of the data set's files; relative paths start in the working directory."""

    languages: CanonicalLanguages | None = None
    """Languages to read, by any of their codes; all there are where not given."""

    max_captions: int | None = Field(default=None, ge=1)
    """Read the first so many captions of an image in each language; all where not given."""

    own_text: Literal["left_out", "candidate"] | None = None
    """Whether a caption finds itself: `left_out` of its rankings, or a `candidate` that is relevant. Not given:
    `left_out` where images have several captions in a language, else `candidate`, so that there is a monolingual
    setting."""

    # Both are left out where they are not given: without images, data sets keep the fingerprints they had before.
    images: Path | None = Field(default=None, exclude_if=lambda images: images is None)
    """Folder of the image files, named as in the captions (`<image>.jpg`, `.png`, ...). Groups then have their image.
    Not given: captions alone."""

    search: Search = Field(default="captions", exclude_if=lambda search: search == "captions")
    """What an evaluation searches with and for: captions for captions (`captions`), captions for images
    (`text_to_image`), images for captions (`image_to_text`), both for both (`everything`)."""

    excerpt: bool = False
    """The files hold only part of the data set: do not check their SHA-256 and the published counts."""

    @model_validator(mode="after")
    def _images_for_search(self) -> Self:
        if self.search != "captions" and self.images is None:
            raise ValueError(f"search: {self.search} needs the image files; give their folder as images")
        return self


def image_files(config: CaptionsConfig, captions: Captions) -> dict[str, Path]:
    """The file of each image that has captions; none where the configuration names no folder.

    Raises:
        DataError: an image is not there.
    """
    return {} if config.images is None else find_images(config.images, list(_images(captions)))


def files_of_images(config: AnyCaptions, read_captions: Callable[[AnyCaptions], Captions]) -> list[Path]:
    """The same as a list, for `input_files`; captions are read only where there are images."""
    return [] if config.images is None else list(image_files(config, read_captions(config)).values())


def limit_captions(captions: Captions, most: int | None) -> Captions:
    """The first `most` captions of each image and language."""
    return {
        language: {image: tuple(texts[:most]) for image, texts in images.items()}
        for language, images in captions.items()
    }


def groups_of_captions(label: str, captions: Captions, images: Mapping[str, Path] | None = None) -> Iterator[Group]:
    """Group k of an image: in each language with more than k captions, caption k as the query, the next as the passage.

    After the last caption comes the first, so where a language has one caption only, query and passage are the same
    text. All groups of an image share its passage id, so none of its captions counts as wrong in training, and they
    have its file, where `images` names it.
    """
    for image in _images(captions):
        texts_of = {language: images[image] for language, images in captions.items() if image in images}
        for k in range(max(map(len, texts_of.values()), default=0)):
            pairs = {
                language: Pair(query=texts[k], passage=texts[(k + 1) % len(texts)])
                for language, texts in texts_of.items()
                if k < len(texts)
            }
            yield Group(f"{label}/{_caption_id(image, k)}", pairs, f"{label}/{image}", (images or {}).get(image))


def collection_of_captions(
    label: str,
    name: str,
    captions: Captions,
    own_text: Literal["left_out", "candidate"] | None,
    search: Search = "captions",
    images: Mapping[str, Path] | None = None,
) -> Collection:
    """Captions and images as `search` says: relevant are captions of the same image, in all languages, and it.

    Captions of one language with the same text are one candidate, relevant to the images of each, and within an image
    one query. An empty caption is neither. An image is never its own answer.

    Args:
        label: what ids begin with.
        name: of the collection.
        captions: of every image.
        own_text: see `CaptionsConfig`.
        search: see there, too.
        images: file of every image; needed unless only captions search captions.

    Raises:
        DataError: own texts are left out, and nothing else is relevant to any caption.
    """
    images = images or {}
    captions_ask, images_ask = asks_with(search)
    finds_captions, finds_images = finds(search)
    passages: dict[str, PassageRecord] = {}
    first_with_text: dict[tuple[str, str], str] = {}
    relevant_of: dict[str, dict[str, int]] = {image: {} for image in _images(captions)}
    asked: list[tuple[str, str, str, str, str]] = []  # image, query id, language, text, own candidate
    several = False
    for language, of_language in captions.items():
        for image, texts in of_language.items():
            of_image: dict[str, None] = {}
            for k, text in enumerate(map(normalise, texts)):
                if is_empty(text):
                    continue
                caption = f"{label}/{_caption_id(image, k)}"
                candidate = first_with_text.setdefault((language, text), f"{caption}@{language}")
                if finds_captions:
                    passages.setdefault(candidate, PassageRecord(candidate, language, text))
                    relevant_of[image][candidate] = 1
                if candidate not in of_image:
                    asked.append((image, caption, language, text, candidate))
                of_image[candidate] = None
            several |= len(of_image) > 1
    leave_out = finds_captions and (own_text == "left_out" or (own_text is None and several))
    if leave_out and not several and len(captions) == 1 and not finds_images:
        raise DataError(
            f"{name}: images have one caption each in {next(iter(captions))}, so nothing is relevant once a caption's "
            "own text is left out; read more languages, or set own_text: candidate"
        )
    own_image = {image: f"{label}/{image}@{IMAGE}" for image in images}
    if finds_images:
        for image, file in images.items():
            passages[own_image[image]] = PassageRecord(own_image[image], IMAGE, "", image=file)
            relevant_of[image][own_image[image]] = 1
    queries = [
        QueryRecord(caption, language, text, relevant_of[image], own=candidate if leave_out else "")
        for image, caption, language, text, candidate in asked
        if captions_ask
    ]
    queries += [
        QueryRecord(
            f"{label}/{image}", IMAGE, "", relevant_of[image], own=own_image[image] if finds_images else "", image=file
        )
        for image, file in images.items()
        if images_ask
    ]
    languages = tuple(captions) if search == "captions" else (*captions, IMAGE)
    return collection_from(name, languages, queries, list(passages.values()))


def _images(captions: Captions) -> dict[str, None]:
    return dict.fromkeys(image for images in captions.values() for image in images)


def _caption_id(image: str, k: int) -> str:
    # The first caption has the image's own id: data sets of the same images share it, and the leakage rule sees it.
    return image if k == 0 else f"{image}#{k + 1}"
