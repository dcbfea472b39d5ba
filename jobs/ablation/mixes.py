"""Sets of mixes as a study names them: `{design: lattice, kinds: [mono, cross, multi], parts: 4}`."""

from collections.abc import Iterable
from fractions import Fraction
from math import comb
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from cluster.config import Config, Share
from jobs.ablation import designs
from jobs.ablation.designs import Point
from trainer.mixing.ratios import MAX_DENOMINATOR, Kind, Knot, Mix

MOST_MIXES = 10_000


def _two_or_more(kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
    if len(kinds) < 2 or len(set(kinds)) < len(kinds):
        raise ValueError(f"needs two kinds or more, each once; found {', '.join(kinds) or 'none'}")
    return kinds


MixedKinds = Annotated[tuple[Kind, ...], AfterValidator(_two_or_more)]
"""Kinds of batches to mix."""


class _Design(Config):
    """A set of mixes of chosen kinds."""

    kinds: MixedKinds = ("mono", "cross", "multi")
    """Kinds of batches that are mixed; the others have no share."""

    def _mixes(self, points: Iterable[Point]) -> list[Mix]:
        return [(Knot.model_validate(dict(zip(self.kinds, point, strict=True))),) for point in points]


class GridMixes(_Design):
    """Steps of equal size through a region of the simplex, such as alpha from 0 to 1."""

    design: Literal["grid"]
    step: Share = Fraction(1, 10)
    """Between neighbouring shares; 1 / step must be a whole number."""
    least: dict[Kind, Share] = Field(default={})
    """Smallest share of a kind; 0 where not given."""
    most: dict[Kind, Share] = Field(default={})
    """Largest share of a kind; 1 where not given."""

    @model_validator(mode="after")
    def _some_points(self) -> Self:
        if not 0 < self.step <= 1 or self.step.numerator != 1:
            raise ValueError(f"step must be 1 over a whole number, such as 0.1 or 1/8; found {self.step}")
        strange = sorted((self.least.keys() | self.most.keys()) - set(self.kinds))
        if strange:
            raise ValueError(f"least and most: {strange[0]} is none of the kinds {', '.join(self.kinds)}")
        _refuse_too_many(len(self.kinds), self.step.denominator, "step")
        if not self.members():
            raise ValueError("no mix has shares between least and most; widen them or take a smaller step")
        return self

    def members(self) -> list[Mix]:
        """The mixes, in order."""
        least = [self.least.get(kind, Fraction(0)) for kind in self.kinds]
        most = [self.most.get(kind, Fraction(1)) for kind in self.kinds]
        return self._mixes(designs.grid(self.step.denominator, least, most))


class LatticeMixes(_Design):
    """The simplex-lattice {q, m}: all mixes of the q kinds whose shares are multiples of 1/m."""

    design: Literal["lattice"]
    parts: int = Field(default=4, ge=1, le=MAX_DENOMINATOR)
    """m."""

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        _refuse_too_many(len(self.kinds), self.parts, "parts")
        return self

    def members(self) -> list[Mix]:
        """The mixes, in order."""
        return self._mixes(designs.simplex_lattice(len(self.kinds), self.parts))


class CornerMixes(_Design):
    """Each kind alone, and all in equal shares."""

    design: Literal["corners"]
    centroid: bool = True
    """With the mix of equal shares."""

    def members(self) -> list[Mix]:
        """The mixes, in order."""
        number = len(self.kinds)
        return self._mixes([*designs.corners(number), *([designs.centroid(number)] if self.centroid else [])])


class CentroidMixes(_Design):
    """The simplex-centroid design: equal shares of every subset of the kinds."""

    design: Literal["simplex_centroid"]

    def members(self) -> list[Mix]:
        """The mixes, in order."""
        return self._mixes(designs.simplex_centroid(len(self.kinds)))


class _DrawnMixes(_Design):
    number: int = Field(ge=1, le=MOST_MIXES)
    """How many are drawn; more later keep those there are. Those that round to the same mix count once."""
    denominator: int = Field(default=100, ge=1, le=MAX_DENOMINATOR)
    """Shares are rounded to multiples of 1 / denominator."""
    seed: int = Field(default=0, ge=0)
    """Of the draws."""


class DirichletMixes(_DrawnMixes):
    """Independent draws from a symmetric Dirichlet distribution."""

    design: Literal["dirichlet"]
    concentration: float = Field(default=1.0, ge=0.01)
    """1 = uniform on the simplex; below, near corners and edges; above, near equal shares."""

    def members(self) -> list[Mix]:
        """The mixes, in order."""
        number = len(self.kinds)
        return self._mixes(designs.dirichlet(number, self.number, self.concentration, self.seed, self.denominator))


class SobolMixes(_DrawnMixes):
    """A scrambled Sobol sequence on the simplex: evener than independent draws."""

    design: Literal["sobol"]

    def members(self) -> list[Mix]:
        """The mixes, in order."""
        return self._mixes(designs.sobol(len(self.kinds), self.number, self.seed, self.denominator))


class ListedMixes(Config):
    """Mixes written out; the only ones that may change over training."""

    design: Literal["list"]
    mixes: tuple[Mix, ...] = Field(min_length=1)
    """`[{mono: 1}, {mono: 0.5, cross: 0.5}, [{step: 0, mono: 1}, {step: 500, cross: 1}]]`."""

    def members(self) -> list[Mix]:
        """The mixes, in order."""
        return [*self.mixes]


MixSet = Annotated[
    GridMixes | LatticeMixes | CornerMixes | CentroidMixes | DirichletMixes | SobolMixes | ListedMixes,
    Field(discriminator="design"),
]


def _refuse_too_many(num_kinds: int, parts: int, field: str) -> None:
    number = comb(parts + num_kinds - 1, num_kinds - 1)
    if number > MOST_MIXES:
        raise ValueError(f"{field}: that makes {number:,} mixes of {num_kinds} kinds, more than {MOST_MIXES:,}")
