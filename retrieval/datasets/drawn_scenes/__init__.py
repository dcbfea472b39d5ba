"""Drawn scenes: pictures of coloured shapes and their captions in six languages, made here; nothing to download.

Facts (how many of which shape in which colour, where) make both the picture and the captions, so every caption is
right, and combinations of facts are in one split only.
"""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, field_validator

from cluster.config import Config
from retrieval.datasets.drawn_scenes.facts import Split, scenes
from retrieval.datasets.drawn_scenes.words import LANGUAGES, captions
from retrieval.images import Search
from retrieval.languages import Languages
from retrieval.records import Collection, Group, Pair, collection_from_groups

NAME = "drawn_scenes"


class DrawnScenesConfig(Config):
    """Which scenes; it needs no files."""

    dataset: Literal["drawn_scenes"] = "drawn_scenes"

    languages: Languages = LANGUAGES
    """Language codes to take; each group has all of them."""

    split: Split = "train"
    """70, 10 and 20 % of what there is to see; no scene is in two of them."""

    limit: int | None = Field(default=None, ge=1)
    """Take only this many scenes, always the same ones. Not given: 4,000, 200 and 500."""

    images: bool = True
    """Draw them. Without, groups have captions alone."""

    search: Search = "captions"
    """What an evaluation searches with and for: `captions`, `text_to_image`, `image_to_text` or `everything`."""

    @field_validator("languages")
    @classmethod
    def _known(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [language for language in languages if language not in LANGUAGES]
        if unknown:
            raise ValueError(f"drawn_scenes has no language '{unknown[0]}'; it has {', '.join(LANGUAGES)}")
        return languages


def read_groups(config: DrawnScenesConfig) -> Iterator[Group]:
    """The split's groups: in each language one caption as the query, the other as the passage, and the picture."""
    from retrieval.datasets.drawn_scenes.draw import draw

    for scene in scenes(config.split, config.limit):
        pairs = {language: Pair(*captions(scene, language)) for language in config.languages}
        yield Group(f"{NAME}/{scene.id}", pairs, image=draw(scene) if config.images else None)


def read_collection(config: DrawnScenesConfig) -> Collection:
    """What an evaluation on the split searches, as `search` says."""
    return collection_from_groups(NAME, list(read_groups(config)), config.languages, config.search)
