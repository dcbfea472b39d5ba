"""What is refused, one line each: specs that are open, unguarded, too powerful, or tell a secret."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from specs.clusters import document, rendered

from cluster.config import build_config
from cluster.errors import ConfigError
from cluster.specs.config import ClusterConfig
from cluster.specs.secrets import names_secret
from cluster.specs.validate import validate_texts

AWS, HOME, KUBERNETES, MACHINE = "8-gpus-aws", "8-gpus-on-premise", "64-gpus-kubernetes", "1-gpu-machine"
Edit = Callable[[Any], Any]


def problems(texts: dict[str, str]) -> list[str]:
    """One line for each problem."""
    lines = [str(problem) for problem in validate_texts(texts, {}).problems]
    assert not any("\n" in line for line in lines)
    return lines


def after(name: str, file: str, edit: Edit) -> list[str]:
    """Problems of a ready-made spec in which one document was edited."""
    changed = document(name, file)
    edit(changed)
    text = json.dumps(changed) if file.endswith(".json") else yaml.safe_dump(changed)
    beside = {other: rendered(name)[other] for other in ("surroundings.yaml",) if other in rendered(name)}
    return problems(beside | {file: text})


def ray_start(options: str) -> Edit:
    return lambda spec: spec["head_start_ray_commands"].__setitem__(
        1, f"RAY_AUTH_MODE=token ray start --head {options}"
    )


def node(**changes: Any) -> Edit:
    return lambda spec: spec["available_node_types"]["cpu"]["node_config"].update(changes)


def without_token(spec: Any) -> None:
    spec["worker_start_ray_commands"] = ["ray stop", "ray start --address=$RAY_HEAD_IP:6379"]


@pytest.mark.parametrize(
    ("name", "edit", "line"),
    [
        (
            HOME,
            ray_start("--dashboard-host=0.0.0.0"),
            r"head_start_ray_commands\[1\]: opens the dashboard on 0\.0\.0\.0",
        ),
        (
            HOME,
            ray_start("--dashboard-host 10.0.0.1"),
            r"head_start_ray_commands\[1\]: opens the dashboard on 10\.0\.0\.1",
        ),
        (HOME, without_token, r"worker_start_ray_commands\[1\]: starts Ray without a token"),
        (HOME, lambda spec: spec.pop("head_start_ray_commands"), "head_start_ray_commands: is missing; Ray's default"),
        (HOME, lambda spec: spec.pop("file_mounts"), "file_mounts: brings no token to the nodes"),
        (HOME, lambda spec: spec.update(dockr={}), "unknown field dockr; known here: auth, available_node_types, "),
        (HOME, lambda spec: spec.update(max_workers="2"), "max_workers: '2' is not of type 'integer'"),
        (AWS, node(SecurityGroupIds=[]), r"available_node_types\.cpu\.node_config\.SecurityGroupIds: is missing"),
        (AWS, node(IamInstanceProfile=None), r"node_config\.IamInstanceProfile: is missing; .* all rights to EC2"),
        (AWS, node(MetadataOptions={}), r"node_config\.MetadataOptions\.HttpTokens: is not 'required'"),
        (
            AWS,
            node(BlockDeviceMappings=[{"Ebs": {"Encrypted": False}}]),
            r"BlockDeviceMappings: does not encrypt the disk",
        ),
        (
            AWS,
            lambda spec: spec["provider"].update(
                security_group={"IpPermissions": [{"FromPort": 8265, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]}
            ),
            r"provider\.security_group\.IpPermissions\[0\]\.IpRanges\[0\]\.CidrIp: 0\.0\.0\.0/0 opens ports to the world",
        ),
        (
            AWS,
            lambda spec: spec["docker"]["run_options"].append("--env RAY_AUTH_TOKEN=abc123"),
            r"docker\.run_options\[6\]: gives RAY_AUTH_TOKEN a value in plain text",
        ),
        (
            HOME,
            ray_start("--redis-password=abc --dashboard-host=127.0.0.1"),
            r"gives redis-password a value in plain text",
        ),
    ],
)
def test_launcher_yaml(name: str, edit: Edit, line: str) -> None:
    found = after(name, "launcher.yaml", edit)
    assert len(found) == 1 and re.match(f"launcher.yaml: .*{line}", found[0]), found


def head(**changes: Any) -> Edit:
    return lambda spec: spec["spec"]["headGroupSpec"].update(changes)


def head_container(spec: Any) -> Any:
    return spec["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]


def password(spec: Any) -> None:
    spec["spec"]["gcsFaultToleranceOptions"]["redisPassword"] = {"value": "abc"}


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (head(serviceType="LoadBalancer"), r"spec\.headGroupSpec\.serviceType: LoadBalancer opens the head"),
        (head(headService={"spec": {"type": "NodePort"}}), r"headService\.spec\.type: NodePort opens the head"),
        (head(enableIngress=True), r"spec\.headGroupSpec\.enableIngress: opens the dashboard"),
        (lambda spec: spec["spec"].pop("authOptions"), r"spec\.authOptions: is missing, and headGroupSpec\.template"),
        (lambda spec: spec["spec"].update(authOptions={"mode": "disabled"}), r"authOptions\.mode: is 'disabled'"),
        (
            lambda spec: spec["metadata"].update(namespace="else"),
            r"rayStartParams\.dashboard-host: .* no NetworkPolicy",
        ),
        (
            lambda spec: spec["spec"]["headGroupSpec"]["template"]["metadata"].pop("labels"),
            r"rayStartParams\.dashboard-host: .* no NetworkPolicy beside it closes the head",
        ),
        (
            lambda spec: head_container(spec)["env"].append({"name": "AWS_SECRET_ACCESS_KEY", "value": "abc"}),
            r"containers\[ray-head\]\.env\[AWS_SECRET_ACCESS_KEY\]\.value: holds a secret in plain text",
        ),
        (
            lambda spec: head_container(spec)["env"].append({"name": "WHO", "value": "AKIA" + "A" * 16}),
            r"containers\[ray-head\]\.env\[WHO\]\.value: holds an AWS access key in plain text",
        ),
        (password, r"spec\.gcsFaultToleranceOptions\.redisPassword\.value: holds a secret in plain text"),
        (lambda spec: head_container(spec)["securityContext"].update(privileged=True), r"privileged: is true"),
        (
            lambda spec: head_container(spec)["ports"][1].update(hostPort=8265),
            r"ports\[dashboard\]\.hostPort: opens a port",
        ),
        (
            lambda spec: spec["spec"]["headGroupSpec"]["template"]["spec"].update(hostNetwork=True),
            r"template\.spec\.hostNetwork: is true",
        ),
    ],
)
def test_ray_clusters_in_kubernetes(edit: Edit, line: str) -> None:
    found = after(KUBERNETES, "raycluster.yaml", edit)
    assert len(found) == 1 and re.match(f"raycluster.yaml: .*{line}", found[0]), found


@pytest.mark.parametrize(("mode", "closed"), [("DenyAll", True), ("DenyAllIngress", True), ("DenyAllEgress", False)])
def test_the_network_policy_of_kuberay_closes_too(mode: str, closed: bool) -> None:
    cluster = document(KUBERNETES, "raycluster.yaml")
    cluster["spec"]["networkPolicy"] = {"mode": mode}
    found = problems({"alone.yaml": yaml.safe_dump(cluster)})
    assert [line for line in found if "no NetworkPolicy beside it" not in line] == [] and bool(found) is not closed


def test_every_kind_that_brings_a_cluster_is_looked_at() -> None:
    def disabled(spec: Any) -> None:
        spec["authOptions"] = {"mode": "disabled"}

    job = after(KUBERNETES, "rayjob.yaml", lambda d: disabled(d["spec"]["rayClusterSpec"]))
    assert job[0].startswith("rayjob.yaml: spec.rayClusterSpec.authOptions.mode: is 'disabled'")
    cron = after(KUBERNETES, "raycronjob.yaml", lambda d: disabled(d["spec"]["jobTemplate"]["rayClusterSpec"]))
    assert cron[0].startswith("raycronjob.yaml: spec.jobTemplate.rayClusterSpec.authOptions.mode: is 'disabled'")
    plain = after(KUBERNETES, "cronjob.yaml", lambda d: pod_of(d)["containers"][0].pop("env"))
    assert len(plain) == 1 and "containers[submitter].env: has no token for Ray" in plain[0]


def pod_of(cron_job: Any) -> Any:
    return cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    "rule",
    [{}, {"from": []}, {"from": [{"namespaceSelector": {}}]}, {"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}],
)
def test_a_policy_that_lets_everybody_in_closes_nothing(rule: Any) -> None:
    policy = document(KUBERNETES, "surroundings.yaml", 2)
    assert policy["kind"] == "NetworkPolicy"
    policy["spec"]["ingress"].append(rule)
    found = problems({"policy.yaml": yaml.safe_dump(policy), "c.yaml": rendered(KUBERNETES)["raycluster.yaml"]})
    assert len(found) == 1
    assert re.search(r"no NetworkPolicy beside it closes the head|cidr: 0\.0\.0\.0/0 lets everybody in", found[0])


def test_services_and_secrets_beside_a_cluster() -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "open"}, "spec": {"type": "NodePort"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"auth_key": "abc"}}
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"}, "spec": {}}
    found = problems({"a.yaml": yaml.safe_dump_all([service, secret, ingress])})
    assert [line.partition(";")[0] for line in found] == [
        "a.yaml#2 (Secret): stringData: holds a Secret's values",
        "a.yaml#1 (Service): spec.type: NodePort opens the head to the outside",
        "a.yaml#3 (Ingress): kind: an Ingress opens the cluster to the outside",
    ]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "ExecStart: --dashboard-host is 0.0.0.0"),
        ("--node-ip-address=127.0.0.1 ", "", "ExecStart: --node-ip-address is missing"),
        ("Environment=RAY_AUTH_MODE=token\n", "", "Environment: starts Ray without a token"),
        ("RAY_AUTH_MODE=token", "RAY_AUTH_MODE=disabled", "Environment: starts Ray without a token"),
        ("Environment=RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0\n", "", "Environment: lacks RAY_ENABLE_WINDOWS_OR_OSX_"),
        ("[Install]", "Environment=HF_TOKEN=abc\n[Install]", "line 16: gives HF_TOKEN a value in plain text"),
    ],
)
def test_units(old: str, new: str, line: str) -> None:
    text = rendered(MACHINE)["one-gpu-ray.service"]
    assert old in text
    found = problems({"ray.service": text.replace(old, new)})
    assert len(found) == 1 and found[0].startswith(f"ray.service: {line}"), found


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("USER 1000\n", "", "USER: is missing; what runs in the container would be root"),
        ("USER 1000\n", "USER root\n", "USER: is root"),
        ("FROM python:3.12-slim-bookworm\n", "FROM python:latest\n", "FROM: python:latest changes by itself"),
        ("USER 1000\n", "ENV API_KEY=abc\nUSER 1000\n", "line 24: gives API_KEY a value in plain text"),
    ],
)
def test_dockerfiles(old: str, new: str, line: str) -> None:
    text = rendered(AWS)["Dockerfile.gpu"]
    assert old in text
    found = problems({"Dockerfile.gpu": text.replace(old, new)})
    assert len(found) == 1 and found[0].startswith(f"Dockerfile.gpu: {line}"), found


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"Action": "s3:*"}, r"Statement\[x\]\.Action: allows s3:\*"),
        ({"Resource": "*"}, r"Statement\[x\]\.Resource: allows ec2:RunInstances on all there is"),
        ({"Principal": {"AWS": "*"}}, r"Statement\[x\]\.Principal: lets any account in"),
    ],
)
def test_policies(change: dict[str, Any], line: str) -> None:
    statement = {"Sid": "x", "Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "arn:aws:ec2:::x"} | change
    found = problems({"iam.json": json.dumps({"Version": "2012-10-17", "Statement": statement})})
    assert len(found) == 1 and re.match(f"iam.json: {line}", found[0]), found


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("RAY_AUTH_TOKEN", True),
        ("password", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("OPENAI_API_KEY", True),
        ("clientSecret", True),
        ("secretName", False),
        ("RAY_AUTH_TOKEN_PATH", False),
        ("HttpTokens", False),
        ("KeyName", False),
        ("RAY_AUTH_MODE", False),
    ],
)
def test_names_of_secrets(name: str, secret: bool) -> None:
    assert names_secret(name) is secret


BASE = {"name": "c", "root": "s3://bucket/mix"}
NODES = {"instance_type": "m7i.large", "max_nodes": 1}
POD = {"cpus": 4, "memory_gib": 8, "max_pods": 1}
AWS_FIELDS = {
    "kind": "aws",
    "region": "eu-central-1",
    "account": "123456789012",
    "subnets": ["subnet-01234567"],
    "security_group": "sg-01234567",
    "ssh_from": "203.0.113.0/24",
    "key_pair": "key",
    "ssh_key_file": "~/key.pem",
    "machine_image": "ami-01234567",
    "cpu_image": "registry.example/mix:1",
    "gpu_image": "registry.example/mix:1",
    "cpu": NODES,
}
PODS_FIELDS = {"kind": "kubernetes", "namespace": "mix", "cpu_image": "a.b/c:1", "gpu_image": "a.b/c:2", "cpu": POD}
HOME_FIELDS = {"kind": "on-premise", "head": "10.0.0.1", "workers": ["10.0.0.2"], "ssh_user": "ray"}


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (BASE | {"name": "n" * 29, "provider": AWS_FIELDS}, "name: String should have at most 28 characters"),
        (BASE | {"provider": AWS_FIELDS | {"ssh_from": "0.0.0.0/0"}}, "ssh_from: is the whole world, or nearly"),
        (BASE | {"provider": AWS_FIELDS | {"cpu": None}}, "gpu, cpu: both are missing"),
        (BASE | {"provider": AWS_FIELDS | {"cpu": NODES | {"min_nodes": 2}}}, "min_nodes 2 exceeds max_nodes 1"),
        (BASE | {"provider": AWS_FIELDS | {"cpu_image": "mix:latest"}}, "cpu_image: must be an image with a tag"),
        (
            BASE | {"provider": PODS_FIELDS | {"cpu": POD | {"object_store_gib": 5}}},
            "is more than half of memory_gib 8",
        ),
        (BASE | {"provider": PODS_FIELDS | {"token": "abc"}}, "token: secrets do not belong in a configuration"),
        (BASE | {"provider": HOME_FIELDS | {"workers": ["10.0.0.1"]}}, "10.0.0.1 stands twice"),
        (BASE | {"provider": HOME_FIELDS | {"environment": "/opt/x; rm"}}, "environment: must be a path of letters"),
        (BASE | {"provider": HOME_FIELDS, "root": "runs"}, "root: 'runs' is a folder of each machine's own"),
        (BASE | {"provider": HOME_FIELDS, "root": "s3://key:word@bucket/x"}, "root: String should match pattern"),
        (
            BASE | {"provider": {"kind": "machine"}, "nightly": {"config": "x", "schedule": "0 25 * * *"}},
            "has 25 where 0",
        ),
        (
            BASE | {"provider": {"kind": "machine"}, "nightly": {"config": "x", "time_zone": "Nowhere"}},
            "is no time zone",
        ),
    ],
)
def test_configurations(fields: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(line)) as error:
        build_config(ClusterConfig, fields, where="cluster.yaml")
    assert str(error.value).startswith("cluster.yaml: ") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "kind: &a [*a]",
        "a0: &a0 [1]\n" + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)),
    ],
)
def test_aliases_that_expand_without_end_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^x\.yaml: holds more than 200000 values, or itself"):
        validate_texts({"x.yaml": text}, {})


@pytest.mark.parametrize("text", ["[1, 2]", "", "a: 1", "a: [", "- x"])
def test_what_is_no_spec_is_said(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^x\.yaml: (is no part of a cluster spec|line 1 not valid YAML|line 2)"):
        validate_texts({"x.yaml": text}, {})
