"""One machine: systemd units of the user's that keep Ray running and start the nights; the network sees none of it."""

from cluster.ray_runtime import LOOPBACK_SWITCH
from cluster.specs.config import ClusterConfig, MachineConfig, NightlyConfig
from cluster.specs.launcher import GCS_PORT, SETTINGS
from cluster.specs.schedule import calendar

# Without the switch, only the dashboard and the GCS would keep to the address that they are given.
_SETTINGS = SETTINGS | {LOOPBACK_SWITCH: "0"}
_Lines = dict[str, list[str]]


def units(config: ClusterConfig, provider: MachineConfig) -> dict[str, str]:
    """File name -> unit."""
    made = {f"{config.name}-ray.service": _unit(_ray(config, provider))}
    if config.nightly is not None:
        made[f"{config.name}-nightly.service"] = _unit(_night(config, provider, config.nightly))
        made[f"{config.name}-nightly.timer"] = _unit(_timer(config, config.nightly))
    return made


def _ray(config: ClusterConfig, provider: MachineConfig) -> dict[str, _Lines]:
    start = (
        f"{_from_home(provider.environment)}/bin/ray start --head --block --port={GCS_PORT} "
        "--node-ip-address=127.0.0.1 --dashboard-host=127.0.0.1 "
        f"--object-store-memory={provider.object_store_gib << 30}"
    )
    return {
        "Unit": {"Description": [f"Ray, for {config.name}"]},
        "Service": {
            "Environment": [f"{name}={value}" for name, value in _SETTINGS.items()],
            "ExecStart": [start],
            "Restart": ["on-failure"],
            "NoNewPrivileges": ["yes"],
            "LimitNOFILE": ["65536"],
        },
        "Install": {"WantedBy": ["default.target"]},
    }


def _night(config: ClusterConfig, provider: MachineConfig, nightly: NightlyConfig) -> dict[str, _Lines]:
    command = f"{_from_home(provider.environment)}/bin/mixlingual nightly --config {_from_home(nightly.config)}"
    ray = f"{config.name}-ray.service"
    settings = _SETTINGS | {"RAY_ADDRESS": f"127.0.0.1:{GCS_PORT}"}
    return {
        "Unit": {"Description": [f"A night of {config.name}"], "Requires": [ray], "After": [ray]},
        "Service": {
            "Type": ["oneshot"],
            "Environment": [f"{name}={value}" for name, value in settings.items()],
            "ExecStart": [f"{command} --root {_from_home(config.root.replace('%', '%%'))}"],
            "TimeoutStartSec": [f"{nightly.hours}h"],
            "NoNewPrivileges": ["yes"],
        },
    }


def _timer(config: ClusterConfig, nightly: NightlyConfig) -> dict[str, _Lines]:
    return {
        "Unit": {"Description": [f"The nights of {config.name}"]},
        # A night that the machine slept through starts when it wakes.
        "Timer": {"OnCalendar": calendar(nightly.schedule, nightly.time_zone), "Persistent": ["true"]},
        "Install": {"WantedBy": ["timers.target"]},
    }


def _from_home(path: str) -> str:
    return path.replace("~/", "%h/", 1) if path.startswith("~/") else path


def _unit(sections: dict[str, _Lines]) -> str:
    texts = []
    for section, fields in sections.items():
        lines = [f"{name}={value}" for name, values in fields.items() for value in values]
        texts.append("\n".join([f"[{section}]", *lines, ""]))
    return "\n".join(texts)
