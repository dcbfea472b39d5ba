"""Jobs on a Ray cluster: submit, status, logs, stop."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from cluster.errors import EXIT_FAILED
from cluster.logs import get_logger
from jobs.commands.parser import Commands, add_command

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

    from jobs.submission.cluster import Jobs
    from jobs.submission.work import Work

_logger = get_logger("submit")


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    submit = _add(commands, "submit", _submit, "run a command on a cluster, in a copy of this checkout; follow it")
    submit.add_argument("--name", metavar="NAME", help="what the job's id begins with; another name is another job")
    submit.add_argument("--folder", type=Path, default=Path(), metavar="FOLDER", help="the checkout; default: here")
    submit.add_argument(
        "--env", action="append", default=[], metavar="NAME[=VALUE]", help="a variable for the job (repeatable)"
    )
    submit.add_argument("--cpus", type=float, default=0, metavar="N", help="CPUs of the command's own process")
    submit.add_argument("--gpus", type=float, default=0, metavar="N", help="GPUs of the command's own process")
    submit.add_argument(
        "--resource", action="append", default=[], metavar="NAME=N", help="another resource of it (repeatable)"
    )
    submit.add_argument("--no-wait", action="store_true", help="return as soon as the job is submitted")
    submit.add_argument("--again", action="store_true", help="run it once more although it is done")
    submit.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="-- command", help="a command of mixlingual, or any other"
    )
    status = _add(commands, "status", _status, "the jobs of a cluster, or one of them")
    status.add_argument("job", nargs="?", metavar="ID")
    logs = _add(commands, "logs", _logs, "what a job has written so far")
    logs.add_argument("job", metavar="ID")
    logs.add_argument("--follow", action="store_true", help="until the job ends; then end with its exit code")
    _add(commands, "stop", _stop, "end a job").add_argument("job", metavar="ID")


def _add(commands: Commands, name: str, handler: Callable[..., Any], what: str) -> argparse.ArgumentParser:
    command = add_command(commands, name, handler, what)
    command.add_argument(
        "--address",
        metavar="URL",
        help="dashboard of the cluster; default: RAY_API_SERVER_ADDRESS, or http://127.0.0.1:8265",
    )
    return command


def _submit(options: argparse.Namespace) -> dict[str, Any]:
    from jobs.cli import command_names, parse
    from jobs.submission.cluster import Jobs
    from jobs.submission.work import job_resources, own_words

    words = options.command[1:] if options.command[:1] == ["--"] else options.command
    own = own_words(words, command_names())
    parsed = parse(own) if own else None
    resources = job_resources(options.cpus, options.gpus, options.resource)
    jobs = Jobs(options.address)
    with tempfile.TemporaryDirectory(prefix="mixlingual-") as scratch:
        work = _work(options, words, own, parsed, Path(scratch) / "package.zip")
        job, new = jobs.place(work, options.again, resources)
    details = jobs.details(job)
    if not new and details.status.value == "SUCCEEDED":
        said = f"job {job}: done already; read it with mixlingual logs {job}, or do it --again"
        return _result(details, said) | {"submitted": False}
    _logger.info("%s: %s", job, "submitted" if new else "under way already, and not submitted again")
    if options.no_wait:
        said = f"job {job}: {details.status.lower()}; {_come_back(job)}"
        return _result(details, said) | {"submitted": new}
    return _followed(jobs, job, _stream(options)) | {"submitted": new}


def _work(
    options: argparse.Namespace,
    words: Sequence[str],
    own: Sequence[str],
    parsed: argparse.Namespace | None,
    target: Path,
) -> "Work":
    """What the options ask for.

    Args:
        words: the command.
        own: its words after the program's name, if it is one of ours.
        parsed: its options, if it is one of ours.
        target: file for the package.
    """
    from jobs.submission.package import pack
    from jobs.submission.work import Work, check_config, check_root, job_environment, job_name

    environment = job_environment(options.env)
    name = job_name(options.name, own, parsed, words)
    package = pack(options.folder, target)
    if parsed is not None:
        check_config(parsed, package)
        check_root(_root(parsed, options.folder))
    _logger.info("package of %s: %s", options.folder.resolve(), package.size)
    if environment:
        _logger.info("passed on: %s", ", ".join(sorted(environment)))
    command = ("python", "-m", "jobs.cli", *own) if own else tuple(words)  # the module of the packed checkout
    return Work(command, name, package, environment)


def _root(parsed: argparse.Namespace, folder: Path) -> str | None:
    """The root that one of our commands would use, where that can be told here.

    Raises:
        ConfigError: the configuration of a run or study cannot be used.
    """
    root: str | None = getattr(parsed, "root", None)
    if not getattr(parsed, "of_a_run", False) or not (folder / parsed.config).exists():
        return root
    from jobs.ablation.study import StudyConfig, load_run_or_study

    config = load_run_or_study(folder / parsed.config, parsed.overrides)
    return root or (config.run if isinstance(config, StudyConfig) else config).root


def _stream(options: argparse.Namespace) -> TextIO:
    """Where a job's log goes: to the results, unless these are to be one JSON object."""
    stream: TextIO = sys.stderr if options.json else options.results
    return stream


