"""The launcher's YAML for AWS: a small head, GPU workers on spot machines or else on demand, CPU workers on demand."""

from typing import Any

from cluster.specs.config import AwsConfig, AwsNodes, ClusterConfig
from cluster.specs.launcher import SETTINGS, TOKEN_FILE, start_commands

HEAD = "head"
DRIVER = "driver"
"""A resource of the CPU workers, which jobs' drivers ask for: those are never spot machines."""
DRIVERS_PER_NODE = 4


def launcher(config: ClusterConfig, provider: AwsConfig) -> dict[str, Any]:
    """The launcher's YAML for AWS."""
    node_types = _node_types(config, provider)
    return {
        "cluster_name": config.name,
        "max_workers": sum(node_type["max_workers"] for node_type in node_types.values()),
        "idle_timeout_minutes": config.idle_minutes,
        "provider": {
            "type": "aws",
            "region": provider.region,
            "use_internal_ips": True,
            "cache_stopped_nodes": False,
        },
        "auth": {"ssh_user": provider.ssh_user, "ssh_private_key": provider.ssh_key_file},
        "docker": {
            "image": provider.cpu_image,
            "container_name": "mixlingual",
            "pull_before_run": True,
            "run_options": [
                "--ulimit nofile=65536:65536",
                "--security-opt no-new-privileges",
                *(f"--env {name}={value}" for name, value in SETTINGS.items()),
            ],
        },
        "file_mounts": {TOKEN_FILE: TOKEN_FILE},
        "available_node_types": node_types,
        "head_node_type": HEAD,
        **start_commands(),
    }


def _node_types(config: ClusterConfig, provider: AwsConfig) -> dict[str, Any]:
    head = AwsNodes(instance_type=provider.head_type, max_nodes=1, disk_gib=provider.head_disk_gib)
    types = {
        HEAD: _node_type(config, provider, head, head_profile(config)) | {"resources": {"CPU": 0}, "max_workers": 0}
    }
    if provider.gpu is not None:
        gpu = _node_type(config, provider, provider.gpu, worker_profile(config))
        gpu["docker"] = {"worker_image": provider.gpu_image}
        # The autoscaler takes the higher priority where both fit, and the other one while a type cannot be had.
        on_demand = gpu | {"priority": 0}
        if provider.gpu.spot:
            market = {"InstanceMarketOptions": {"MarketType": "spot"}}
            types["gpu-spot"] = gpu | {"priority": 10, "node_config": gpu["node_config"] | market}
            on_demand["min_workers"] = 0
        types["gpu-on-demand"] = on_demand
    if provider.cpu is not None:
        cpu = _node_type(config, provider, provider.cpu, worker_profile(config))
        types["cpu"] = cpu | {"resources": {DRIVER: DRIVERS_PER_NODE}}
    return types


def _node_type(config: ClusterConfig, provider: AwsConfig, nodes: AwsNodes, profile: str) -> dict[str, Any]:
    disk = {"VolumeSize": nodes.disk_gib, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}
    return {
        "min_workers": nodes.min_nodes,
        "max_workers": nodes.max_nodes,
        "resources": {},  # the launcher fills in what the instance type has
        "node_config": {
            "InstanceType": nodes.instance_type,
            "ImageId": provider.machine_image,
            "KeyName": provider.key_pair,
            "SubnetIds": list(provider.subnets),
            "SecurityGroupIds": [provider.security_group],
            "IamInstanceProfile": {"Arn": f"arn:aws:iam::{provider.account}:instance-profile/{profile}"},
            # Tokens, and one hop: what a job fetches by URL cannot reach the machine's credentials.
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled"},
            "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": disk}],
        },
    }


def head_profile(config: ClusterConfig) -> str:
    """Name of the head's role and instance profile."""
    return f"{config.name}-ray-head"


def worker_profile(config: ClusterConfig) -> str:
    """Name of the workers' role and instance profile."""
    return f"{config.name}-ray-worker"
