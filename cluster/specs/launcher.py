"""What the specs of Ray's cluster launcher have in common, and those for machines that are there."""

from typing import Any

from cluster.specs.config import ClusterConfig, OnPremiseConfig

TOKEN_FILE = "~/.ray/auth_token"
"""Where Ray looks for the token when nothing else is said; `ray up` copies it to every node."""
SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray starts workers at niceness 15; next to anything else on the machine, training would hardly move.
    "RAY_worker_niceness": "0",
}
GCS_PORT = 6379


def start_commands(
    environment: str | None = None, head_options: str = "", worker_options: str = ""
) -> dict[str, list[str]]:
    """The commands that start Ray on the head, which does no work, and on a worker.

    Args:
        environment: virtual environment with Ray; None where `ray` is found as it is.
        head_options: further options of `ray start` on the head.
        worker_options: further options of `ray start` on workers.
    """
    ray = f"{environment}/bin/ray" if environment else "ray"
    settings = " ".join(f"{name}={value}" for name, value in SETTINGS.items())
    start = f"ulimit -n 65536; {settings} {ray} start"
    head = (
        f"{start} --head --port={GCS_PORT} --dashboard-host=127.0.0.1 --num-cpus=0 "
        f"--autoscaling-config=~/ray_bootstrap_config.yaml {head_options}"
    )
    worker = f"{start} --address=$RAY_HEAD_IP:{GCS_PORT} {worker_options}"
    return {
        "head_start_ray_commands": [f"{ray} stop", head.rstrip()],
        "worker_start_ray_commands": [f"{ray} stop", worker.rstrip()],
    }


def on_premise(config: ClusterConfig, provider: OnPremiseConfig) -> dict[str, Any]:
    """The launcher's YAML for machines that are there."""
    return {
        "cluster_name": config.name,
        "max_workers": len(provider.workers),
        "provider": {"type": "local", "head_ip": provider.head, "worker_ips": list(provider.workers)},
        "auth": {"ssh_user": provider.ssh_user, "ssh_private_key": provider.ssh_key_file},
        "file_mounts": {TOKEN_FILE: TOKEN_FILE},
        **start_commands(
            provider.environment,
            head_options=f"--node-ip-address={provider.head}",
            worker_options=f"--object-store-memory={provider.object_store_gib << 30}",
        ),
    }
