"""The configuration of the mix, and what the plan knows of a source."""

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cluster.config import Config, Share
from retrieval.images import IMAGE
from trainer.mixing.ratios import Kind, Knot, Mix

if TYPE_CHECKING:
    from retrieval.groups import GroupSource


class CodeSwitchingConfig(Config):
    """How texts of code-switched batches are switched, see docs/decisions/code-switched-batches.md."""

    share: float = Field(default=0.5, gt=0, le=1)
    """Of a text's words that have a translation, so many are replaced, each into a language drawn for it."""
    texts: Literal["both", "queries"] = "both"
    """`both`: queries and passages, by draws of their own. `queries`: passages stay in their language."""


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
    code_switching: CodeSwitchingConfig = CodeSwitchingConfig()
    # Left out where it is 0: mixes without images keep the fingerprints they had before there were any.
    image_share: Share = Field(default=Fraction(0), ge=0, le=1, exclude_if=lambda share: share == 0)
    """Share of the batches of each kind, from each source with images, in which an image takes the place of a caption,
    by turns that of a passage and that of the query; exactly so at every step. Code-switched batches have none."""

    def uses(self, kind: Kind) -> bool:
        """Whether the mix has batches of a kind at any time."""
        return any(knot.shares[kind] for knot in self.mix)


@dataclass(frozen=True)
class SourceShape:
    """What the plan knows of a source."""

    name: str
    languages: tuple[str, ...]
    num_groups: int
    row_group_rows: int
    switchable: tuple[str, ...] | None = None
    """Languages with a dictionary to switch by, as far as this source has them; None = all of its languages."""
    has_images: bool = False
    """Whether its groups have images."""

    @classmethod
    def of(cls, source: "GroupSource", switchable: tuple[str, ...] | None = None) -> "SourceShape":
        """The shape of prepared groups of one coverage."""
        facts = (source.name, source.languages, source.num_groups, source.row_group_rows)
        return cls(*facts, switchable, source.has_images)

    @property
    def contents(self) -> tuple[str, ...]:
        """What the language numbers of its slots mean: its languages, and `IMAGE` after them."""
        return (*self.languages, IMAGE) if self.has_images else self.languages

    @property
    def switchable_numbers(self) -> tuple[int, ...]:
        """Those languages as indices into `languages`."""
        known = self.languages if self.switchable is None else self.switchable
        return tuple(number for number, language in enumerate(self.languages) if language in known)
