"""The log of a job, as it is written, until the job ends."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cluster.errors import MixlingualError, WorkError
from cluster.logs import get_logger, mask_secrets
from jobs.submission.cluster import Jobs

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

_POLL_SECONDS = 1.0
_LOST_SECONDS = 120.0
_logger = get_logger("submit")


class _Log:
    """How far a job's log was written here; a connection that is made again begins at its beginning."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write, self._written, self._read = write, 0, 0

    def restart(self) -> None:
        """The next text is the first of the log."""
        self._read = 0

    def add(self, text: str) -> None:
        """Write what is new of the next piece of the log."""
        new = text[max(self._written - self._read, 0) :]
        self._read += len(text)
        if new:
            self._write(mask_secrets(new))
            self._written = self._read


def follow(jobs: Jobs, job: str, write: Callable[[str], None]) -> "JobDetails":
    """Write a job's log from its beginning until the job ends; survives connections that break.

    Raises:
        ConfigError: the cluster knows no job of that id.
        WorkError: the cluster was out of reach for two minutes; the job may go on.
    """
    jobs.details(job)
    log = _Log(write)
    lost_since: float | None = None
    while True:
        try:
            _wait_for_start(jobs, job)
            log.restart()
            asyncio.run(_copy(jobs, job, log))
        except Exception as error:  # whatever the connection died of, the job's own state is what counts
            _logger.debug("log of %s: %s", job, error)
        try:
            details = jobs.details(job)
        except MixlingualError as error:
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > _LOST_SECONDS:
                raise WorkError(
                    f"{error}; out of reach for {_LOST_SECONDS:g} s. The job may go on: mixlingual logs {job} --follow"
                ) from None
        else:
            lost_since = None
            if details.status.is_terminal():
                return details
        time.sleep(_POLL_SECONDS)


def _wait_for_start(jobs: Jobs, job: str) -> None:
    """Return when the job runs or has ended; say what it waits for."""
    said = None
    while (details := jobs.details(job)).status.value == "PENDING":
        if details.message != said:
            said = details.message
            _logger.info("waiting: %s", said)
        time.sleep(_POLL_SECONDS)


async def _copy(jobs: Jobs, job: str, log: _Log) -> None:
    async for text in jobs.client.tail_job_logs(job):
        log.add(text)
