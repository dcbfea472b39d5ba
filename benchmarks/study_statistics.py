"""Do the statistics of a study keep their promises? Simulated studies with planted truths, counted.

    python benchmarks/study_statistics.py                   # 1,000 studies of each kind
    python benchmarks/study_statistics.py --studies 100

Values are seeds, mixes and queries as crossed random effects (tests/planted_panels/panels.py). Counted are: how often
95 % intervals of means and of differences hold the truth; how often a family of Holm-corrected tests without any true
difference rejects something; how often the flat region holds the truly best mix; how often the interval of the best mix
of the fitted surface holds the planted one. In brackets: two standard errors of the share.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

sys.path += [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]

from planted_panels.panels import alphas, lattice, planted

from retrieval.analysis.contrasts import Compared, compare_with, references_of
from retrieval.analysis.flat_region import flat_region
from retrieval.analysis.observations import Arm, Panel
from retrieval.analysis.optimum import mixture_model
from retrieval.analysis.spread import arm_means, joint_draws

SETTINGS: dict[str, dict[str, float]] = {
    "1 seed": {"seeds": 1, "seed": 0.0, "arm_seed": 0.0},
    "2 seeds, small spread": {"seeds": 2, "seed": 0.01, "arm_seed": 0.006},
    "2 seeds, large spread": {"seeds": 2, "seed": 0.03, "arm_seed": 0.02},
    "3 seeds, no spread": {"seeds": 3, "seed": 0.0, "arm_seed": 0.0},
    "3 seeds, small spread": {"seeds": 3, "seed": 0.01, "arm_seed": 0.006},
    "3 seeds, large spread": {"seeds": 3, "seed": 0.03, "arm_seed": 0.02},
    "5 seeds, large spread": {"seeds": 5, "seed": 0.03, "arm_seed": 0.02},
}


def panels(
    rng: np.random.Generator, arms: Sequence[Arm], truth_M: np.ndarray, studies: int, effects: dict[str, float]
) -> Iterator[Panel]:
    """Simulated studies."""
    for _ in range(studies):
        yield planted(rng, arms, truth_M, **effects)  # type: ignore[arg-type]


def share(name: str, hits: Sequence[float], wanted: str) -> dict[str, object]:
    """Print a share with two standard errors of it."""
    mean = float(np.mean(hits))
    error = 2 * float(np.std(hits)) / np.sqrt(len(hits))
    print(f"  {name:<48} {100 * mean:6.1f} % (± {100 * error:.1f})   {wanted}")
    return {"what": name, "share": mean, "two_standard_errors": error, "studies": len(hits)}


def intervals_and_tests(studies: int, setting: str, rng: np.random.Generator) -> list[dict[str, object]]:
    """Five mixes without any difference."""
    arms, truth = alphas(5), 0.3
    means, differences, families, regions = [], [], [], []
    for number, panel in enumerate(panels(rng, arms, np.full(5, truth), studies, SETTINGS[setting])):
        draw_MB = joint_draws(panel, 1000, number)
        means.append(np.mean([one.low <= truth <= one.high for one in arm_means(panel, draw_MB)]))
        family = compare_with(panel, {"X-X": 0, "X-Y": 4})
        differences.append(np.mean([one.result.low <= 0 <= one.result.high for one in family]))
        families.append(_rejects(family))
        regions.append(0 in flat_region(panel, draw_MB))
    print(setting)
    return [
        share("intervals of means", means, "95"),
        share("intervals of differences", differences, "95"),
        share("families that reject though nothing differs", families, "at most 5"),
        share("flat regions with the truly best", regions, "at least 95"),
    ]


def _rejects(family: Sequence[Compared]) -> bool:
    """Whether Holm's correction rejects anything: where its first step, Bonferroni's, does."""
    return min(one.result.p_value for one in family) * len(family) <= 0.05


def with_the_best(studies: int, setting: str, rng: np.random.Generator) -> list[dict[str, object]]:
    """No difference, and tests against whichever came out best as well: what the warning about them is about."""
    simulated = panels(rng, alphas(5), np.full(5, 0.3), studies, SETTINGS[setting])
    rejected = [_rejects(compare_with(panel, references_of(panel))) for panel in simulated]
    return [share("families with tests against the best, rejecting", rejected, "at most 5")]


def optimum(studies: int, setting: str, rng: np.random.Generator, kinds: int) -> list[dict[str, object]]:
    """Planted quadratic surfaces: is their top in the interval, and how far is the predicted one away?"""
    arms = alphas(11) if kinds == 2 else lattice(4)
    names = ("mono", "cross", "multi")[:kinds]
    share_MK = np.array([[arm.share(kind) for kind in names] for arm in arms])
    top = np.array([0.4375, 0.5625] if kinds == 2 else [0.35, 0.4, 0.25])
    truth_M = 0.4 - 0.5 * ((share_MK - top) ** 2).sum(axis=1)
    covered, away = [], []
    for number, panel in enumerate(panels(rng, arms, truth_M, studies, SETTINGS[setting])):
        found = mixture_model(panel, joint_draws(panel, 400, number))
        assert found is not None
        inside = [
            low <= one <= high
            for one, name in zip(top, names, strict=True)
            for low, high in [found.best_intervals[name]]
        ]
        covered.append(np.mean(inside))
        away.append(max(abs(found.best[name] - one) for one, name in zip(top, names, strict=True)))
    line = share(f"intervals of the best mix, {len(arms)} mixes of {kinds} kinds", covered, "95")
    ends = f"{np.median(away):6.3f} (median), {np.quantile(away, 0.95):.3f} (95 %)"
    print(f"  {'predicted best share, away from the planted':<48} {ends}")
    return [line | {"median_distance": float(np.median(away))}]


def main() -> None:
    parser = argparse.ArgumentParser(description="Count how often the statistics of a study hold on planted truths.")
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, found = np.random.default_rng(options.seed), {}
    for setting in SETTINGS:
        # With one seed each test is a randomisation test of 9,999 rounds.
        studies = options.studies // 5 if setting == "1 seed" else options.studies
        found[setting] = intervals_and_tests(studies, setting, rng)
        found[setting] += with_the_best(studies, setting, rng)
    for setting in ("3 seeds, small spread", "3 seeds, large spread"):
        print(setting)
        found[f"{setting}, surfaces"] = optimum(options.studies // 2, setting, rng, 2)
        found[f"{setting}, surfaces"] += optimum(options.studies // 10, setting, rng, 3)
    print(json.dumps({"studies": options.studies, "seed": options.seed, "found": found}))


if __name__ == "__main__":
    main()
