"""Secrets in plain text, wherever they stand in a spec: by the form of a value, by the name beside it."""

import re
from collections.abc import Iterator
from typing import Any

from cluster.specs.problems import Document, Problem, items, part, walk

_FORMS = {
    "an AWS access key": re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a GitHub token": re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,})"),
    "a Hugging Face token": re.compile(r"\bhf_[A-Za-z0-9]{30,}\b"),
    "a Slack token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    "a password in a URL": re.compile(r"://[^/\s:@$]*:[^/\s@$]+@"),
}
_SECRET_NAME = re.compile(
    r"(password|passwd|passphrase|secret|token|credential|(api|access|private)[_-]?key)", re.IGNORECASE
)
# What is said about a secret without being one: where it is, what it is called, how it is used.
_ABOUT = re.compile(
    r"(name|names|path|file|mode|ref|from|type|tokens|id|map|enabled|options|url|key_?pair)$", re.IGNORECASE
)
_ASSIGNED = re.compile(r"(?<![\w-])-{0,2}([A-Za-z][\w-]*)=(?=(\"[^\"]*\"|'[^']*'|[^\s;|&\"']+))")
"""A name and what it is set to, which may be another such pair: `Environment=NAME=value`."""
_REFERENCE = re.compile(r"^[\"']?(\$|<|%|~/|/)")
"""A variable, a place to fill in, or a path: not the secret itself."""
_BY_REFERENCE = "holds a secret in plain text; use valueFrom.secretKeyRef"
_ADVICE = "put it into a Secret or a file that only its owner reads, and refer to that"


def secret_problems(document: Document) -> Iterator[Problem]:
    """Every secret that a document tells."""
    if part(document.content, "kind") == "Secret":
        for field in ("data", "stringData"):
            if part(document.content, field):
                yield document.problem(field, "holds a Secret's values; make it with `kubectl create secret` instead")
    for path, value in walk(document.content):
        if isinstance(value, dict):
            yield from _in_mapping(document, path, value)
        elif isinstance(value, str):
            yield from _in_text(document, path, value)


def text_problems(file: str, text: str) -> Iterator[Problem]:
    """Every secret that a file of lines tells: Dockerfiles, systemd units."""
    for number, line in enumerate(text.splitlines(), 1):
        yield from _in_text(Document(file, {}), f"line {number}", line)


def names_secret(name: str) -> bool:
    """Whether a field or variable of this name holds a secret."""
    return bool(_SECRET_NAME.search(name)) and not _ABOUT.search(name)


def _in_mapping(document: Document, path: str, mapping: dict[str, Any]) -> Iterator[Problem]:
    for key, value in mapping.items():
        if isinstance(value, str) and value and names_secret(str(key)) and not _REFERENCE.match(value):
            yield document.problem(f"{path}.{key}".removeprefix("."), f"holds a secret in plain text; {_ADVICE}")
    for variable in items(mapping.get("env")):
        name, value = part(variable, "name"), part(variable, "value")
        if isinstance(name, str) and names_secret(name) and value not in (None, ""):
            yield document.problem(
                f"{path}.env[{name}].value".removeprefix("."),
                "holds a secret in plain text; use valueFrom.secretKeyRef",
            )
    if isinstance(mapping.get("redisPassword"), dict) and mapping["redisPassword"].get("value"):
        yield document.problem(f"{path}.redisPassword.value".removeprefix("."), _BY_REFERENCE)


def _in_text(document: Document, path: str, text: str) -> Iterator[Problem]:
    for what, form in _FORMS.items():
        if form.search(text):
            yield document.problem(path, f"holds {what} in plain text; {_ADVICE}")
    for name, value in _ASSIGNED.findall(text):
        if names_secret(name) and not _REFERENCE.match(value) and value not in ('""', "''"):
            yield document.problem(path, f"gives {name} a value in plain text; {_ADVICE}")
