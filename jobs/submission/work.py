"""What is submitted, and the id that the same work has when it is submitted again."""

import argparse
import os
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any

from cluster.errors import ConfigError
from cluster.fingerprint import fingerprint
from cluster.logs import names_a_secret
from jobs.submission.package import Package

_PROGRAM = "mixlingual"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")
# Which bucket is meant and how it is spoken to. The cache is each machine's own, credentials are passed by name alone.
_PASSED_ON = re.compile(r"MIXLINGUAL_STORAGE_(?!CACHE)\w+|AWS_(DEFAULT_)?REGION|AWS_ENDPOINT_URL(_S3)?")


@dataclass(frozen=True)
class Work:
    """A command, the checkout it runs in, and the environment it needs."""

    command: tuple[str, ...]
    """Words of what runs on the cluster."""
    name: str
    package: Package
    environment: Mapping[str, str]
    """Set for the command and all that it starts on the cluster; may hold secrets."""

    @property
    def entrypoint(self) -> str:
        """The command as a shell takes it."""
        return shlex.join(self.command)

    @property
    def id(self) -> str:
        """The same for the same work: what runs, in which files, with which settings. Secrets may be renewed."""
        settings = {name: value for name, value in self.environment.items() if not names_a_secret(name)}
        inputs = {"command": self.command, "package": self.package.digest, "environment": settings}
        return f"{self.name}-{fingerprint(inputs)[:12]}"


def own_words(words: Sequence[str], own_commands: Collection[str]) -> tuple[str, ...]:
    """The words of one of our commands, without the program's name; empty for any other command.

    Raises:
        ConfigError: there is no command, or the program is named with a command it does not have.
    """
    if not words:
        raise ConfigError("submit: no command; name one after --, such as: mixlingual submit -- run --config run.yaml")
    if words[0] == _PROGRAM:
        if len(words) < 2 or words[1] not in own_commands:
            raise ConfigError(f"submit: {' '.join(words[:2])}: no such command; known: {', '.join(own_commands)}")
        return tuple(words[1:])
    return tuple(words) if words[0] in own_commands else ()


def job_name(given: str | None, own: Sequence[str], options: argparse.Namespace | None, words: Sequence[str]) -> str:
    """The name that a job's id begins with: the one given, or what says most about the command.

    A nightly is other work every night, so its night belongs to its name.

    Raises:
        ConfigError: the name cannot be part of an id.
    """
    if given is None:
        parts = [own[0], Path(options.config).stem] if options and "config" in options else [Path(words[0]).name]
        if own and own[0] == "nightly":
            parts.append(str(getattr(options, "date", None) or date.today()))
        given = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts)).strip("-._")[:48] or "job"
    if not _NAME.fullmatch(given):
        raise ConfigError(f"--name {given}: names are up to 48 letters, digits and . _ - and begin with no sign")
    return given


def job_environment(wanted: Sequence[str]) -> dict[str, str]:
    """The variables that a job gets: those that say how the root is spoken to, and those asked for.

    Args:
        wanted: `NAME`, whose value is taken from here, or `NAME=value`.

    Raises:
        ConfigError: a variable is not set here, or a secret stands on the command line, where everybody can read it.
    """
    environment = {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}
    for item in wanted:
        name, separator, value = item.partition("=")
        if not name.isidentifier():
            raise ConfigError(f"--env {name}: no name of a variable; use NAME or NAME=value")
        if separator and names_a_secret(name):
            raise ConfigError(f"--env {name}=...: a secret on the command line; set {name} here and use --env {name}")
        if not separator and name not in os.environ:
            raise ConfigError(f"--env {name}: not set here; set it, or use --env {name}=value")
        environment[name] = value if separator else os.environ[name]
    return environment


def job_resources(cpus: float, gpus: float, others: Sequence[str]) -> dict[str, Any]:
    """What the command's own process needs, as Ray's `submit_job` takes it; without any it runs on the head.

    Args:
        others: `NAME=N`, of resources that nodes were given.

    Raises:
        ConfigError: an amount is none.
    """
    given = {"--cpus": f"CPU={cpus}", "--gpus": f"GPU={gpus}"}
    amounts: dict[str, float] = {}
    for option, item in [*given.items(), *(("--resource", item) for item in others)]:
        name, _, amount = item.partition("=")
        try:
            amounts[name] = float(amount)
        except ValueError:
            amounts[name] = -1.0
        if not name or not 0 <= amounts[name] < float("inf"):
            raise ConfigError(f"{option} {item if option == '--resource' else amount}: give an amount, such as 1")
    needed = {name: amount for name, amount in amounts.items() if amount}
    fields = {"entrypoint_num_cpus": needed.pop("CPU", None), "entrypoint_num_gpus": needed.pop("GPU", None)}
    return {name: value for name, value in (fields | {"entrypoint_resources": needed or None}).items() if value}


def check_config(options: argparse.Namespace, package: Package) -> None:
    """Whether the job will find the configuration that one of our commands names.

    Raises:
        ConfigError: it is not in the package.
    """
    config = getattr(options, "config", None)
    if config is None or Path(config).is_absolute():  # on a file system that the cluster shares, perhaps
        return
    if PurePosixPath(os.path.normpath(config)).as_posix() not in package.files:
        raise ConfigError(
            f"--config {config}: not in the package, so the job would not find it; give its path within the "
            "checkout, and see that no .gitignore or .rayignore names it"
        )


def check_root(root: str | None) -> None:
    """Whether what a job makes outlives it.

    Raises:
        ConfigError: the root is a folder of the job's own copy of the checkout.
    """
    if root is not None and ":" not in root and not Path(root).expanduser().is_absolute():
        raise ConfigError(
            f"--root {root}: a folder of the job's copy of the checkout, which goes with the job; use "
            "s3://bucket/prefix, or the full path of a folder that all machines of the cluster share"
        )
