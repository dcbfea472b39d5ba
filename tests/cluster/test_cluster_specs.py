"""What is rendered: valid by the readers' own schemas, closed, and no more than asked for."""

import datetime
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from specs.clusters import EXAMPLES, ROOT, crds, document, rendered

from cluster.config import build_config, load_config
from cluster.errors import ConfigError
from cluster.specs.config import (
    AwsConfig,
    AwsGpuNodes,
    ClusterConfig,
    GpuPods,
    KubernetesConfig,
    MachineConfig,
    NightlyConfig,
    OnPremiseConfig,
    RedisConfig,
)
from cluster.specs.hints import up_hint
from cluster.specs.problems import walk
from cluster.specs.render import render, write
from cluster.specs.schedule import calendar, cron_numbers
from cluster.specs.schemas import read_crds
from cluster.specs.validate import validate, validate_texts


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_ready_made_clusters_are_closed(path: Path, tmp_path: Path) -> None:
    written = write(render(load_config(ClusterConfig, path)), tmp_path / "spec")
    found = validate([path, tmp_path / "spec"], {})
    assert not found.problems
    assert set(found.files) == {str(path), *map(str, written)}


@pytest.mark.shared_data
def test_ready_made_manifests_fit_the_definitions_of_kuberay() -> None:
    found = validate_texts(rendered("64-gpus-kubernetes"), crds())
    assert not found.problems and not found.unchecked


def test_ray_takes_the_launcher_yaml() -> None:
    from ray.autoscaler._private.util import fillout_defaults, prepare_config, validate_config

    validate_config(prepare_config(document("8-gpus-on-premise", "launcher.yaml")))
    # Preparing one for AWS asks AWS for the sizes of its machines.
    validate_config(fillout_defaults(document("64-gpus-aws", "launcher.yaml")))


GIB = st.integers(1, 64)
PODS = {"cpus": st.integers(1, 200), "object_store_gib": GIB, "memory_gib": st.integers(128, 2000), "disk_gib": GIB}
NIGHTS = st.none() | st.fixed_dictionaries(
    {"config": st.sampled_from(["~/night.yaml", "/opt/night.yaml", "night.yaml"])},
    optional={
        "schedule": st.sampled_from(["0 1 * * *", "*/15 0-6 * * 1-5", "5 4 1,15 * *", "30 2 1 1 0"]),
        "time_zone": st.sampled_from(["Etc/UTC", "Asia/Tokyo"]),
        "hours": st.integers(1, 100),
    },
)
KUBERNETES = st.fixed_dictionaries(
    {
        "kind": st.just("kubernetes"),
        "namespace": st.sampled_from(["mix", "team-a"]),
        "cpu_image": st.just("registry.example/mix:1-cpu"),
        "gpu_image": st.just("registry.example/mix@sha256:" + "0" * 64),
        "cpu": st.fixed_dictionaries(PODS | {"max_pods": GIB}),
    },
    optional={
        "head": st.fixed_dictionaries(PODS),
        "gpu": st.fixed_dictionaries(PODS | {"max_pods": GIB, "gpus": st.integers(1, 8)}),
        "redis": st.just({"address": "redis:6379", "login_name": "redis-login"}),
        "token_name": st.just("another-token"),
        "storage_role": st.none(),
    },
)
AWS_NODES = {"instance_type": st.sampled_from(["m7i.large", "p5.48xlarge"]), "max_nodes": GIB}
AWS = st.fixed_dictionaries(
    {
        "kind": st.just("aws"),
        "region": st.sampled_from(["eu-central-1", "us-gov-west-1"]),
        "account": st.just("123456789012"),
        "subnets": st.just(["subnet-01234567"]),
        "security_group": st.just("sg-01234567"),
        "ssh_from": st.sampled_from(["203.0.113.7/32", "2001:db8::/48"]),
        "key_pair": st.just("key"),
        "ssh_key_file": st.just("~/.ssh/key.pem"),
        "machine_image": st.just("ami-01234567"),
        "cpu_image": st.just("registry.example/mix:1-cpu"),
        "gpu_image": st.just("registry.example/mix:1-gpu"),
        "gpu": st.fixed_dictionaries(AWS_NODES, optional={"spot": st.booleans()}),
    },
    optional={"cpu": st.fixed_dictionaries(AWS_NODES)},
)
MACHINE = st.fixed_dictionaries({"kind": st.just("machine")}, optional={"object_store_gib": GIB})
ON_PREMISE = st.fixed_dictionaries(
    {
        "kind": st.just("on-premise"),
        "head": st.just("10.0.0.1"),
        "workers": st.lists(st.integers(2, 250).map("10.0.0.{}".format), min_size=1, unique=True),
        "ssh_user": st.just("ray"),
    }
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    provider=MACHINE | ON_PREMISE | AWS | KUBERNETES,
    nightly=NIGHTS,
    root=st.sampled_from(["/data/mix", "s3://bucket", "s3://bucket/a/b?endpoint=http://minio:9000&region=x"]),
)
def test_whatever_is_rendered_is_closed_and_fits(provider: Any, nightly: Any, root: str) -> None:
    config = build_config(ClusterConfig, {"name": "any", "root": root, "provider": provider, "nightly": nightly})
    files = render(config)
    assert files == render(config)
    assert not validate_texts(files, crds()).problems
    hints = " ".join(up_hint(config, Path("spec")))
    assert all(f"spec/{name}" in hints for name in files if not name.startswith("any-"))


