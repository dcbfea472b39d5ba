"""Configuration files: of a run, a study, a nightly, a cluster; overrides; cluster specs to validate."""

from collections.abc import Callable
from pathlib import Path

from fuzz.targets import Target

from cluster.config import Config, load_config, to_plain, with_overrides
from cluster.fingerprint import fingerprint
from cluster.specs.config import ClusterConfig
from cluster.storage import open_store
from cluster.storage.storage_config import parse_s3_uri
from jobs.ablation.study import StudyConfig, trials
from jobs.config import RunConfig
from jobs.nightly.config import load_nightly

REPOSITORY = Path(__file__).parents[2]
RUN = b"""name: small
data:
  train:
    - {dataset: atlas, split: train, limit: 12, languages: [de, en]}
    - {dataset: generic, path: pairs.jsonl, id: key, wide: {en: {query: q, passage: p}}}
  validation: {dataset: atlas, split: validation}
  evaluation: {test: {dataset: xquad_r, path: data/xquad-r, languages: [en, de]}}
encoder: {fresh: {layers: 1, hidden: 16, heads: 2}}
mixing: {batch: 8}
arms:
  X-X: {mono: 1}
  hybrid: {mono: 1/3, cross: 0.5, multi: 1/6}
  ramp: [{step: 0, mono: 1}, {step: 10, mono: 0.5, cross: 0.5}]
training: {steps: 4, workers: 2, engine: {zero_stage: 1, precision: fp32}, loss: {temperature: 0.05}}
"""
STUDY = b"""name: s
run:
  name: s
  data: {train: [{dataset: atlas}], evaluation: {test: {dataset: atlas, split: test}}}
  encoder: {fresh: {layers: 1}}
mixes: [{design: list, mixes: [{mono: 1}, {mono: 0.5, cross: 0.5}]}]
seeds: [0, 1]
axes: {training.loss.temperature: [0.05, 0.02]}
"""
NIGHTLY = b"""run:
  name: n
  data: {train: [{dataset: atlas}], evaluation: {test: {dataset: atlas, split: test}}}
  encoder: {fresh: {layers: 1}}
time_zone: Europe/Berlin
thresholds: {min_drop: {mAP: 0.01}, level: 0.05}
accepted: [2026-01-02]
webhook_variable: HOOK
"""


def _loading(config_class: type[Config]) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        path = folder / "config.yaml"
        path.write_bytes(data)
        fingerprint(to_plain(load_config(config_class, path)))

    return read


def _read_study(data: bytes, folder: Path) -> None:
    path = folder / "study.yaml"
    path.write_bytes(data)
    study = load_config(StudyConfig, path)
    number = sum(len(of.members()) for of in study.mixes) * len(study.seeds)
    if number * max(1, sum(map(len, study.axes.values()))) < 64:  # what more of the same takes is time only
        trials(study)


def _read_nightly(data: bytes, folder: Path) -> None:
    path = folder / "nightly.yaml"
    path.write_bytes(data)
    fingerprint(to_plain(load_nightly(path)))


def _read_override(data: bytes, folder: Path) -> None:
    override = data.decode(errors="replace")
    with_overrides({"a": {"b": [1, {"c": 2}]}, "d": None, "e": 1}, [override])


def _read_root(data: bytes, folder: Path) -> None:
    text = data.decode(errors="replace")
    if text.startswith("s3:"):
        parse_s3_uri(text)
    else:
        open_store(text)


def _read_spec(data: bytes, folder: Path) -> None:
    from cluster.specs.validate import validate_texts

    validate_texts({"spec.yaml": data.decode(errors="replace")}, {})


def _example_clusters() -> list[bytes]:
    return [path.read_bytes() for path in sorted((REPOSITORY / "cluster/specs/examples").glob("*.yaml"))]


def _rendered() -> list[bytes]:
    from cluster.specs.render import render

    configs = [
        load_config(ClusterConfig, path) for path in sorted((REPOSITORY / "cluster/specs/examples").glob("*.yaml"))
    ]
    return [text.encode() for config in configs for name, text in render(config).items() if name.endswith(".yaml")]


TARGETS = (
    Target("run_config", _loading(RunConfig), lambda: [RUN], cost=40),
    Target("study_config", _read_study, lambda: [STUDY], cost=40),
    Target("nightly_config", _read_nightly, lambda: [NIGHTLY], cost=30),
    Target("cluster_config", _loading(ClusterConfig), _example_clusters, cost=20),
    Target("override", _read_override, lambda: [b"a.b.1.c=3", b"d.e={f: 1/3}", b"a=[1, 2]"], cost=3),
    Target("root", _read_root, lambda: [b"s3://bucket/a/b?region=eu", b"file:/tmp/x", b"runs/x", b"~/x"]),
    Target("cluster_spec", _read_spec, _rendered, cost=60),
)
