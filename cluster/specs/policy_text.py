"""What systemd units and Dockerfiles must not be: a Ray that the network reaches, one without a token, root."""

import re
from collections.abc import Iterator

from cluster.ray_runtime import LOOPBACK_SWITCH
from cluster.specs.policy_launcher import LOOPBACK
from cluster.specs.problems import Problem
from cluster.specs.secrets import text_problems

_RAY_HEAD = re.compile(r"\bray\s+start\b.*--head\b")
_OPTION = re.compile(r"--(dashboard-host|node-ip-address)[= ](\S+)")


def unit_problems(file: str, text: str) -> Iterator[Problem]:
    """Everything in a unit that opens Ray to the network, or starts it without a token."""
    yield from text_problems(file, text)
    lines = [line.strip() for line in text.splitlines()]
    starts = [line for line in lines if line.startswith("ExecStart=") and _RAY_HEAD.search(line)]
    for line in starts:
        options = dict(_OPTION.findall(line))
        for name in ("dashboard-host", "node-ip-address"):
            if options.get(name) not in LOOPBACK:
                yield Problem(
                    file, "ExecStart", f"--{name} is {options.get(name, 'missing')}; one machine needs 127.0.0.1 only"
                )
        if f"Environment={LOOPBACK_SWITCH}=0" not in lines:
            yield Problem(
                file, "Environment", f"lacks {LOOPBACK_SWITCH}=0; some of Ray's servers would listen on every address"
            )
    calls = any(line.startswith("ExecStart=") and re.search(r"/(ray|mixlingual)\s", line) for line in lines)
    modes = [line for line in lines if re.fullmatch(r"Environment=\"?RAY_AUTH_MODE=token\"?", line)]
    if calls and not modes:
        yield Problem(file, "Environment", "starts Ray without a token; add Environment=RAY_AUTH_MODE=token")


def dockerfile_problems(file: str, text: str) -> Iterator[Problem]:
    """Everything in a Dockerfile that tells a secret, runs as root, or changes by itself."""
    yield from text_problems(file, text)
    users = re.findall(r"^USER\s+(\S+)", text, re.MULTILINE)
    if not users or users[-1].split(":")[0] in ("root", "0"):
        yield Problem(file, "USER", f"is {users[-1] if users else 'missing'}; what runs in the container would be root")
    for image in re.findall(r"^FROM\s+(?:--\S+\s+)?(\S+)", text, re.MULTILINE):
        stage = re.search(rf"\bAS\s+{re.escape(image)}\b", text, re.IGNORECASE)
        if not stage and (":" not in image or image.endswith(":latest")):
            yield Problem(file, "FROM", f"{image} changes by itself; name a version")
