"""What a launcher's YAML must not be: open to the world, without a token, with more rights than it needs."""

import re
from collections.abc import Iterator
from typing import Any

from cluster.specs.problems import Document, Problem, items, part, walk

LOOPBACK = ("127.0.0.1", "localhost", "::1")
WORLD = ("0.0.0.0/0", "::/0")
_START = re.compile(r"\bray\s+start\b")
_HOST = re.compile(r"--dashboard-host[= ]+[\"']?([^\s\"';]+)")
_TOKEN_MODE = re.compile(r"\bRAY_AUTH_MODE=[\"']?token\b")
_TOKEN_PATH = re.compile(r"\bRAY_AUTH_TOKEN_PATH=")
_DEFAULT_TOKEN = ".ray/auth_token"


def launcher_problems(document: Document) -> Iterator[Problem]:
    """Everything in a launcher's YAML that leaves a cluster open."""
    yield from _commands(document)
    yield from _token_file(document)
    for path, value in walk(document.content):
        if isinstance(value, str) and value.strip() in WORLD:
            yield document.problem(path, f"{value} opens ports to the world; name the network that may use them")
    if part(document.content, "provider", "type") == "aws":
        yield from _aws(document)


def _commands(document: Document) -> Iterator[Problem]:
    everywhere = " ".join(str(option) for option in items(part(document.content, "docker", "run_options")))
    for field in ("head_start_ray_commands", "worker_start_ray_commands"):
        commands = document.content.get(field)
        if not items(commands):
            yield document.problem(
                field,
                "is missing; Ray's default starts without a token and, on AWS, with the dashboard on all interfaces",
            )
            continue
        starts = [(n, c) for n, c in enumerate(items(commands)) if isinstance(c, str) and _START.search(c)]
        for number, command in starts:
            where = f"{field}[{number}]"
            if not _TOKEN_MODE.search(command) and not _TOKEN_MODE.search(everywhere):
                yield document.problem(where, "starts Ray without a token; put RAY_AUTH_MODE=token before `ray start`")
            host = _HOST.search(command)
            if host and host.group(1) not in LOOPBACK and not _has_own_groups(document):
                yield document.problem(
                    where, f"opens the dashboard on {host.group(1)}; use --dashboard-host=127.0.0.1 and `ray dashboard`"
                )


def _token_file(document: Document) -> Iterator[Problem]:
    mounted = document.content.get("file_mounts")
    if isinstance(mounted, dict) and any(str(target).endswith(_DEFAULT_TOKEN) for target in mounted):
        return
    if any(isinstance(value, str) and _TOKEN_PATH.search(value) for _, value in walk(document.content)):
        return
    yield document.problem(
        "file_mounts",
        "brings no token to the nodes; add ~/.ray/auth_token: ~/.ray/auth_token, or set RAY_AUTH_TOKEN_PATH",
    )


def _node_configs(document: Document) -> dict[str, Any]:
    types = document.content.get("available_node_types")
    return {name: part(kind, "node_config") for name, kind in types.items()} if isinstance(types, dict) else {}


def _has_own_groups(document: Document) -> bool:
    configs = _node_configs(document)
    return bool(configs) and all(part(config, "SecurityGroupIds") for config in configs.values())


def _aws(document: Document) -> Iterator[Problem]:
    for name, config in _node_configs(document).items():
        where = f"available_node_types.{name}.node_config"
        if not part(config, "SecurityGroupIds"):
            yield document.problem(
                f"{where}.SecurityGroupIds", "is missing; Ray would make a group whose SSH is open to the world"
            )
        if not part(config, "IamInstanceProfile"):
            yield document.problem(
                f"{where}.IamInstanceProfile", "is missing; Ray would give the head all rights to EC2 and S3"
            )
        if part(config, "MetadataOptions", "HttpTokens") != "required":
            yield document.problem(
                f"{where}.MetadataOptions.HttpTokens",
                "is not 'required'; with IMDSv1 any fetched URL can reach the machine's credentials",
            )
        disks = items(part(config, "BlockDeviceMappings"))
        if not disks or not all(part(disk, "Ebs", "Encrypted") is True for disk in disks):
            yield document.problem(
                f"{where}.BlockDeviceMappings", "does not encrypt the disk; set Ebs.Encrypted: true for each"
            )
