"""More machines, more workers: Ray Train ends the group that trains and starts a larger one.

It does so without a word to the workers, so that all steps since the newest checkpoint would be trained again. Here
they are told first, and the group ends when its checkpoint stands.
"""

from typing import Any

from ray.train.v2._internal.execution.callback import ControllerCallback, WorkerGroupCallback
from ray.train.v2._internal.execution.controller.state import ResizingState

from cluster.logs import get_logger
from trainer.notices import RESIZE

_PATIENCE_SECONDS = 300.0
"""For a step and a checkpoint. What is not saved by then is trained again."""
_logger = get_logger("resizing")


class ResizeWarning(ControllerCallback, WorkerGroupCallback):
    """Part of Ray Train's controller: has a group that is well saved before it makes way for one of another size."""

    def __init__(self) -> None:
        self._group: Any = None

    def after_worker_group_training_start(self, worker_group: Any) -> None:
        """Know the group."""
        self._group = worker_group

    def before_worker_group_shutdown(self, worker_group: Any) -> None:
        """Forget it."""
        self._group = None

    def after_controller_state_update(self, previous_state: Any, current_state: Any) -> None:
        """Where a resize was decided: tell the workers, and wait for the one that saves."""
        if not isinstance(current_state, ResizingState) or self._group is None:
            return
        try:
            # To all: a worker takes it in between two steps, and they agree there.
            self._group.execute(give_notice)
            heeded = self._group.execute_single(0, wait_until_heeded, _PATIENCE_SECONDS)
        except Exception as error:  # a worker is lost just now; its group ends anyhow
            _logger.warning("workers could not be told of their new number: %r", error)
        else:
            if not heeded:
                _logger.warning("no checkpoint within %.0f s; steps will be trained again", _PATIENCE_SECONDS)


def give_notice() -> None:
    """Tell the training in this worker."""
    RESIZE.give()


def wait_until_heeded(seconds: float) -> bool:
    """Wait for the training in this worker."""
    return RESIZE.wait_until_heeded(seconds)
