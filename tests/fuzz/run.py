"""Fuzz readers: `python tests/fuzz/run.py --executions 100000 [--readers squad tsv] [--processes 2]`.

Executions are shared out so that every reader gets about the same processor time, at least `--least` each. Prints a line
for each reader, findings, and the sum; exit code 1 if there are findings. Inputs that led to them stay in `--artifacts`.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
OPTIONS = ("-timeout=3600", "-rss_limit_mb=4096", "-print_final_stats=1", "-verbosity=1")


class Tally:
    """What all processes found together."""

    def __init__(self, artifacts: Path) -> None:
        self._artifacts, self._lock = artifacts, threading.Lock()
        self._reported: set[Path] = set(artifacts.iterdir())
        self.readers = self.executions = self.findings = 0

    def add(self, done: Mapping[str, Any]) -> None:
        """Count one reader and say what came of it."""
        with self._lock:
            self.readers, self.executions = self.readers + 1, self.executions + done["executions"]
            print(f"{done['reader']:28} {done['executions']:>10,} executions {done['seconds']:>8.0f} s", flush=True)
            for line in self._new_findings(done):
                self.findings += 1
                print(f"    {line}", flush=True)

    def _new_findings(self, done: Mapping[str, Any]) -> list[str]:
        new = sorted(set(self._artifacts.glob(f"{done['reader']}-*.json")) - self._reported)
        self._reported.update(new)
        notes = [json.loads(path.read_text()) for path in new]
        ended = [f"ended with {done['code']}; see {done['reader']}.log"] if done["code"] else []
        return [f"{note['error']}: {note['message']}" for note in notes] + ended


def main() -> int:
    """Fuzz the readers that the command line names."""
    options = _options()
    artifacts = options.artifacts.absolute()
    artifacts.mkdir(parents=True, exist_ok=True)
    runs = _runs(_costs(options.readers), options.executions, options.least)
    # Dealt out in turn: all take about the same time.
    words = [f"{name}={number}" for name, number in runs.items()]
    tally = Tally(artifacts)
    threads = [
        threading.Thread(target=_fuzz, args=(words[first :: options.processes], artifacts, options.seed, tally))
        for first in range(options.processes)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{tally.readers} readers, {tally.executions:,} executions, {tally.findings} findings", flush=True)
    return 1 if tally.findings or tally.readers < len(runs) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executions", type=int, default=200_000, help="of all readers together, about")
    parser.add_argument("--least", type=int, default=200, help="executions of the dearest reader")
    parser.add_argument("--processes", type=int, default=1, help="at a time")
    parser.add_argument("--readers", nargs="*", default=[], help="names; all if none is given")
    parser.add_argument("--artifacts", type=Path, default=Path("runs/fuzz"), help="folder for inputs of findings")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _costs(names: Sequence[str]) -> dict[str, int]:
    """Reader -> its cost; in a process of its own, since this one imports nothing of ours."""
    command = "from fuzz.targets import all_targets as a; print(*(f'{t.name}={t.cost}' for t in a().values()))"
    done = subprocess.run(
        [sys.executable, "-c", command], env=_environment(), cwd=REPOSITORY, check=True, stdout=subprocess.PIPE
    )
    costs = {name: int(cost) for name, _, cost in (word.partition("=") for word in done.stdout.decode().split())}
    unknown = [name for name in names if name not in costs]
    if unknown:
        sys.exit(f"no reader '{unknown[0]}'; there are {', '.join(costs)}")
    return {name: cost for name, cost in costs.items() if not names or name in names}


def _runs(costs: Mapping[str, int], executions: int, least: int) -> dict[str, int]:
    whole = sum(1 / cost for cost in costs.values())
    return {name: max(least, round(executions / cost / whole)) for name, cost in costs.items()}


def _environment() -> dict[str, str]:
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])
    return os.environ | {"PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


def _fuzz(words: Sequence[str], artifacts: Path, seed: int, tally: Tally) -> None:
    script = str(Path(__file__).with_name("under_atheris.py"))
    command = [sys.executable, script, str(artifacts), *words, "--", f"-seed={seed}", *OPTIONS]
    with subprocess.Popen(
        command, env=_environment(), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                tally.add(json.loads(line))


if __name__ == "__main__":
    sys.exit(main())
