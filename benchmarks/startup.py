"""Question: how long until `mixlingual --help` and `mixlingual check` have answered, beside a bare interpreter?

The limit is `python -c pass`. Each command runs in a process of its own, in turn; medians of wall and processor time.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "mixlingual --help": ["-m", "jobs.cli", "--help"],
    "mixlingual check": ["-m", "jobs.cli", "check", "--config", "jobs/configs/quickstart.yaml"],
}
TARGETS = {"mixlingual --help": 0.3, "mixlingual check": 1.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for number in range(rounds + 1):  # the first round reads the files from the disk
        for name, command in COMMANDS.items():
            took = _run(command)
            seconds[name] += [took] if number else []
    wall = {name: statistics.median(one for one, _ in times) for name, times in seconds.items()}
    cpu = {name: statistics.median(one for _, one in times) for name, times in seconds.items()}
    print(f"{'':18} {'wall s':>7} {'CPU s':>7}  target")
    for name in COMMANDS:
        print(f"{name:18} {wall[name]:7.3f} {cpu[name]:7.3f}  {TARGETS.get(name, '')}")
    question = "seconds until a command has answered"
    print(json.dumps({"question": question, "wall": wall, "cpu": cpu, "rounds": rounds, "machine": _machine()}))


def _run(command: list[str]) -> tuple[float, float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
