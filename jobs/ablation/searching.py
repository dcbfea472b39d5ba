"""Mixes that Optuna suggests, from how those before them did on the validation data."""

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from ray.tune.search import ConcurrencyLimiter, Searcher

from cluster.logs import get_logger
from jobs.ablation.designs import Point, broken_stick, rounded, simplex_lattice
from jobs.ablation.found import search_identity, write_found
from jobs.ablation.settings import SearchConfig, mode_of
from jobs.ablation.study import Trial, trials_of
from jobs.ablation.tuning import TRIAL, figures, run_trials, stopping_scheduler
from trainer.mixing.ratios import Knot, Mix

if TYPE_CHECKING:
    from jobs.ablation.session import Session

_logger = get_logger("study")


class MixSearch(Searcher):
    """Points of the unit cube that Optuna suggests -> mixes, none of them twice.

    Suggestions come in batches, and Optuna is told of a whole batch at once. So what it suggests does not depend on
    which trial is done first, and a study that is started again gets the same suggestions.
    """

    def __init__(self, session: "Session", config: SearchConfig) -> None:
        import optuna
        from optuna.distributions import FloatDistribution
        from optuna.samplers import TPESampler
        from ray.tune.search.optuna import OptunaSearch

        several = len(config.objectives) > 1
        metric: Any = list(config.objectives) if several else config.objectives[0]
        mode: Any = list(map(mode_of, config.objectives)) if several else mode_of(config.objectives[0])
        super().__init__(metric=metric, mode=mode)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        names = [f"draw {number}" for number in range(len(config.kinds) - 1)]
        # Optuna's own ten random draws before it learns would be most of a small search.
        startup = min(10, max(config.batch, config.suggestions // 3))
        self._optuna = OptunaSearch(
            space={name: FloatDistribution(0, 1) for name in names},
            metric=metric,
            mode=mode,
            sampler=TPESampler(seed=config.seed, n_startup_trials=startup),
        )
        self._names, self._session, self._config = names, session, config
        self.suggested: list[Trial] = []

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """A trial of the nearest mix that was not suggested yet."""
        draws = self._optuna.suggest(trial_id)
        if not isinstance(draws, dict):
            return draws
        point = rounded(broken_stick(np.array([draws[name] for name in self._names])), self._config.denominator)
        mix = mix_of(self._config.kinds, self._nearest_new(point))
        (trial,) = trials_of(self._session.study, [mix], self._session.study.seeds[:1])
        self.suggested.append(trial)
        _logger.info("suggestion %d of %d: %s", len(self.suggested), self._config.suggestions, trial.label)
        return {TRIAL: self._session.give(trial)}

    def _nearest_new(self, point: Point) -> Point:
        taken = {trial.mix for trial in self.suggested}

        def distance(other: Point) -> Fraction:
            return sum((abs(a - b) for a, b in zip(point, other, strict=True)), Fraction(0))

        there = simplex_lattice(len(self._config.kinds), self._config.denominator)
        return min((p for p in there if mix_of(self._config.kinds, p) not in taken), key=distance)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Optuna prunes nothing here; the scheduler may."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell Optuna."""
        self._optuna.on_trial_complete(trial_id, result, error)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: started again, the search is gone through again, with what the ledger knows."""

    def restore(self, checkpoint_path: str) -> None:
        """See `save`."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


def mix_of(kinds: Sequence[str], point: Point) -> Mix:
    """The mix with these shares."""
    return (Knot.model_validate(dict(zip(kinds, point, strict=True))),)


def run_search(session: "Session", config: SearchConfig) -> list[Trial]:
    """Try the suggestions with the first seed, the best of them with the others too; all trials."""
    search = MixSearch(session, config)
    scheduler = stopping_scheduler(session.stopping, session.study.run.training.steps)
    limited = ConcurrencyLimiter(search, max_concurrent=config.batch, batch=True)
    run_trials(session, "search", scheduler, search=limited, samples=config.suggestions)
    found, seeds = search.suggested, session.study.seeds[1:]
    if seeds and config.confirm and not session.breaking_off:
        best = [trial.mix for trial in best_first(session, config, found)[: config.confirm]]
        found = [*found, *session.do(trials_of(session.study, best, seeds), "confirm")]
    if not session.failed:
        write_found(session.store, search_identity(session.study), found)
    return found


def best_first(session: "Session", config: SearchConfig, trials: Sequence[Trial]) -> list[Trial]:
    """The finished trials: those no other beats in all objectives, then those only they beat, and so on."""
    from retrieval.analysis.pareto import pareto_front

    entries = [entry for trial in trials if (entry := session.ledger.entry(trial)) and entry.status == "finished"]
    left = [(entry.trial, figures(entry.validations[-1][1])) for entry in entries]
    higher = [mode_of(objective) == "max" for objective in config.objectives]
    found: list[Trial] = []
    while left:
        value_MO = np.array([[values[objective] for objective in config.objectives] for _, values in left])
        front = pareto_front(value_MO, higher)
        # Among equals, the best in the first objective first.
        sign = -1 if higher[0] else 1
        found += [left[n][0] for n in sorted(np.flatnonzero(front), key=lambda n: sign * value_MO[n, 0])]
        left = [one for one, first in zip(left, front, strict=True) if not first]
    return found
