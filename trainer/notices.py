"""The end of a group of workers, announced: a machine is called back, or there are machines for more workers.

What follows begins at the newest checkpoint, so one is written as soon as a notice is there, between two steps.
"""

import threading
import time

from trainer.loss.gather import largest_over_ranks
from trainer.ranks import default_device

_EVERY_SECONDS = 1.0


class ResizeNotice:
    """Word from Ray Train's controller that this process's group makes way for one of another size.

    The controller calls `give` and `wait_until_heeded` in the worker's process, beside the thread that trains.
    """

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._listened_to = self._given = False

    def give(self) -> None:
        """Give notice to the training that runs in this process, if one does."""
        with self._change:
            self._given = self._listened_to

    def wait_until_heeded(self, seconds: float) -> bool:
        """Wait until that training has saved all that it has done; False where that takes longer than so many seconds.

        True at once where none runs.
        """
        with self._change:
            return self._change.wait_for(lambda: not self._given, seconds)

    def is_given(self) -> bool:
        """Whether a notice is there that was not heeded yet."""
        with self._change:
            return self._given

    def heed(self, goes_on: bool) -> None:
        """All is saved; of a training that does not go on, nothing more will be."""
        with self._change:
            self._given, self._listened_to = False, goes_on
            self._change.notify_all()

    def listen(self) -> None:
        """A training begins."""
        with self._change:
            self._listened_to = True


RESIZE = ResizeNotice()
"""Of this process."""


class Notices:
    """What a training is told between its steps; made on every rank.

    Machines to be taken away, drained or called back by the cloud, are announced by whoever runs the cluster
    (`ray drain-node`; KubeRay and cloud providers through it), with a deadline.
    """

    def __init__(self) -> None:
        self._leaving: set[str] = set()
        self._asked = time.monotonic()
        RESIZE.listen()

    def news(self) -> str | None:
        """A notice that was not there before, in words; None where there is none. Collective, the same on all ranks."""
        # Asking after machines is a round trip through an actor: once a second, by the clock that is fastest.
        due = time.monotonic() - self._asked >= _EVERY_SECONDS
        told = largest_over_ranks(2 if RESIZE.is_given() else int(due), default_device())
        if told == 2:
            return "training goes on with another number of workers"
        return self._machines_leaving() if told else None

    def heed(self) -> None:
        """All done so far is saved, and training goes on."""
        RESIZE.heed(goes_on=True)

    def close(self) -> None:
        """This training ends."""
        RESIZE.heed(goes_on=False)

    def _machines_leaving(self) -> str | None:
        import ray.train

        self._asked = time.monotonic()
        found = ray.train.get_preemption_info()
        new = set(found.preempted_node_ids) - self._leaving if found else set()
        self._leaving |= new
        return "a machine of this training is about to go" if new else None
