"""Fuzz readers: `python tests/fuzz/run.py --executions 100000 [--readers squad tsv] [--processes 2]`.

Executions are shared out so that every reader gets about the same processor time, at least `--least` each. Prints a
line for each reader, findings, and the sum; exit code 1 if there are findings. Inputs that led to them stay in `--artifacts`.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
OPTIONS = ("-timeout=600", "-rss_limit_mb=4096", "-print_final_stats=1", "-verbosity=1")
_DONE = re.compile(rb"stat::number_of_executed_units:\s*(\d+)")
_SPEED = re.compile(rb"Done (\d+) runs in (\d+) second")


@dataclass(frozen=True)
class Fuzzed:
    """What came of one reader."""

    name: str
    executions: int
    findings: tuple[str, ...]
    seconds: float


def main() -> int:
    """Fuzz the readers that the command line names."""
    options = _options()
    costs = _costs(options.readers)
    artifacts = options.artifacts.absolute()
    artifacts.mkdir(parents=True, exist_ok=True)
    shares = {name: 1 / cost for name, cost in costs.items()}
    runs = {
        name: max(options.least, round(options.executions * share / sum(shares.values())))
        for name, share in shares.items()
    }
    total, found = 0, 0
    with ThreadPoolExecutor(options.processes) as pool:
        for done in pool.map(lambda name: _fuzz(name, runs[name], artifacts, options.seed), runs):
            total, found = total + done.executions, found + len(done.findings)
            print(f"{done.name:28} {done.executions:>10,} executions {done.seconds:>8.0f} s", flush=True)
            for line in done.findings:
                print(f"    {line}", flush=True)
    print(f"{len(runs)} readers, {total:,} executions, {found} findings", flush=True)
    return 1 if found else 0


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
    command = "from fuzz.targets import all_targets as a; print(*(f'{t.name}={t.cost}' for t in a().values()))"
    output = subprocess.run(
        [sys.executable, "-c", command], env=_environment(), cwd=REPOSITORY, check=True, stdout=subprocess.PIPE
    ).stdout.decode()
    costs = {name: int(cost) for name, _, cost in (word.partition("=") for word in output.split())}
    unknown = [name for name in names if name not in costs]
    if unknown:
        sys.exit(f"no reader '{unknown[0]}'; there are {', '.join(costs)}")
    return {name: cost for name, cost in costs.items() if not names or name in names}


def _environment() -> dict[str, str]:
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])
    return os.environ | {"PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


def _fuzz(name: str, runs: int, artifacts: Path, seed: int) -> Fuzzed:
    script = str(Path(__file__).with_name("under_atheris.py"))
    command = [sys.executable, script, name, str(artifacts), f"-runs={runs}", f"-seed={seed}", *OPTIONS]
    before = set(artifacts.iterdir())
    done = subprocess.run(
        command, env=_environment(), cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    count, speed = _DONE.search(done.stderr), _SPEED.search(done.stderr)
    new = sorted(set(artifacts.iterdir()) - before)
    notes = [json.loads(path.read_text()) for path in new if path.suffix == ".json"]
    findings = [f"{note['error']}: {note['message']}" for note in notes]
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        findings.append(f"ended with {done.returncode}: {' '.join(last)}")
    return Fuzzed(name, int(count[1]) if count else 0, tuple(findings), float(speed[2]) if speed else 0.0)


if __name__ == "__main__":
    sys.exit(main())
