"""The schemas of those who read the specs: Ray's cluster launcher, and KubeRay's custom resource definitions."""

import functools
import gzip
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from cluster.documents import parse_json
from cluster.errors import ConfigError
from cluster.specs.problems import Document, Problem, part

_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_VALUES = ("default", "enum", "example")
"""Keywords that hold values, not schemas."""
_MOST_PER_DOCUMENT = 8
Schema = dict[str, Any]


@functools.cache
def launcher_schema() -> Schema:
    """The schema in the installed Ray, read without importing Ray."""
    found = importlib.util.find_spec("ray")
    assert found is not None and found.submodule_search_locations, "ray is a dependency"
    path = Path(next(iter(found.submodule_search_locations)), "autoscaler", "ray-schema.json")
    schema: Schema = parse_json(path.read_text(encoding="utf-8"))
    return schema


def read_crds(folder: Path) -> dict[tuple[str, str], Schema]:
    """The schemas of all custom resource definitions in a folder, as (group/version, kind) -> closed schema.

    Args:
        folder: with *.yaml, *.yml, *.json or *.yaml.gz, one or several definitions each (`kubectl get crd -o yaml`).

    Raises:
        ConfigError: the folder is not there, or holds no definition.
    """
    if not folder.is_dir():
        raise ConfigError(f"--crds: {folder} is not a folder; name one with KubeRay's CRDs as YAML, or leave it out")
    schemas: dict[tuple[str, str], Schema] = {}
    for path in sorted(folder.iterdir()):
        if path.name.endswith((".yaml", ".yml", ".json", ".yaml.gz")):
            schemas.update(_definitions(path))
    if not schemas:
        raise ConfigError(f"--crds: {folder} holds no custom resource definition (*.yaml, *.json, *.yaml.gz)")
    return schemas


def _definitions(path: Path) -> Iterator[tuple[tuple[str, str], Schema]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a definition has 20,000 lines
    try:
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        documents = list(yaml.load_all(text, Loader=loader))
    except (OSError, EOFError, yaml.YAMLError) as error:
        raise ConfigError(f"--crds: {path} cannot be read: {str(error).splitlines()[0]}") from None
    for document in [item for found in documents for item in (part(found, "items") or [found])]:
        if part(document, "kind") != "CustomResourceDefinition":
            continue
        group, kind = part(document, "spec", "group"), part(document, "spec", "names", "kind")
        for version in part(document, "spec", "versions") or []:
            schema = part(version, "schema", "openAPIV3Schema")
            if schema is not None:
                yield (f"{group}/{version['name']}", kind), closed(schema, top=True)


def closed(schema: Any, top: bool = False) -> Any:
    """An OpenAPI schema of Kubernetes as JSON schema that refuses unknown fields, which the API server drops silently.

    Args:
        schema: any part of one.
        top: whether it is that of a whole object, which has fields that definitions may leave out.
    """
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: value if key in _VALUES else closed(value) for key, value in schema.items() if key != "properties"}
    if isinstance(schema.get("properties"), dict):
        # Its keys are names of fields, whatever they are called.
        fields = {name: closed(value) for name, value in schema["properties"].items()}
        result["properties"] = ({"apiVersion": {}, "kind": {}, "metadata": {}} if top else {}) | fields
        if "additionalProperties" not in schema and not schema.get(_PRESERVE):
            result["additionalProperties"] = False
    if top:
        result["properties"]["metadata"] = {"type": "object"}  # checked by the API server, not by definitions
    if schema.get("nullable") and isinstance(schema.get("type"), str):
        result["type"] = [schema["type"], "null"]
    return result


def schema_problems(document: Document, schema: Schema, below: str = "", value: Any = None) -> list[Problem]:
    """What a schema says against a document, or against a value that stands `below` a field of it; the first few."""
    from jsonschema import Draft7Validator

    errors = Draft7Validator(schema).iter_errors(document.content if value is None else value)
    found = sorted((_path(error, below), _message(error)) for error in errors)
    return [document.problem(field, what) for field, what in found[:_MOST_PER_DOCUMENT]]


def _path(error: Any, below: str) -> str:
    path = below
    for key in error.absolute_path:
        path += f"[{key}]" if isinstance(key, int) else f".{key}"
    return path.removeprefix(".")


def _message(error: Any) -> str:
    if error.validator == "additionalProperties" and isinstance(error.schema.get("properties"), dict):
        unknown = sorted(set(error.instance) - set(error.schema["properties"]))
        known = ", ".join(sorted(error.schema["properties"]))
        return f"unknown field {', '.join(map(str, unknown))}; known here: {known[:300]}"
    text = str(error.message)
    return text if len(text) <= 200 else f"{text[:197]}..."
