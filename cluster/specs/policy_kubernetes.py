"""What Kubernetes manifests must not be: reachable from outside, without a token, privileged."""

from collections.abc import Iterator, Sequence
from typing import Any

from cluster.specs.pods import TOKEN_KEY
from cluster.specs.policy_launcher import WORLD
from cluster.specs.problems import Document, Problem, items, part, walk

_OUTSIDE = ("LoadBalancer", "NodePort")
_CLUSTER_SPECS = {
    "RayCluster": ("spec",),
    "RayJob": ("spec", "rayClusterSpec"),
    "RayCronJob": ("spec", "jobTemplate", "rayClusterSpec"),
}
_CLIENTS = ("ray", "mixlingual")


def kubernetes_problems(documents: Sequence[Document]) -> Iterator[Problem]:
    """Everything that leaves a cluster open, in manifests that are applied together."""
    policies = [document for document in documents if document.content.get("kind") == "NetworkPolicy"]
    for document in documents:
        yield from _exposure(document)
        keys = _CLUSTER_SPECS.get(str(document.content.get("kind")))
        cluster = part(document.content, *keys) if keys else None
        if keys and isinstance(cluster, dict):
            where = ".".join(keys)
            yield from _token(document, cluster, where)
            yield from _dashboard(document, cluster, where, policies)
        elif document.content.get("kind") in ("CronJob", "Job", "Deployment", "Pod"):
            yield from _clients(document)


def _exposure(document: Document) -> Iterator[Problem]:
    kind = document.content.get("kind")
    if kind == "Ingress":
        yield document.problem("kind", "an Ingress opens the cluster to the outside; use `kubectl port-forward`")
    for path, value in walk(document.content):
        last = path.rpartition(".")[2]
        service_type = (
            last == "serviceType"
            or path.endswith("headService.spec.type")
            or (kind == "Service" and path == "spec.type")
        )
        if service_type and value in _OUTSIDE:
            yield document.problem(path, f"{value} opens the head to the outside; use ClusterIP and port-forward")
        elif last == "enableIngress" and value is True:
            yield document.problem(path, "opens the dashboard to the outside; leave it out and use port-forward")
        elif last in ("hostNetwork", "privileged", "allowPrivilegeEscalation") and value is True:
            yield document.problem(path, "is true; what runs in the pod would reach the node itself")
        elif last == "hostPort":
            yield document.problem(path, "opens a port of the node; pods reach each other without")
        elif isinstance(value, str) and value.strip() in WORLD and last == "cidr" and ".egress" not in path:
            yield document.problem(path, f"{value} lets everybody in; name the pods or the network that may")


def _token(document: Document, cluster: dict[str, Any], where: str) -> Iterator[Problem]:
    mode = part(cluster, "authOptions", "mode")
    if mode == "token":
        return
    if mode is not None:
        yield document.problem(
            f"{where}.authOptions.mode", f"is '{mode}'; anybody who reaches the head could run code, use token"
        )
        return
    for path, container in _containers(cluster):
        if not _has_token(container):
            yield document.problem(
                f"{where}.authOptions",
                f"is missing, and {path} has no token; add mode: token, and secretName: a Secret with {TOKEN_KEY}",
            )
            return


def _containers(cluster: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The first container of head and workers, which is the one that runs Ray."""
    groups = {"headGroupSpec": cluster.get("headGroupSpec")}
    groups |= {
        f"workerGroupSpecs[{number}]": group for number, group in enumerate(items(cluster.get("workerGroupSpecs")))
    }
    for name, group in groups.items():
        for container in items(part(group, "template", "spec", "containers"))[:1]:
            yield f"{name}.template.spec.containers[0]", container


def _has_token(container: Any) -> bool:
    variables = {part(variable, "name"): variable for variable in items(part(container, "env"))}
    mode = part(variables.get("RAY_AUTH_MODE"), "value")
    by_reference = part(variables.get("RAY_AUTH_TOKEN"), "valueFrom", "secretKeyRef")
    return mode == "token" and (by_reference is not None or "RAY_AUTH_TOKEN_PATH" in variables)


def _clients(document: Document) -> Iterator[Problem]:
    """Pods that hand jobs in need the token too."""
    for path, value in walk(document.content):
        if not path.endswith(".containers"):
            continue
        for container in items(value):
            called = [*items(part(container, "command")), *items(part(container, "args"))]
            if any(str(word).split("/")[-1] in _CLIENTS for word in called[:1]) and not _has_token(container):
                yield document.problem(
                    f"{path}[{part(container, 'name')}].env",
                    "has no token for Ray; set RAY_AUTH_MODE to token and RAY_AUTH_TOKEN by valueFrom.secretKeyRef",
                )


def _dashboard(
    document: Document, cluster: dict[str, Any], where: str, policies: Sequence[Document]
) -> Iterator[Problem]:
    host = part(cluster, "headGroupSpec", "rayStartParams", "dashboard-host")
    own = cluster.get("networkPolicy")  # KubeRay's, behind a feature gate: without the gate it refuses the cluster
    if host in ("127.0.0.1", "localhost") or (isinstance(own, dict) and own.get("mode") != "DenyAllEgress"):
        return
    labels = {"ray.io/node-type": "head", "ray.io/is-ray-node": "yes"}
    if document.content.get("kind") == "RayCluster":
        labels["ray.io/cluster"] = str(part(document.content, "metadata", "name"))
    labels |= part(cluster, "headGroupSpec", "template", "metadata", "labels") or {}
    namespace = part(document.content, "metadata", "namespace")
    found = "is open to every pod of every namespace" if host else "is 0.0.0.0, KubeRay's default"
    if not any(_closes(policy, labels, namespace) for policy in policies):
        yield document.problem(
            f"{where}.headGroupSpec.rayStartParams.dashboard-host",
            f"{found}, and no NetworkPolicy beside it closes the head; add one that selects the head's labels",
        )


def _closes(policy: Document, labels: dict[str, Any], namespace: Any) -> bool:
    """Whether a policy keeps strangers from pods with these labels."""
    spec = policy.content.get("spec")
    selector = part(spec, "podSelector")
    wanted = part(selector, "matchLabels") or {}
    return (
        part(policy.content, "metadata", "namespace") == namespace
        and isinstance(selector, dict)
        and not selector.get("matchExpressions")
        and wanted.items() <= labels.items()
        and "Ingress" in (part(spec, "policyTypes") or ["Ingress"])
        and all(_narrow(rule) for rule in items(part(spec, "ingress")))
    )


def _narrow(rule: Any) -> bool:
    """Whether a rule names who may enter: an empty one, or one for all namespaces, lets everybody in."""
    peers = items(part(rule, "from"))
    return bool(peers) and all(isinstance(peer, dict) and peer and peer != {"namespaceSelector": {}} for peer in peers)
