"""What can be set of mining; light to import."""

from typing import Literal

from pydantic import Field

from cluster.config import Config


class MiningConfig(Config):
    """How hard negatives are found."""

    depth: int = Field(default=50, ge=1, le=10_000)
    """Best passages of each language that are looked at for each query."""
    per_language: int = Field(default=4, ge=1)
    """Negatives kept per group in each language, so that no language is short of them."""
    ceiling: float = Field(default=0.95, gt=0, le=1)
    """A passage that scores above this share of the true passage's score (in the same language) is taken for an answer
    that nobody marked, and left out (TopK-PercPos of NV-Retriever, arXiv 2407.15831)."""
    queries: Literal["own", "all"] = "all"
    """Whose ranking counts for a language: the group's query in that language, or its queries in all languages."""
