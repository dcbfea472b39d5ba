"""Pod templates: head, GPU and CPU workers, and the small pods that only submit; all of them unprivileged."""

from typing import Any

from cluster.specs.config import ClusterConfig, GpuPods, KubernetesConfig, PodSize
from cluster.specs.launcher import GCS_PORT, SETTINGS

PART_OF = "app.kubernetes.io/part-of"
"""Label of every pod of a cluster, which the network policy goes by: it holds for clusters that RayJobs make too."""
DASHBOARD_PORT, CLIENT_PORT, AGENT_PORT = 8265, 10001, 52365
TOKEN_KEY = "auth_token"
"""Key of the token in its Secret, as KubeRay wants it."""
_USER = 1000


def labels(config: ClusterConfig) -> dict[str, str]:
    """Labels of every pod of a cluster."""
    return {PART_OF: config.name, "app.kubernetes.io/name": "mixlingual"}


def head_pod(config: ClusterConfig, provider: KubernetesConfig) -> dict[str, Any]:
    """The head's pod; alive while the GCS answers."""
    ports = {"gcs": GCS_PORT, "dashboard": DASHBOARD_PORT, "client": CLIENT_PORT}
    container = _ray_container(provider.head, provider.cpu_image, "ray-head") | {
        "ports": [{"name": name, "containerPort": port} for name, port in ports.items()],
        # Health paths are the only ones that Ray answers without a token.
        **_probes("/api/gcs_healthz", DASHBOARD_PORT),
    }
    return _pod(config, provider.head, container, needs_api=True)


def gpu_pod(config: ClusterConfig, provider: KubernetesConfig, group: GpuPods) -> dict[str, Any]:
    """A pod that trains, on a GPU node, before other work."""
    container = _ray_container(group, provider.gpu_image, "ray-worker") | _worker_probes()
    for amounts in container["resources"].values():
        amounts["nvidia.com/gpu"] = str(group.gpus)
    pod = _pod(config, group, container)
    pod["spec"] |= {
        "priorityClassName": priority_class(config),
        "affinity": {"nodeAffinity": _nodes_with(group.node_labels, "In")},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    }
    return pod


def cpu_pod(config: ClusterConfig, provider: KubernetesConfig, group: PodSize) -> dict[str, Any]:
    """A pod that prepares, feeds and evaluates, on a node without GPUs."""
    pod = _pod(config, group, _ray_container(group, provider.cpu_image, "ray-worker") | _worker_probes())
    if provider.gpu is not None:
        pod["spec"]["affinity"] = {"nodeAffinity": _nodes_with(provider.gpu.node_labels, "NotIn")}
    return pod


def submitting_pod(config: ClusterConfig, container: dict[str, Any]) -> dict[str, Any]:
    """A pod that hands a job in and follows its log."""
    size = PodSize(cpus=1, memory_gib=2)
    ask = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    pod = _pod(config, size, {"resources": ask, "securityContext": _container_security(), **container})
    pod["spec"] |= {"restartPolicy": "Never", "volumes": [_folder("tmp", "1Gi"), _folder("home", "1Gi")]}
    pod["spec"]["containers"][0]["volumeMounts"] = _folder_mounts()
    return pod


def priority_class(config: ClusterConfig) -> str:
    """Name of the priority class of GPU work."""
    return f"{config.name}-gpu"


def _ray_container(size: PodSize, image: str, name: str) -> dict[str, Any]:
    # Requests equal limits: such pods are the last to be evicted, and Ray's idea of its resources is true.
    amounts = {"cpu": str(size.cpus), "memory": f"{size.memory_gib}Gi", "ephemeral-storage": f"{size.disk_gib}Gi"}
    environment = {name: value for name, value in SETTINGS.items() if name != "RAY_AUTH_MODE"}  # authOptions sets it
    return {
        "name": name,
        "image": image,
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": {"requests": dict(amounts), "limits": dict(amounts)},
        "securityContext": _container_security(),
        "volumeMounts": [*_folder_mounts(), {"name": "shm", "mountPath": "/dev/shm"}],
    }


def _pod(config: ClusterConfig, size: PodSize, container: dict[str, Any], needs_api: bool = False) -> dict[str, Any]:
    shared_memory = {"medium": "Memory", "sizeLimit": f"{size.object_store_gib}Gi"}
    return {
        "metadata": {"labels": labels(config)},
        "spec": {
            "serviceAccountName": config.name,
            "automountServiceAccountToken": needs_api,  # the head's autoscaler asks Kubernetes for pods
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "runAsGroup": _USER,
                "fsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationGracePeriodSeconds": 120,  # time for the checkpoint that is under way
            "containers": [container],
            "volumes": [
                _folder("tmp", f"{size.disk_gib}Gi"),
                _folder("home", f"{size.disk_gib}Gi"),
                {"name": "shm", "emptyDir": shared_memory},
            ],
        },
    }


def _container_security() -> dict[str, Any]:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _folder(name: str, size: str) -> dict[str, Any]:
    return {"name": name, "emptyDir": {"sizeLimit": size}}


def _folder_mounts() -> list[dict[str, str]]:
    """All that can be written to: Ray's files, and caches below the home folder."""
    return [{"name": "tmp", "mountPath": "/tmp"}, {"name": "home", "mountPath": "/home/mixlingual"}]


def _probes(path: str, port: int) -> dict[str, Any]:
    probe = {"httpGet": {"path": path, "port": port}, "periodSeconds": 10, "timeoutSeconds": 5}
    return {
        "startupProbe": probe | {"failureThreshold": 60},  # ten minutes; large images start slowly
        "readinessProbe": probe | {"failureThreshold": 3},
        "livenessProbe": probe | {"failureThreshold": 12},
    }


def _worker_probes() -> dict[str, Any]:
    return _probes("/api/local_raylet_healthz", AGENT_PORT)


def _nodes_with(node_labels: dict[str, str], operator: str) -> dict[str, Any]:
    expressions = [{"key": key, "operator": operator, "values": [value]} for key, value in sorted(node_labels.items())]
    # All labels make a GPU node; a node without one of them is none.
    terms = [expressions] if operator == "In" else [[expression] for expression in expressions]
    return {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": term} for term in terms]
        }
    }
