"""The ready-made clusters, rendered, and KubeRay's schemas, for the tests of specs."""

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.config import load_config
from cluster.specs.config import ClusterConfig
from cluster.specs.render import render
from cluster.specs.schemas import read_crds

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "cluster" / "specs" / "examples"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))
CRDS = ROOT.parent / "shared" / "schemas" / "kuberay-v1.7.0"


def example(name: str) -> ClusterConfig:
    """One of the ready-made clusters."""
    return load_config(ClusterConfig, FOLDER / f"{name}.yaml")


@functools.cache
def rendered(name: str) -> dict[str, str]:
    """Its files."""
    return render(example(name))


def document(name: str, file: str, number: int = 0) -> Any:
    """One document of one of its files, to be changed."""
    text = rendered(name)[file]
    return json.loads(text) if file.endswith(".json") else list(yaml.safe_load_all(text))[number]


@functools.cache
def _crds() -> Any:
    return read_crds(CRDS)


def crds() -> Any:
    """KubeRay's schemas; skips the test where they are not."""
    if not CRDS.is_dir():
        pytest.skip("needs KubeRay's definitions in ../shared/schemas/kuberay-v1.7.0")
    return _crds()
