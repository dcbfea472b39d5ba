"""KubeRay's resources: a standing RayCluster, and RayJob and RayCronJob that bring a cluster of their own."""

import json
import shlex
from typing import Any

from cluster.specs.aws import DRIVER, DRIVERS_PER_NODE
from cluster.specs.config import RAY_VERSION, ClusterConfig, KubernetesConfig, NightlyConfig, PodGroup, PodSize
from cluster.specs.pods import cpu_pod, gpu_pod, head_pod, labels, submitting_pod

API_VERSION = "ray.io/v1"


def ray_cluster(config: ClusterConfig, provider: KubernetesConfig) -> dict[str, Any]:
    """A cluster that stands until it is deleted."""
    return _object(config, provider, "RayCluster", config.name, cluster_spec(config, provider, stands=True))


def ray_job(config: ClusterConfig, provider: KubernetesConfig, nightly: NightlyConfig) -> dict[str, Any]:
    """The night's work, once, now, in a cluster of its own."""
    return _object(config, provider, "RayJob", f"{config.name}-once", job_spec(config, provider, nightly))


def ray_cron_job(config: ClusterConfig, provider: KubernetesConfig, nightly: NightlyConfig) -> dict[str, Any]:
    """The night's work every night, each in a cluster of its own. Alpha; KubeRay's feature gate RayCronJob."""
    spec = {
        "schedule": nightly.schedule,
        "timeZone": nightly.time_zone,
        "suspend": False,
        "jobTemplate": job_spec(config, provider, nightly),
    }
    return _object(config, provider, "RayCronJob", f"{config.name}-nightly", spec)


def cluster_spec(config: ClusterConfig, provider: KubernetesConfig, stands: bool) -> dict[str, Any]:
    """What a RayCluster is; one that `stands` can have its head's state in Redis."""
    spec: dict[str, Any] = {
        "rayVersion": RAY_VERSION,
        "authOptions": {"mode": "token", "secretName": provider.token_name},
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {
            "version": "v2",
            "upscalingMode": "Default",
            "idleTimeoutSeconds": 60 * config.idle_minutes,
            "resources": {
                "requests": {"cpu": "250m", "memory": "512Mi"},
                "limits": {"cpu": "1", "memory": "1Gi"},
            },
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        },
        "headGroupSpec": {
            "serviceType": "ClusterIP",
            # Other pods of the cluster must reach it; the network policy keeps everybody else out.
            "rayStartParams": {"dashboard-host": "0.0.0.0", "num-cpus": "0"} | _store(provider.head),
            "template": head_pod(config, provider),
        },
        "workerGroupSpecs": _groups(config, provider),
    }
    if stands and provider.redis is not None:
        login = {"secretKeyRef": {"name": provider.redis.login_name, "key": "password"}}
        spec["gcsFaultToleranceOptions"] = {
            "redisAddress": provider.redis.address,
            "redisPassword": {"valueFrom": login},
        }
    return spec


def job_spec(config: ClusterConfig, provider: KubernetesConfig, nightly: NightlyConfig) -> dict[str, Any]:
    """What a RayJob is: the night in a cluster that goes with it."""
    spec: dict[str, Any] = {
        "entrypoint": shlex.join(night(config, nightly)),
        "submissionMode": "K8sJobMode",
        "submitterPodTemplate": submitting_pod(config, {"name": "submitter", "image": provider.cpu_image}),
        "submitterConfig": {"backoffLimit": 2},
        "rayClusterSpec": cluster_spec(config, provider, stands=False),
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": 3600,
        "activeDeadlineSeconds": 3600 * nightly.hours,
        # What was done is found again: a second attempt goes on where the first one stopped.
        "backoffLimit": 1,
    }
    if provider.cpu is not None:
        spec["entrypointResources"] = json.dumps(driver_resources())
    return spec


def night(config: ClusterConfig, nightly: NightlyConfig) -> list[str]:
    """The command of a night."""
    return ["mixlingual", "nightly", "--config", nightly.config, "--root", config.root]


def driver_resources() -> dict[str, int]:
    """What a job's driver asks for, to run beside the CPU workers and not on the head."""
    return {DRIVER: 1}


def _groups(config: ClusterConfig, provider: KubernetesConfig) -> list[dict[str, Any]]:
    groups = []
    if provider.gpu is not None:
        groups.append(_group("gpu", provider.gpu, {}, gpu_pod(config, provider, provider.gpu)))
    if provider.cpu is not None:
        # Ray wants JSON within the quotes of a command line.
        drivers = {"resources": json.dumps(json.dumps({DRIVER: DRIVERS_PER_NODE}))}
        groups.append(_group("cpu", provider.cpu, drivers, cpu_pod(config, provider, provider.cpu)))
    return groups


def _group(name: str, group: PodGroup, parameters: dict[str, str], pod: dict[str, Any]) -> dict[str, Any]:
    return {
        "groupName": name,
        "replicas": group.min_pods,
        "minReplicas": group.min_pods,
        "maxReplicas": group.max_pods,
        "rayStartParams": parameters | _store(group),
        "template": pod,
    }


def _store(size: PodSize) -> dict[str, str]:
    """Ray's object store, a little smaller than the pod's /dev/shm."""
    return {"object-store-memory": str((size.object_store_gib << 30) * 95 // 100)}


def _object(
    config: ClusterConfig, provider: KubernetesConfig, kind: str, name: str, spec: dict[str, Any]
) -> dict[str, Any]:
    about = {"name": name, "namespace": provider.namespace, "labels": labels(config)}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": about, "spec": spec}
