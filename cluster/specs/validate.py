"""Files -> problems: what the schemas say against a spec, then what would leave a cluster open.

Files that are given together count as applied together: a NetworkPolicy in one closes the cluster of another.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cluster.config import MAX_CONFIG_BYTES, build_config
from cluster.errors import ConfigError
from cluster.specs.config import ClusterConfig
from cluster.specs.policy_iam import iam_problems
from cluster.specs.policy_kubernetes import kubernetes_problems
from cluster.specs.policy_launcher import launcher_problems
from cluster.specs.policy_text import dockerfile_problems, unit_problems
from cluster.specs.problems import Document, Problem, part, walk
from cluster.specs.render import render
from cluster.specs.schemas import Schema, closed, launcher_schema, schema_problems
from cluster.specs.secrets import secret_problems

Crds = dict[tuple[str, str], Schema]
_MOST_VALUES = 200_000
_POD_TEMPLATE = ("CronJob", ("spec", "jobTemplate", "spec", "template"))
_DATA = (".yaml", ".yml", ".json")
_UNITS = (".service", ".timer")
_KNOWN = (
    "a ClusterConfig, a cluster launcher's YAML, Kubernetes manifests, IAM policies, systemd units and Dockerfiles are"
)


@dataclass(frozen=True)
class Validated:
    """What was found."""

    files: tuple[str, ...]
    """What was looked at."""
    problems: tuple[Problem, ...]
    unchecked: tuple[str, ...]
    """Kinds of Ray's resources for which there was no schema."""


def validate(paths: Sequence[Path], crds: Crds) -> Validated:
    """Check files, and the files of folders, together.

    Raises:
        ConfigError: a file cannot be read, or is none of those that are known here.
    """
    files = [file for path in paths for file in _files(path)]
    texts = {str(file): _text(file) for file in files}
    return validate_texts(texts, crds)


def validate_texts(texts: dict[str, str], crds: Crds) -> Validated:
    """Check files by their names and contents."""
    problems: list[Problem] = []
    manifests: list[Document] = []
    for name, text in texts.items():
        base = Path(name).name
        if base.startswith("Dockerfile"):
            problems += dockerfile_problems(name, text)
        elif base.endswith(_UNITS):
            problems += unit_problems(name, text)
        else:
            for document in _documents(name, text):
                problems += _data_problems(document, crds, manifests)
    problems += kubernetes_problems(manifests)
    ray = {str(document.content["kind"]) for document in manifests if _key(document) not in crds and _is_ray(document)}
    return Validated(tuple(texts), tuple(dict.fromkeys(problems)), tuple(sorted(ray)))


def _data_problems(document: Document, crds: Crds, manifests: list[Document]) -> Iterable[Problem]:
    """Problems of one document by itself; Kubernetes manifests are kept for what they are together."""
    content = document.content
    if "provider" in content and isinstance(part(content, "provider", "kind"), str) and "cluster_name" not in content:
        return _config_problems(document)
    found = list(secret_problems(document))
    if "cluster_name" in content:
        return [*found, *schema_problems(document, launcher_schema()), *launcher_problems(document)]
    if "apiVersion" in content and "kind" in content:
        manifests.append(document)
        return [*found, *_manifest_problems(document, crds)]
    if "Statement" in content:
        return [*found, *iam_problems(document)]
    raise ConfigError(f"{document.file}: is no part of a cluster spec that is known here; {_KNOWN}")


def _config_problems(document: Document) -> Iterable[Problem]:
    """A ClusterConfig is what it renders to."""
    config = build_config(ClusterConfig, document.content, where=document.file)
    problems = validate_texts(render(config), {}).problems
    return [Problem(document.file, problem.file, f"{problem.field}: {problem.what}") for problem in problems]


def _manifest_problems(document: Document, crds: Crds) -> Iterable[Problem]:
    schema = crds.get(_key(document))
    if schema is not None:
        return schema_problems(document, schema)
    kind, path = _POD_TEMPLATE
    template = part(document.content, *path)
    if document.content["kind"] == kind and template is not None and (pod := _pod_template(crds)) is not None:
        # Kubernetes' own kinds have no definition; RayJob's has the same pods in it.
        return schema_problems(document, pod, below=".".join(path), value=template)
    return []


def _pod_template(crds: Crds) -> Schema | None:
    job = crds.get(("ray.io/v1", "RayJob"))
    found: Schema | None = part(job, "properties", "spec", "properties", "submitterPodTemplate")
    return closed(found) if found is not None else None


def _key(document: Document) -> tuple[str, str]:
    return str(document.content["apiVersion"]), str(document.content["kind"])


def _is_ray(document: Document) -> bool:
    return str(document.content["apiVersion"]).startswith("ray.io/")


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    known = [
        file
        for file in sorted(path.iterdir())
        if file.is_file() and (file.suffix in (*_DATA, *_UNITS) or file.name.startswith("Dockerfile"))
    ]
    if not known:
        raise ConfigError(f"{path}: holds no file of a cluster spec; {_KNOWN}")
    return known


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if len(content) > MAX_CONFIG_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_CONFIG_BYTES >> 20} MiB; a spec is a few pages")
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text ({error})") from None


def _documents(name: str, text: str) -> list[Document]:
    try:
        found: list[Any] = [content for content in yaml.safe_load_all(text) if content is not None]
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1} " if mark else ""
        raise ConfigError(f"{name}: {place}not valid YAML: {getattr(error, 'problem', error)}") from None
    if not found or not all(isinstance(content, dict) for content in found):
        raise ConfigError(f"{name}: is no part of a cluster spec that is known here; {_KNOWN}")
    _require_bounded(name, found)
    several = len(found) > 1
    return [
        Document(f"{name}#{number} ({content.get('kind', '?')})" if several else name, content)
        for number, content in enumerate(found, 1)
    ]


def _require_bounded(name: str, content: Any) -> None:
    """Refuse what a few lines of YAML aliases expand to without end."""
    try:
        if next(itertools.islice(walk(content), _MOST_VALUES, None), None) is None:
            return
    except RecursionError:
        pass
    raise ConfigError(f"{name}: holds more than {_MOST_VALUES} values, or itself; write YAML aliases out")
