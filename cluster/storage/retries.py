"""Trying again: full jitter between attempts, a limit on their number, and a deadline for all of them together."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cluster.errors import WorkError
from cluster.logs import get_logger

Result = TypeVar("Result")
_logger = get_logger("storage")


@dataclass(frozen=True)
class Retries:
    """Waits before attempt n + 1 between 0 and min(longest, first * 2^(n-1)) seconds, uniformly ("full jitter":
    Brooker, Exponential Backoff And Jitter, AWS Architecture Blog 2015), so that many clients do not come back at once.
    """

    deadline_seconds: float = 120.0
    """From the first attempt; no attempt begins after it."""
    attempts: int = 12
    first_seconds: float = 0.1
    longest_seconds: float = 15.0

    def call(self, attempt: Callable[[], Result], transient: Callable[[Exception], str | None], what: str) -> Result:
        """What `attempt` returns, in the end.

        Args:
            attempt: called without arguments; must be safe to repeat.
            transient: the reason in words where an error may pass, None where it will not (it is raised as it is).
            what: the request, for messages.

        Raises:
            WorkError: every attempt failed with an error that might have passed.
        """
        started = time.monotonic()
        for number in range(1, self.attempts + 1):
            try:
                return attempt()
            except Exception as error:
                reason = transient(error)
                if reason is None:
                    raise
                cause = error
            pause = random.uniform(0, min(self.longest_seconds, self.first_seconds * 2 ** (number - 1)))
            passed = time.monotonic() - started
            if number == self.attempts or passed + pause > self.deadline_seconds:
                raise WorkError(
                    f"{what}: failed {number} time(s) in {passed:.0f} s, last with: {reason}; "
                    "is the store up? (storage.deadline_seconds says how long to try)"
                ) from cause
            _logger.debug("%s: %s; attempt %d follows in %.2f s", what, reason, number + 1, pause)
            time.sleep(pause)
        raise AssertionError("the loop returns or raises")
