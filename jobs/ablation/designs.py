"""Designs on the simplex of mixes: points whose shares are at least 0 and add up to exactly 1, as fractions.

A point of q kinds is a tuple of q fractions. The order of the points is part of each definition; designs that are drawn
are extensible: the first n points of a larger design are the smaller design.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

Point = tuple[Fraction, ...]


def simplex_lattice(num_kinds: int, parts: int) -> Iterator[Point]:
    """The {q, m} simplex-lattice: all points whose shares are multiples of 1/m; comb(m + q - 1, q - 1) of them.

    Scheffé, Experiments with mixtures, J. R. Statist. Soc. B 20 (1958). The first kind falls from 1 to 0.
    """
    for counts in _compositions(num_kinds, parts):
        yield tuple(Fraction(count, parts) for count in counts)


def _compositions(num_kinds: int, total: int) -> Iterator[tuple[int, ...]]:
    if num_kinds == 1:
        yield (total,)
        return
    for first in range(total, -1, -1):
        for rest in _compositions(num_kinds - 1, total - first):
            yield (first, *rest)


def grid(parts: int, least: Sequence[Fraction], most: Sequence[Fraction]) -> Iterator[Point]:
    """The points of the simplex-lattice that lie between a least and a most share of each kind, both included."""
    for point in simplex_lattice(len(least), parts):
        if all(low <= share <= high for low, share, high in zip(least, point, most, strict=True)):
            yield point


def corners(num_kinds: int) -> Iterator[Point]:
    """One kind alone, each in turn; q points."""
    return simplex_lattice(num_kinds, 1)


def centroid(num_kinds: int) -> Point:
    """Equal shares of all kinds."""
    return (Fraction(1, num_kinds),) * num_kinds


def simplex_centroid(num_kinds: int) -> Iterator[Point]:
    """Equal shares of every subset of the kinds, small subsets first; 2^q - 1 points.

    Scheffé, The simplex-centroid design for experiments with mixtures, J. R. Statist. Soc. B 25 (1963).
    """
    for size in range(1, num_kinds + 1):
        for chosen in combinations(range(num_kinds), size):
            yield tuple(Fraction(kind in chosen, size) for kind in range(num_kinds))


def dirichlet(num_kinds: int, number: int, concentration: float, seed: int, denominator: int) -> Iterator[Point]:
    """Draws from the symmetric Dirichlet distribution; concentration 1 is uniform, less prefers corners and edges."""
    import numpy as np

    rng = np.random.default_rng(seed)
    for share_K in rng.dirichlet([concentration] * num_kinds, size=number):
        yield rounded(share_K.tolist(), denominator)


def sobol(num_kinds: int, number: int, seed: int, denominator: int) -> Iterator[Point]:
    """A scrambled Sobol sequence carried over to the simplex: evener than independent draws.

    The cube of q - 1 dimensions is carried over by breaking a stick, so that equal volumes stay equal: of what is left,
    kind k of q takes 1 - (1 - u)^(1 / (q - k)), the inverse of its distribution given the kinds before it (Fang and
    Wang, Number-theoretic Methods in Statistics, 1994).
    """
    from scipy.stats import qmc

    # Whole powers of two, as the sequence is meant to be drawn; the first points do not depend on how many there are.
    sequence = qmc.Sobol(num_kinds - 1, scramble=True, rng=seed).random_base2(max(number - 1, 0).bit_length())
    for draw_K in sequence[:number]:
        yield rounded(broken_stick(draw_K), denominator)


def broken_stick(draw_K: "np.ndarray") -> list[float]:
    """A point of the cube of q - 1 dimensions as a point of the simplex of q kinds."""
    left, shares = 1.0, []
    for place, draw in enumerate(draw_K):
        share = left * (1.0 - (1.0 - float(draw)) ** (1.0 / (len(draw_K) - place)))
        shares.append(share)
        left -= share
    return [*shares, max(left, 0.0)]


def rounded(shares: Sequence[float], denominator: int) -> Point:
    """The nearest point with this denominator, by largest remainders: each share moves by less than 1 / denominator.

    Unlike `trainer.mixing.ratios.exact_shares` a share may become 0: a corner is a mix like any other.
    """
    total = sum(shares)
    ideal = [share / total * denominator for share in shares]
    parts = [int(value) for value in ideal]
    by_remainder = sorted(range(len(parts)), key=lambda kind: parts[kind] - ideal[kind])
    for kind in by_remainder[: denominator - sum(parts)]:
        parts[kind] += 1
    return tuple(Fraction(part, denominator) for part in parts)
