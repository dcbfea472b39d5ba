"""Panels with planted truths: seeds and units are crossed random effects, as in a study with common random numbers."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import product

import numpy as np

from retrieval.analysis.observations import Arm, Panel


def alphas(number: int = 11) -> tuple[Arm, ...]:
    """Mixes from mono alone to cross alone."""
    shares = [Fraction(n, number - 1) for n in range(number - 1, -1, -1)]
    return tuple(arm(mono=share, cross=1 - share) for share in shares)


def lattice(parts: int) -> tuple[Arm, ...]:
    """The simplex-lattice of three kinds."""
    counts = [c for c in product(range(parts + 1), repeat=3) if sum(c) == parts]
    return tuple(
        arm(**{k: Fraction(n, parts) for k, n in zip(("mono", "cross", "multi"), c, strict=True)}) for c in counts
    )


def arm(**shares: Fraction) -> Arm:
    return Arm(tuple((kind, share) for kind, share in shares.items() if share))


def planted(
    rng: np.random.Generator,
    arms: Sequence[Arm],
    truth_M: np.ndarray,
    seeds: int = 3,
    units: int = 120,
    seed: float = 0.01,
    arm_seed: float = 0.006,
    unit: float = 0.25,
    arm_unit: float = 0.08,
    noise: float = 0.12,
    measure: str = "mAP",
) -> Panel:
    """Values with these true means and these standard deviations of the effects."""
    shape = (len(arms), seeds, units)
    values = (
        np.asarray(truth_M)[:, None, None]
        + rng.normal(0, seed, (1, seeds, 1))
        + rng.normal(0, arm_seed, (len(arms), seeds, 1))
        + rng.normal(0, unit, (1, 1, units))
        + rng.normal(0, arm_unit, (len(arms), 1, units))
        + rng.normal(0, noise, shape)
    )
    names = tuple(tuple(f"{m}-{s}" for s in range(seeds)) for m in range(len(arms)))
    return Panel(
        "multi", measure, tuple(arms), tuple(range(seeds)), tuple(f"q{n:04}" for n in range(units)), values, names
    )
