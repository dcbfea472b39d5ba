"""A training that goes on from another's checkpoint, where both plans are the same up to there."""

import time
from dataclasses import replace

import numpy as np

from cluster.errors import ConfigError, WorkError
from cluster.storage import result_set_exists
from jobs.ablation.study import Trial
from jobs.ablation.work import ARM
from jobs.stages import Shared, Stages

_POLL_SECONDS, _LONGEST_SECONDS = 0.2, 300.0


def adopt_checkpoint(child: Trial, parent: Trial, step: int, root: str, shared: Shared) -> None:
    """Put the parent's checkpoint of a step where the child looks for its own, unless it has got there already.

    Raises:
        ConfigError: the child's plan is another one before that step.
        WorkError: there is no such checkpoint.
    """
    from trainer.checkpoint import checkpoint_name, read_checkpoint, write_checkpoint
    from trainer.worker import next_step

    stages, parents = Stages(child.config, root, shared), Stages(parent.config, root, shared)
    if result_set_exists(stages.store, stages.trained_name(ARM)):
        return
    spec, of_parent = stages.train_spec(ARM), parents.train_spec(ARM)
    for number in range(step):
        ours, theirs = (one.feed.plan.timeline.moment(number) for one in (spec, of_parent))
        if (ours.source, ours.batch_number) != (theirs.source, theirs.batch_number) or not np.array_equal(
            ours.slots, theirs.slots
        ):
            raise ConfigError(
                f"scheduler: a mix that changes at step {step} would have had another batch at step {number}; a "
                "population needs data in two languages or more in all sources, and an interval that is a multiple of "
                "the shares' denominators"
            )
    if next_step(spec) >= step:
        return
    # The parent's workers write it while they wait for us.
    ends = time.monotonic() + _LONGEST_SECONDS
    while not result_set_exists(stages.store, checkpoint_name(of_parent.prefix, step)):
        if time.monotonic() > ends:
            raise WorkError(f"{of_parent.prefix}: no checkpoint of step {step} to go on from")
        time.sleep(_POLL_SECONDS)
    checkpoint = read_checkpoint(stages.store, of_parent.prefix, step)
    write_checkpoint(stages.store, spec.prefix, replace(checkpoint, fingerprint=spec.fingerprint))
