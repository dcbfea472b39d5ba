"""Atlas: questions and passages about territories in eleven languages, made from CLDR facts; nothing to download."""

import hashlib
from collections.abc import Iterator
from typing import Literal

from pydantic import Field, field_validator

from cluster.config import Config
from retrieval.datasets.atlas.facts import LANGUAGES
from retrieval.languages import Languages
from retrieval.records import Collection, Group, collection_from_groups


class AtlasConfig(Config):
    """Which part of the atlas; it needs no files."""

    dataset: Literal["atlas"] = "atlas"

    languages: Languages = LANGUAGES
    """Language codes to take; each group has all of them."""

    split: Literal["train", "validation", "test"] = "train"
    """70, 10 and 20 % of the territories; no territory is in two of them."""

    limit: int | None = Field(default=None, ge=1)
    """Take only this many groups: always the same ones, and all of those that a smaller limit takes."""

    @field_validator("languages")
    @classmethod
    def _known(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [language for language in languages if language not in LANGUAGES]
        if unknown:
            raise ValueError(f"the atlas has no language '{unknown[0]}'; it has {', '.join(LANGUAGES)}")
        return languages


def read_groups(config: AtlasConfig) -> Iterator[Group]:
    """The split's groups, by territory, relation and variant; composed once per process (seconds)."""
    from retrieval.datasets.atlas.compose import compose_groups

    groups = compose_groups(config.split)
    if config.limit is not None:
        taken = {group.id for group in sorted(groups, key=_rank)[: config.limit]}
        groups = tuple(group for group in groups if group.id in taken)
    for group in groups:
        pairs = {language: group.pairs[language] for language in config.languages}
        yield Group(group.id, pairs, group.passage_id)


def read_collection(config: AtlasConfig) -> Collection:
    """What an evaluation on the split searches: all its passages in all its languages."""
    return collection_from_groups("atlas", list(read_groups(config)), config.languages)


def _rank(group: Group) -> str:
    return hashlib.sha256(f"limit {group.id}".encode()).hexdigest()
