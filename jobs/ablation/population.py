"""Population based training of the mix: at each exchange the worst members go on from the best, with another mix.

What comes of a member is one mix that changes over training. Its plan gives the same batches as its parent's up to the
exchange (docs/decisions/population-of-mixes.md), so its checkpoint is that of a run with this mix from the start.
"""

import random
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import PopulationBasedTraining

from cluster.logs import get_logger
from jobs.ablation.found import population_identity, populations, read_found, write_found
from jobs.ablation.settings import PopulationConfig, mode_of
from jobs.ablation.study import Trial, with_mix
from jobs.ablation.tuning import STEPS, TRIAL, run_trials
from trainer.mixing.ratios import Kind, Knot, Mix

if TYPE_CHECKING:
    from jobs.ablation.session import Session

_logger = get_logger("study")


class MixPopulation(PopulationBasedTraining):
    """Tune's scheduler in its synchronous form, in which nothing depends on who is done first."""

    def __init__(self, session: "Session", config: PopulationConfig, members: Sequence[Trial]) -> None:
        super().__init__(
            time_attr=STEPS,
            metric=config.measure,
            mode=mode_of(config.measure),
            perturbation_interval=config.interval,
            quantile_fraction=config.quantile,
            custom_explore_fn=self._explored,
            log_config=False,
            synch=True,
        )
        self._session, self._config = session, config
        self._kinds = [kind for kind in members[0].shares if any(member.shares[kind] for member in members)]
        self._step = 0

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """As Tune does it, with draws that depend on the seed and the step alone."""
        self._step = result[STEPS]
        random.seed(f"population {self._config.seed} {self._step}")
        return super().on_trial_result(tune_controller, trial, result)

    def _explored(self, config: dict[str, Any]) -> dict[str, Any]:
        """The parent's configuration -> the child's."""
        parent = self._session.trials[config[TRIAL]]
        mix = shifted(parent.mix, self._step, self._config.shift, self._kinds, random)
        child = with_mix(parent, mix)
        self._session.adopt(child, parent, self._step)
        _logger.info("step %d: %s goes on as %s", self._step, parent.label, child.label)
        return config | {TRIAL: child.name}


def shifted(mix: Mix, step: int, shift: Fraction, kinds: Sequence[Kind], draw: Any) -> Mix:
    """The mix that, from a step on, has so much more of one kind and less of another."""
    shares = mix[-1].shares
    giving = draw.choice([kind for kind in kinds if shares[kind]])
    taking = draw.choice([kind for kind in kinds if kind != giving])
    moved = min(shift, shares[giving])
    after = shares | {giving: shares[giving] - moved, taking: shares[taking] + moved}
    # Shares are linear between knots: the step before still has the old ones.
    return (*mix, Knot(step=step - 1, **shares), Knot(step=step, **after))


def run_population(session: "Session", config: PopulationConfig, planned: Sequence[Trial]) -> list[Trial]:
    """Train a population for each seed and each combination of the axes; the members there are at the end."""
    done: list[Trial] = []
    for number, members in enumerate(populations(planned)):
        identity = population_identity(config, members)
        last = read_found(session.store, identity, session.study)
        if last is None:
            names = [session.give(trial) for trial in members]
            scheduler = MixPopulation(session, config, members)
            there = run_trials(session, f"population-{number}", scheduler, names=names)
            if session.failed:
                break
            last = [session.trials[name] for name in there]
            write_found(session.store, identity, last)
        done += last
    return done