def test_the_head_of_aws_does_no_work_and_gpus_come_from_the_spot_market_first() -> None:
    types = document("8-gpus-aws", "launcher.yaml")["available_node_types"]
    assert types["head"]["resources"] == {"CPU": 0} and types["head"]["max_workers"] == 0
    assert types["gpu-spot"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert types["gpu-spot"]["priority"] > types["gpu-on-demand"]["priority"]
    for other in ("gpu-on-demand", "cpu", "head"):
        assert "InstanceMarketOptions" not in types[other]["node_config"]
    assert types["cpu"]["resources"] == {"driver": 4}


def test_policies_allow_this_cluster_and_this_prefix_alone() -> None:
    head = {s["Sid"]: s for s in document("8-gpus-aws", "iam-head.json")["Statement"]}
    assert head["HandRoleToWorkers"]["Resource"] == "arn:aws:iam::123456789012:role/eight-gpus-aws-ray-worker"
    assert head["TagAndEndOwn"]["Condition"]["StringEquals"] == {"ec2:ResourceTag/ray-cluster-name": "eight-gpus-aws"}
    assert head["ReadAndWrite"]["Resource"] == "arn:aws:s3:::example-bucket/mixlingual/*"
    assert head["List"]["Condition"] == {"StringLike": {"s3:prefix": ["mixlingual", "mixlingual/*"]}}
    assert not [s for s in head.values() if s["Action"] in ("*", "ec2:*", "s3:*")]
    worker = document("8-gpus-aws", "iam-worker.json")["Statement"]
    assert not [action for s in worker for action in s["Action"] if str(action).startswith(("ec2:", "iam:"))]


def test_pods_are_unprivileged_bounded_and_probed() -> None:
    containers = [
        (file, path, value)
        for file in ("raycluster.yaml", "rayjob.yaml", "raycronjob.yaml", "cronjob.yaml")
        for path, value in walk(document("64-gpus-kubernetes", file))
        if re.search(r"containers\[[a-z-]+\]$", path)
    ]
    assert len(containers) == 3 + 4 + 4 + 1
    for file, path, container in containers:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, (file, path)
        assert {"cpu", "memory"} <= container["resources"]["limits"].keys()
        assert path.endswith("[submitter]") or container["livenessProbe"]["httpGet"]["path"].endswith("healthz")


def test_object_stores_fit_into_shared_memory() -> None:
    spec = document("64-gpus-kubernetes", "raycluster.yaml")["spec"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        volumes = {volume["name"]: volume["emptyDir"] for volume in group["template"]["spec"]["volumes"]}
        assert volumes["shm"]["medium"] == "Memory"
        shared_memory = int(volumes["shm"]["sizeLimit"].removesuffix("Gi")) << 30
        assert 0.9 * shared_memory < int(group["rayStartParams"]["object-store-memory"]) < shared_memory


def test_gpu_work_keeps_to_gpu_nodes_and_other_work_away_from_them() -> None:
    groups = document("64-gpus-kubernetes", "raycluster.yaml")["spec"]["workerGroupSpecs"]
    gpu, cpu = (group["template"]["spec"] for group in groups)
    assert gpu["priorityClassName"] == document("64-gpus-kubernetes", "surroundings.yaml", 3)["metadata"]["name"]
    assert gpu["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "8"
    term = {"key": "nvidia.com/gpu.product", "values": ["NVIDIA-H100-80GB-HBM3"]}
    for pod, operator in ((gpu, "In"), (cpu, "NotIn")):
        rule = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert rule["nodeSelectorTerms"] == [{"matchExpressions": [term | {"operator": operator}]}]
    assert "priorityClassName" not in cpu


def test_the_token_and_the_password_of_redis_are_references() -> None:
    spec = document("64-gpus-kubernetes", "raycluster.yaml")["spec"]
    assert spec["authOptions"] == {"mode": "token", "secretName": "mixlingual-ray-token"}
    reference = {"name": "mixlingual-redis", "key": "password"}
    assert spec["gcsFaultToleranceOptions"]["redisPassword"] == {"valueFrom": {"secretKeyRef": reference}}
    job = document("64-gpus-kubernetes", "rayjob.yaml")["spec"]
    assert "gcsFaultToleranceOptions" not in job["rayClusterSpec"], "a cluster of one job goes with its head"
    assert json.loads(job["entrypointResources"]) == {"driver": 1}


def test_an_unknown_field_of_a_manifest_is_found() -> None:
    manifest = document("64-gpus-kubernetes", "raycronjob.yaml")
    manifest["spec"]["concurrencyPolicy"] = "Forbid"
    manifest["spec"]["schedule"] = 5
    texts = {
        "surroundings.yaml": rendered("64-gpus-kubernetes")["surroundings.yaml"],
        "a.yaml": yaml.safe_dump(manifest),
    }
    found = [str(problem) for problem in validate_texts(texts, crds()).problems]
    assert len(found) == 2
    assert re.match("a.yaml: spec: unknown field concurrencyPolicy; known here: jobTemplate, schedule, ", found[0])
    assert found[1] == "a.yaml: spec.schedule: 5 is not of type 'string'"


def test_schemas_that_are_missing_are_said(tmp_path: Path) -> None:
    found = validate_texts(rendered("64-gpus-kubernetes"), {})
    assert found.unchecked == ("RayCluster", "RayCronJob", "RayJob") and not found.problems
    with pytest.raises(ConfigError, match="^--crds: .* is not a folder"):
        read_crds(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="^--crds: .* holds no custom resource definition"):
        read_crds(tmp_path)


@pytest.mark.parametrize(
    ("schedule", "events"),
    [
        ("0 1 * * *", ["*-*-* 01:00:00 Etc/UTC"]),
        ("*/20 22-23 * 1,7 *", ["*-01,07-* 22,23:00,20,40:00 Etc/UTC"]),
        ("5 4 * * 1-3,7", ["Sun,Mon,Tue,Wed *-*-* 04:05:00 Etc/UTC"]),
        ("0 0 1 * 5", ["*-*-01 00:00:00 Etc/UTC", "Fri *-*-* 00:00:00 Etc/UTC"]),
    ],
)
def test_cron_schedules_become_calendar_events(schedule: str, events: list[str]) -> None:
    assert calendar(schedule, "Etc/UTC") == events


@given(st.integers(0, 59), st.integers(0, 59), st.integers(1, 30))
def test_a_field_of_cron_is_what_its_steps_reach(one: int, other: int, step: int) -> None:
    first, last = sorted((one, other))
    minutes = [datetime.time(minute=minute).minute for minute in range(60)]
    assert cron_numbers(f"{first}-{last}/{step}", 0, 59) == {
        minute for minute in minutes if first <= minute <= last and (minute - first) % step == 0
    }
    assert cron_numbers(f"{first},{last}", 0, 59) == {first, last}


def test_the_guide_names_every_field() -> None:
    guide = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
    models = [ClusterConfig, NightlyConfig, RedisConfig, AwsGpuNodes, GpuPods]
    models += [MachineConfig, OnPremiseConfig, AwsConfig, KubernetesConfig]
    names = {name for model in models for name in model.model_fields}
    assert not {name for name in names if not re.search(rf"[`.]{name}`", guide)}


def test_images_are_built_from_what_a_checkout_has() -> None:
    for flavour in ("cpu", "gpu"):
        text = rendered("8-gpus-aws")[f"Dockerfile.{flavour}"]
        copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
        assert all((ROOT / source).exists() for sources in copied for source in sources)
        assert f"'.[{flavour}]'" in text
