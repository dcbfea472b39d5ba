"""How sure the means of a panel's arms are, over other queries and other seeds.

The model. The value of arm m with seed s on unit i is

    v = mean of m + seed s + seed s in arm m + unit i + unit i in arm m + unit i with seed s (in arm m),

units and seeds drawn at random and crossed: the same seed gives all arms the same groups and initial weights, and all
are judged on the same units. Seeds are few, often three, so resampling them is hopeless (27 combinations, and a
variance too small by 1/3). Units are resampled, without any assumption about their distribution; seeds are drawn from
normal distributions with the estimated variances, which are doubtful themselves. What that doubt adds:

- The level, which all arms share: its draws, of units and of seeds together, are spread as Student's t with
  Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946). A t distribution for the seeds alone, added to the
  units, covers too often and is far wider with two seeds, whose single degree of freedom has no variance.
- Seeds in arms, which decide about differences: Student's t with the variance pooled over arms, (M - 1)(S - 1) degrees
  of freedom, as in any randomised block design (Searle, Casella and McCulloch, Variance Components, 1992). Pooling
  assumes that all arms vary about alike from seed to seed; `seed_deviation` of each arm shows whether they do.

What chance in the choice of units adds to the variance between seeds is subtracted, for resampling units brings it in
already; otherwise the interval would count it twice.
"""

from dataclasses import dataclass

import numpy as np

from retrieval.analysis.observations import Arm, Panel
from retrieval.measures.statistics import LEVEL, Design, bootstrap_means, percentile_intervals

RESAMPLES = 2000


@dataclass(frozen=True)
class Components:
    """Variances of a panel's seed effects on means over its units (analysis of variance estimates)."""

    seed: float
    """Of the mean over arms, from seed to seed; with what the choice of units adds."""
    seed_noise: float
    """The part of it that the choice of units adds."""
    arm_seed: float
    """Of an arm's mean beyond that: the interaction of arm and seed, pooled; with what the choice of units adds."""
    arm_seed_noise: float
    """The part of it that the choice of units adds."""
    seed_degrees: int
    arm_seed_degrees: int

    @property
    def seed_alone(self) -> float:
        """Without what the choice of units adds; at least 0."""
        return max(self.seed - self.seed_noise, 0.0)

    @property
    def arm_seed_alone(self) -> float:
        """Without what the choice of units adds; at least 0."""
        return max(self.arm_seed - self.arm_seed_noise, 0.0)


def components(panel: Panel) -> Components:
    """Estimate the variances of seed effects; 0 with one seed, which shows nothing of them."""
    num_arms, num_seeds, num_units = panel.values.shape
    degrees, unit_degrees = num_seeds - 1, max(num_units - 1, 1)
    if not degrees:
        return Components(0.0, 0.0, 0.0, 0.0, 0, 0)
    value_SI = panel.values.mean(axis=0)
    beyond_MSI = panel.values - value_SI
    beyond_MSI = beyond_MSI - beyond_MSI.mean(axis=1, keepdims=True)
    arm_degrees = (num_arms - 1) * degrees
    mean_MS = beyond_MSI.mean(axis=2)
    noise_MSI = beyond_MSI - mean_MS[:, :, None]
    apart_SI = value_SI - value_SI.mean(axis=0)
    mean_S = apart_SI.mean(axis=1)
    noise_SI = apart_SI - mean_S[:, None]
    return Components(
        seed=float(np.sum(mean_S**2) / degrees),
        seed_noise=float(np.sum(noise_SI**2) / (degrees * unit_degrees * num_units)),
        arm_seed=float(np.sum(mean_MS**2) / max(arm_degrees, 1)),
        arm_seed_noise=float(np.sum(noise_MSI**2) / (max(arm_degrees, 1) * unit_degrees * num_units)),
        seed_degrees=degrees,
        arm_seed_degrees=arm_degrees,
    )


def joint_draws(panel: Panel, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Means of all arms as they might have come out with other units and other seeds; (M, B) float64.

    Joint: a draw holds the same units, and the same seeds, for all arms, so whatever is computed of a column is paired.
    Panels with the same units draw the same units. Each row scatters around the arm's mean.
    """
    num_arms, num_seeds, num_units = panel.values.shape
    design = Design(np.zeros(num_units, np.int64), np.arange(num_units))
    draw_MB = bootstrap_means(panel.values.mean(axis=1).T, design, resamples, seed)
    found = components(panel)
    # A stream of its own: that of the units does not depend on how many arms there are.
    rng = np.random.default_rng([seed, 1])
    if found.seed_degrees:
        level_B, mean = draw_MB.mean(axis=0), float(panel.values.mean())
        over_units = float(panel.values.mean(axis=(0, 1)).var(ddof=1)) / num_units if num_units > 1 else 0.0
        degrees = _level_degrees(found, over_units, num_seeds, num_units)
        common_B = level_B - mean + np.sqrt(found.seed_alone / num_seeds) * rng.standard_normal(resamples)
        common_B *= np.sqrt(degrees / rng.chisquare(degrees, resamples))
        draw_MB = draw_MB - level_B + mean + common_B
    if found.arm_seed_degrees:
        scale_B = np.sqrt(found.arm_seed_degrees / rng.chisquare(found.arm_seed_degrees, resamples))
        apart_MB = rng.standard_normal((num_arms, resamples)) * scale_B
        # The mean over arms is part of the seeds' own variance.
        apart_MB -= apart_MB.mean(axis=0)
        draw_MB = draw_MB + np.sqrt(found.arm_seed_alone / num_seeds) * apart_MB
    return draw_MB


def _level_degrees(found: Components, over_units: float, num_seeds: int, num_units: int) -> float:
    """Satterthwaite's degrees of freedom of the mean over arms, over units and seeds."""
    variance = over_units + found.seed_alone / num_seeds
    uncertainty = (found.seed / num_seeds) ** 2 / found.seed_degrees
    uncertainty += over_units**2 / (num_units - 1) if num_units > 1 else 0.0
    return max(variance**2 / uncertainty, 1.0) if uncertainty else 1.0


@dataclass(frozen=True)
class ArmMean:
    """The mean of one arm."""

    arm: Arm
    mean: float
    low: float
    high: float
    """95 % interval over units and seeds; over units alone where there is one seed."""
    seed_deviation: float | None
    """Standard deviation of the means of its seeds; None with one seed."""
    by_seed: tuple[float, ...]


def arm_means(panel: Panel, draw_MB: np.ndarray, level: float = LEVEL) -> list[ArmMean]:
    """Mean of each arm over seeds and units, with the percentile interval of its draws."""
    mean_MS = panel.values.mean(axis=2)
    several = len(panel.seeds) > 1
    return [
        ArmMean(
            arm=arm,
            mean=float(mean_S.mean()),
            low=float(low),
            high=float(high),
            seed_deviation=float(mean_S.std(ddof=1)) if several else None,
            by_seed=tuple(mean_S.tolist()),
        )
        for arm, mean_S, (low, high) in zip(panel.arms, mean_MS, percentile_intervals(draw_MB, level), strict=True)
    ]