def _followed(jobs: "Jobs", job: str, stream: TextIO) -> dict[str, Any]:
    """Follow a job to its end; an interrupt ends the following, not the job."""
    from jobs.submission.follow import follow

    def write(text: str) -> None:
        stream.write(text)
        stream.flush()

    try:
        details = follow(jobs, job, write)
    except KeyboardInterrupt:
        said = f"\njob {job}: goes on without us; {_come_back(job)}"
        return {"job": job, "address": jobs.address, "status": "DETACHED", "text": said, "exit_code": EXIT_FAILED}
    return _result(details, _ended(details))


def _come_back(job: str) -> str:
    return f"come back with mixlingual logs {job} --follow, end it with mixlingual stop {job}"


def _status(options: argparse.Namespace) -> dict[str, Any]:
    from jobs.submission.cluster import Jobs

    jobs = Jobs(options.address)
    found = [jobs.details(options.job)] if options.job else jobs.all()
    lines = [f"{job.submission_id}  {job.status.lower()}{_seconds(job)}  {job.entrypoint}" for job in found]
    return {"jobs": [_facts(job) for job in found], "text": "\n".join(lines) or f"no jobs at {jobs.address}"}


def _logs(options: argparse.Namespace) -> dict[str, Any]:
    from cluster.logs import mask_secrets
    from jobs.submission.cluster import Jobs

    jobs = Jobs(options.address)
    if options.follow:
        return _followed(jobs, options.job, _stream(options))
    with jobs.in_words(options.job):
        log = mask_secrets(jobs.client.get_job_logs(options.job))
    return {"job": options.job, "log": log, "text": log.rstrip("\n")}


def _stop(options: argparse.Namespace) -> dict[str, Any]:
    from jobs.submission.cluster import Jobs

    jobs = Jobs(options.address)
    before = jobs.details(options.job)
    if before.status.is_terminal():
        return _facts(before) | {"text": f"job {options.job}: had ended already ({before.status.lower()})"}
    details = jobs.stop(options.job)
    return _facts(details) | {"text": f"job {options.job}: {details.status.lower()}"}


def _result(details: "JobDetails", said: str) -> dict[str, Any]:
    from jobs.submission.cluster import exit_code

    code = exit_code(details) if details.status.is_terminal() else 0
    return _facts(details) | {"text": said, "exit_code": code}


def _facts(details: "JobDetails") -> dict[str, Any]:
    """What `--json` says of a job; never its environment."""
    return {
        "job": details.submission_id,
        "status": details.status.value,
        "command": details.entrypoint,
        "started": details.start_time,
        "ended": details.end_time,
        "command_exit_code": details.driver_exit_code,
    }


def _ended(details: "JobDetails") -> str:
    """The last line about a job."""
    from jobs.submission.cluster import exit_code

    said = f"job {details.submission_id}: {details.status.lower()}{_seconds(details)}"
    if details.status.value == "FAILED":
        reason = (details.message or "").splitlines()
        said += f", exit code {exit_code(details)}" if details.driver_exit_code else f": {reason[0] if reason else ''}"
    return said


def _seconds(details: "JobDetails") -> str:
    if not details.start_time:
        return ""
    seconds = ((details.end_time or time.time() * 1000) - details.start_time) / 1000
    return f" {'after' if details.end_time else 'for'} {seconds:.0f} s"
