"""What surrounds a Ray cluster in Kubernetes: namespace, account, priority, closed network, and a CronJob."""

import json
from typing import Any

from cluster.specs.config import ClusterConfig, KubernetesConfig, NightlyConfig
from cluster.specs.kuberay import driver_resources, night
from cluster.specs.launcher import SETTINGS
from cluster.specs.pods import DASHBOARD_PORT, PART_OF, TOKEN_KEY, labels, priority_class, submitting_pod


def surroundings(config: ClusterConfig, provider: KubernetesConfig) -> list[dict[str, Any]]:
    """What must be there before the cluster."""
    made = [_namespace(provider), _service_account(config, provider), _network_policy(config, provider)]
    if provider.gpu is not None:
        made.append(_priority_class(config, provider.gpu.priority))
    return made


def cron_job(config: ClusterConfig, provider: KubernetesConfig, nightly: NightlyConfig) -> dict[str, Any]:
    """The night's work every night on the standing cluster, where KubeRay's RayCronJob is turned off."""
    address = f"http://{config.name}-head-svc.{provider.namespace}.svc:{DASHBOARD_PORT}"
    command = ["ray", "job", "submit", f"--address={address}"]
    if provider.cpu is not None:
        command.append(f"--entrypoint-resources={json.dumps(driver_resources())}")
    token = {"secretKeyRef": {"name": provider.token_name, "key": TOKEN_KEY}}
    environment = [
        {"name": "RAY_AUTH_MODE", "value": SETTINGS["RAY_AUTH_MODE"]},
        {"name": "RAY_AUTH_TOKEN", "valueFrom": token},
    ]
    container = {
        "name": "submitter",
        "image": provider.cpu_image,
        "command": [*command, "--", *night(config, nightly)],
        "env": environment,
    }
    pod = submitting_pod(config, container)
    pod["spec"]["automountServiceAccountToken"] = False
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": _about(config, provider, f"{config.name}-nightly"),
        "spec": {
            "schedule": nightly.schedule,
            "timeZone": nightly.time_zone,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "jobTemplate": {
                "spec": {"activeDeadlineSeconds": 3600 * nightly.hours, "backoffLimit": 1, "template": pod},
            },
        },
    }


def _namespace(provider: KubernetesConfig) -> dict[str, Any]:
    # Kubernetes itself then refuses pods that ask for privileges.
    standard = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": provider.namespace, "labels": standard}}


def _service_account(config: ClusterConfig, provider: KubernetesConfig) -> dict[str, Any]:
    about = _about(config, provider, config.name)
    if provider.storage_role is not None:
        about["annotations"] = {"eks.amazonaws.com/role-arn": provider.storage_role}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about}


def _priority_class(config: ClusterConfig, value: int) -> dict[str, Any]:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": priority_class(config), "labels": labels(config)},
        "value": value,
        "preemptionPolicy": "PreemptLowerPriority",
        "description": f"GPU work of {config.name}",
    }


def _network_policy(config: ClusterConfig, provider: KubernetesConfig) -> dict[str, Any]:
    """The cluster's pods reach each other; the operator asks the dashboard how jobs are; nobody else gets in."""
    own = {"podSelector": {"matchLabels": {PART_OF: config.name}}}
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": provider.operator_namespace}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}},
    }
    dashboard = {"protocol": "TCP", "port": DASHBOARD_PORT}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _about(config, provider, f"{config.name}-closed"),
        "spec": {
            "podSelector": own["podSelector"],
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [own]}, {"from": [operator], "ports": [dashboard]}],
        },
    }


def _about(config: ClusterConfig, provider: KubernetesConfig, name: str) -> dict[str, Any]:
    return {"name": name, "namespace": provider.namespace, "labels": labels(config)}
