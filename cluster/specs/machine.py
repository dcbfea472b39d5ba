"""One machine: systemd units of the user's that keep Ray running and start the nights; the network sees none of it."""

from cluster.specs.config import CRON_RANGES, ClusterConfig, MachineConfig, NightlyConfig
from cluster.specs.launcher import GCS_PORT, SETTINGS

_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
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
            "Environment": [f"{name}={value}" for name, value in SETTINGS.items()],
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
    settings = SETTINGS | {"RAY_ADDRESS": f"127.0.0.1:{GCS_PORT}"}
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


def calendar(schedule: str, time_zone: str) -> list[str]:
    """A cron schedule as systemd's calendar events, of which any may come.

    Day of month and day of week that are both given mean either of them in cron, both of them in systemd.
    """
    fields = schedule.split()
    minute, hour, day, month, weekday = (
        sorted(cron_numbers(field, *limits)) for field, limits in zip(fields, CRON_RANGES, strict=True)
    )
    time = f"{_listed(hour, 24)}:{_listed(minute, 60)}:00 {time_zone}"
    by_day = f"*-{_listed(month, 12)}-{_listed(day, 31)} {time}"
    names = sorted({number % 7 for number in weekday})
    by_weekday = f"{','.join(_DAYS[number] for number in names)} *-{_listed(month, 12)}-* {time}"
    if len(names) == len(_DAYS):
        return [by_day]
    return [by_weekday] if len(day) == 31 else [by_day, by_weekday]


def cron_numbers(field: str, low: int, high: int) -> set[int]:
    """The numbers that one field of a cron schedule means."""
    numbers: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin = low if span == "*" else int(first)
        end = high if span == "*" or (step and not last) else int(last or first)
        numbers.update(range(begin, end + 1, int(step or 1)))
    return numbers


def _listed(numbers: list[int], all_of_them: int) -> str:
    return "*" if len(numbers) == all_of_them else ",".join(f"{number:02}" for number in numbers)


def _from_home(path: str) -> str:
    return path.replace("~/", "%h/", 1) if path.startswith("~/") else path


def _unit(sections: dict[str, _Lines]) -> str:
    texts = []
    for section, fields in sections.items():
        lines = [f"{name}={value}" for name, values in fields.items() for value in values]
        texts.append("\n".join([f"[{section}]", *lines, ""]))
    return "\n".join(texts)
