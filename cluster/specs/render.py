"""ClusterConfig -> the files of its spec, as text; the same configuration always gives the same files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from cluster.specs import aws, iam, kuberay, kubernetes, launcher, machine
from cluster.specs.config import AwsConfig, ClusterConfig, KubernetesConfig, MachineConfig, OnPremiseConfig
from cluster.specs.images import dockerfiles

LAUNCHER = "launcher.yaml"


def render(config: ClusterConfig) -> dict[str, str]:
    """File name -> text of every file of the spec."""
    made = f"# Rendered by `mixlingual cluster render` for {config.name}; change its configuration, not this.\n"
    match config.provider:
        case MachineConfig() as provider:
            return {name: made + text for name, text in machine.units(config, provider).items()}
        case OnPremiseConfig() as provider:
            return {LAUNCHER: made + _yaml([launcher.on_premise(config, provider)])}
        case AwsConfig() as provider:
            return (
                {LAUNCHER: made + _yaml([aws.launcher(config, provider)])} | _policies(config, provider) | dockerfiles()
            )
        case KubernetesConfig() as provider:
            files = _kubernetes(config, provider)
            return {name: made + _yaml(documents) for name, documents in files.items()} | dockerfiles()


def write(files: dict[str, str], folder: Path) -> list[Path]:
    """Write files into a folder; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in files]


def _policies(config: ClusterConfig, provider: AwsConfig) -> dict[str, str]:
    policies = {
        "iam-trust.json": iam.trust_policy(),
        "iam-head.json": iam.head_policy(config, provider),
        "iam-worker.json": iam.worker_policy(config, provider),
    }
    return {name: json.dumps(policy, indent=2) + "\n" for name, policy in policies.items()}


def _kubernetes(config: ClusterConfig, provider: KubernetesConfig) -> dict[str, list[dict[str, Any]]]:
    files = {
        "surroundings.yaml": kubernetes.surroundings(config, provider),
        "raycluster.yaml": [kuberay.ray_cluster(config, provider)],
    }
    if config.nightly is not None:
        files |= {
            "rayjob.yaml": [kuberay.ray_job(config, provider, config.nightly)],
            "raycronjob.yaml": [kuberay.ray_cron_job(config, provider, config.nightly)],
            "cronjob.yaml": [kubernetes.cron_job(config, provider, config.nightly)],
        }
    return files


class _Dumper(yaml.SafeDumper):
    """Writes everything out: an anchor would have to be looked up by who reads the file."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(documents: Sequence[dict[str, Any]]) -> str:
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
