"""The commands of cluster specs: render, validate, up-hint."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import EXIT_OK, EXIT_USAGE
from jobs.commands.parser import EPILOG, Commands, Parser, add_command, complain

if TYPE_CHECKING:
    from cluster.specs.config import ClusterConfig

_CRDS_HINT = "kubectl get crd rayclusters.ray.io rayjobs.ray.io raycronjobs.ray.io -o yaml"


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    what = "specs of clusters: one machine, machines that are there, AWS, Kubernetes"
    family: Parser = commands.add_parser("cluster", help=what, description=what, epilog=EPILOG)
    parts = family.add_subparsers(metavar="command", required=True)

    render = add_command(parts, "render", _render, "write the files of a cluster's spec")
    hint = add_command(parts, "up-hint", _up_hint, "print the commands that bring a spec up; runs none of them")
    for command in (render, hint):
        command.add_argument("--config", type=Path, required=True, metavar="FILE", help="YAML file of the cluster")
        command.add_argument(
            "--out", type=Path, metavar="FOLDER", help="folder of the rendered files; default: the cluster's name"
        )
        command.add_argument("overrides", nargs="*", metavar="a.b=c", help="fields of the configuration to change")

    check = add_command(parts, "validate", _validate, "refuse a spec that is open, unguarded or tells a secret")
    check.add_argument("files", type=Path, nargs="*", metavar="FILE", help="configurations, specs, or folders of them")
    check.add_argument("--config", type=Path, metavar="FILE", help="YAML file of a cluster, as for render")
    check.add_argument(
        "--crds",
        type=Path,
        metavar="FOLDER",
        help=f"definitions of KubeRay's resources ({_CRDS_HINT} > FOLDER/crds.yaml)",
    )


def _config(options: argparse.Namespace) -> "ClusterConfig":
    from cluster.config import load_config
    from cluster.specs.config import ClusterConfig

    return load_config(ClusterConfig, options.config, options.overrides)


def _render(options: argparse.Namespace) -> dict[str, Any]:
    from cluster.specs.render import render, write

    config = _config(options)
    paths = [str(path) for path in write(render(config), options.out or Path(config.name))]
    return {"cluster": config.name, "files": paths, "text": "\n".join(paths)}


def _up_hint(options: argparse.Namespace) -> dict[str, Any]:
    from cluster.specs.hints import up_hint

    config = _config(options)
    lines = up_hint(config, options.out or Path(config.name))
    return {"cluster": config.name, "commands": lines, "text": "\n".join(lines)}


def _validate(options: argparse.Namespace) -> dict[str, Any]:
    from cluster.errors import ConfigError
    from cluster.specs.schemas import read_crds
    from cluster.specs.validate import validate

    paths = [*options.files, *([options.config] if options.config else [])]
    if not paths:
        raise ConfigError("cluster validate: names no file; give a cluster's YAML, a spec, or a folder of one")
    found = validate(paths, read_crds(options.crds) if options.crds else {})
    for problem in found.problems:
        complain(str(problem))
    for kind in found.unchecked:
        complain(f"note: {kind} was not held against KubeRay's schema; give --crds FOLDER ({_CRDS_HINT})")
    count = len(found.problems)
    return {
        "valid": not count,
        "files": found.files,
        "problems": [vars(problem) for problem in found.problems],
        "not_held_against_a_schema": found.unchecked,
        "text": f"{len(found.files)} file(s), {count or 'no'} problem{'s' * (count != 1)}",
        "exit_code": EXIT_USAGE if count else EXIT_OK,
    }
