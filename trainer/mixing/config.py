"""The configuration of the mix, and what the plan knows of a source."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from pydantic import Field

from cluster.config import Config
from trainer.mixing.ratios import Knot, Mix


class MixingConfig(Config):
    """How global batches are made of prepared groups."""

    mix: Mix = (Knot(mono=Fraction(1, 2), cross=Fraction(1, 2)),)
    """Shares of the kinds of batches: `{mono: 0.5, cross: 0.5}`, or a list of them with `step:`, linear in between."""
    batch: int = Field(default=96, ge=2)
    """Queries (groups) of one global batch, over all workers."""
    positives: int = Field(default=2, ge=1)
    """Parallel passages per query in multilingual batches, the query's own language allowed."""
    sampling: Literal["exact", "random"] = "exact"
    """`exact`: every prefix of the steps holds each kind within 1 of its share. `random`: independent draws."""
    granularity: Literal["batch", "slot"] = "batch"
    """`batch`: a whole global batch is of one kind. `slot`: every batch holds all kinds in their shares."""
    size_exponent: float = Field(default=1.0, ge=0, le=1)
    """Sources are drawn by size ** size_exponent (tau): 1 = by size, 0 = all alike."""
    window_rows: int = Field(default=16384, ge=1)
    """Groups that are shuffled with each other; larger mixes wider, smaller reads less (see rows.py)."""


@dataclass(frozen=True)
class SourceShape:
    """What the plan knows of a source."""

    name: str
    languages: tuple[str, ...]
    num_groups: int
    row_group_rows: int
