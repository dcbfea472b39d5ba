"""What we ask of a cluster's dashboard about jobs; every way it can fail is said in one sentence."""

import contextlib
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cluster.auth import missing_token, require_token, wrong_token
from cluster.errors import EXIT_FAILED, ConfigError, WorkError
from cluster.logs import get_logger
from cluster.ray_runtime import quiet_environment
from jobs.submission.work import Work

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

_ADDRESS = "RAY_API_SERVER_ADDRESS"
_DEFAULT_ADDRESS = "http://127.0.0.1:8265"
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.5
_TRIES = 3
_logger = get_logger("submit")


class JobExistsError(Exception):
    """Another client has just submitted a job of that id."""


def dashboard_address(given: str | None) -> str:
    """URL of the dashboard to talk to: the one given, or named by the environment, or Ray's usual one.

    Raises:
        ConfigError: it is no URL.
    """
    from_ray = os.environ.get("RAY_ADDRESS", "")
    address = given or os.environ.get(_ADDRESS) or (from_ray if from_ray.startswith("http") else _DEFAULT_ADDRESS)
    if not re.fullmatch(r"https?://[^/@\s]+/?", address):
        raise ConfigError(f"--address {address}: give the URL of the cluster's dashboard, such as {_DEFAULT_ADDRESS}")
    return address.rstrip("/")


class Jobs:
    """The jobs of one cluster."""

    def __init__(self, address: str | None = None) -> None:
        """Connect.

        Args:
            address: URL of the dashboard; see `dashboard_address`.

        Raises:
            ConfigError: there is no dashboard, or it wants another token.
        """
        self.address = dashboard_address(address)
        require_token(f"the Ray cluster at {self.address}")
        quiet_environment()
        os.environ[_ADDRESS] = self.address  # counts more for Ray than what its functions are given
        with self.in_words():
            from ray import job_submission

            for name in ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk"):
                logging.getLogger(name).setLevel(logging.ERROR)
            self.client = job_submission.JobSubmissionClient(self.address)

    @contextlib.contextmanager
    def in_words(self, job: str = "") -> Iterator[None]:
        """Turn what Ray's client raises into our errors."""
        import requests
        from ray.exceptions import AuthenticationError

        where = f"the Ray cluster at {self.address}"
        try:
            yield
        except AuthenticationError as error:
            refused = str(error).startswith("Authentication failed")
            raise (wrong_token(where) if refused else missing_token(where)) from None
        except (ConnectionError, requests.RequestException) as error:
            _logger.debug("%s", error)
            raise ConfigError(
                f"--address {self.address}: no Ray dashboard answers there; start the cluster, forward its port 8265 "
                f"here (ray dashboard, kubectl port-forward, ssh -L), or give another --address"
            ) from None
        except RuntimeError as error:
            raise self._reason(str(error), job) from None

    def _reason(self, answer: str, job: str) -> Exception:
        """Our error for an answer other than 200, whose text is a traceback of the server's."""
        last = (answer.strip(" .\n").splitlines() or ["no reason given"])[-1]
        if "already exists" in last:
            return JobExistsError(job)
        if "status code 404" in answer:
            known = ", ".join(sorted(found.submission_id or "" for found in self.all()))
            return ConfigError(f"job {job}: the Ray cluster at {self.address} knows none of that id; it knows {known}")
        if "No available agent" in answer:
            return WorkError(
                f"the Ray cluster at {self.address} takes no jobs: its head has no dashboard agent; if two clusters "
                "share the machine, start this one with another `ray start --dashboard-agent-listen-port`"
            )
        return WorkError(f"the Ray cluster at {self.address} could not do it: {last}")

    def all(self) -> "list[JobDetails]":
        """Every submitted job the cluster remembers, oldest first."""
        with self.in_words():
            found = [job for job in self.client.list_jobs() if job.submission_id]
        return sorted(found, key=lambda job: job.start_time or 0)

    def details(self, job: str) -> "JobDetails":
        """What the cluster knows of a job.

        Raises:
            ConfigError: it knows none of that id.
        """
        with self.in_words(job):
            return self.client.get_job_info(job)

    def place(self, work: Work, again: bool, resources: Mapping[str, Any]) -> tuple[str, bool]:
        """Submit work, unless it is under way or done.

        Args:
            again: submit it although it is done; never while it is under way.
            resources: of `submit_job`: what the command's own process needs.

        Returns:
            Id of the job, and whether it was submitted now.
        """
        for _ in range(_TRIES):
            newest, attempt = self._newest_attempt(work.id)
            if newest is not None and not newest.status.is_terminal():
                return str(newest.submission_id), False
            if newest is not None and newest.status.value == "SUCCEEDED" and not again:
                return str(newest.submission_id), False
            job = work.id if newest is None else f"{work.id}-{attempt + 1}"
            with contextlib.suppress(JobExistsError):  # another client was faster: what it submitted is found above
                self._submit(work, job, resources)
                return job, True
        raise WorkError(
            f"job {work.id}: other clients submit it too, again and again; look at it with mixlingual status"
        )

    def _newest_attempt(self, base: str) -> "tuple[JobDetails | None, int]":
        attempts: dict[int, JobDetails] = {}
        for job in self.all():
            if match := re.fullmatch(rf"{re.escape(base)}(?:-(\d+))?", str(job.submission_id)):
                attempts[int(match[1] or 1)] = job
        newest = max(attempts, default=0)
        return attempts.get(newest), newest

    def _submit(self, work: Work, job: str, resources: Mapping[str, Any]) -> None:
        environment = {"working_dir": str(work.package.path), "env_vars": dict(work.environment)}
        with self.in_words(job):
            self.client.submit_job(
                entrypoint=work.entrypoint,
                submission_id=job,
                runtime_env=environment,
                metadata={"job_name": work.name, "package": work.package.digest},
                **resources,
            )

    def stop(self, job: str) -> "JobDetails":
        """Ask a job to end and wait until it has.

        Raises:
            WorkError: it has not ended half a minute later.
        """
        with self.in_words(job):
            self.client.stop_job(job)
        give_up = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < give_up:
            details = self.details(job)
            if details.status.is_terminal():
                return details
            time.sleep(_POLL_SECONDS)
        raise WorkError(f"job {job}: asked to stop and still {details.status} after {_STOP_SECONDS:g} s; ask again")


def exit_code(details: "JobDetails") -> int:
    """Exit code of a job that has ended, as a shell would give it: the command's own, 128 + signal if one ended it.

    A job that was stopped, or that never came to run its command, counts as failed.
    """
    code = details.driver_exit_code
    if details.status.value == "SUCCEEDED":
        return 0
    if not code or details.status.value == "STOPPED":
        return EXIT_FAILED
    return code if code > 0 else 128 - code
