"""Question: is anything slower than it was? `make bench`, a few minutes; keep the machine quiet.

Short runs of the other benchmarks, without peers, beside the figures of `reference.json`. Ends with exit code 1 if one
is slower than `SLOWEST` of its reference, measured on a machine of the same kind; elsewhere it only shows the ratios.
`--write` makes the figures found the reference.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REFERENCE = HERE / "reference.json"
SLOWEST = 0.75

Read = Callable[[Mapping[str, Any]], float]
RUNS: dict[str, tuple[list[str], dict[str, Read]]] = {
    "encode.py": (
        ["--no-peers", "--part", "13", "--rounds", "2"],
        {"texts encoded a second, bf16": lambda found: found["rates"]["mixlingual bf16"]},
    ),
    "train.py": (
        ["--no-peers", "--rounds", "1", "--steps", "8"],
        {"pairs trained on a second, bf16": lambda found: found["rates"]["mixlingual bf16"]},
    ),
    "feed.py": (
        ["--no-peers", "--no-ray", "--rounds", "2", "--steps", "40"],
        {
            "pairs fed a second, from texts": lambda found: found["pairs_per_second"]["texts"],
            "pairs fed a second, from the cache": lambda found: found["pairs_per_second"]["cache"],
        },
    ),
    "xquad_settings.py": (
        ["--rounds", "2"],
        {"settings of XQuAD-R judged a second": lambda found: 132 / found["median_seconds"]},
    ),
    "startup.py": (
        ["--rounds", "5"],
        {
            "mixlingual --help, starts a second": lambda found: 1 / found["wall"]["mixlingual --help"],
            "mixlingual check, starts a second": lambda found: 1 / found["wall"]["mixlingual check"],
        },
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="keep what is found as the reference")
    options = parser.parse_args()
    rates = {name: rate for script, (words, reads) in RUNS.items() for name, rate in _run(script, words, reads).items()}
    if options.write:
        REFERENCE.write_text(json.dumps({"machine": _machine(), "rates": rates}, indent=1) + "\n", encoding="utf-8")
    known = json.loads(REFERENCE.read_text(encoding="utf-8")) if REFERENCE.exists() else {"machine": "", "rates": {}}
    ratios = {name: rate / known["rates"].get(name, float("nan")) for name, rate in rates.items()}
    for name, rate in rates.items():
        print(f"{name:<40}{rate:12.2f}  {ratios[name]:5.2f} of the reference")
    slower = [name for name, ratio in ratios.items() if ratio < SLOWEST]
    same = known["machine"] == _machine()
    print(json.dumps({"question": "slower than it was", "rates": rates, "ratios": ratios, "same_machine": same}))
    if slower and same:
        sys.exit(f"slower than {SLOWEST:.0%} of {REFERENCE.name}: {', '.join(slower)}")


def _run(script: str, words: list[str], reads: Mapping[str, Read]) -> dict[str, float]:
    print(f"... {script} {' '.join(words)}", file=sys.stderr, flush=True)
    command = [sys.executable, str(HERE / script), *words]
    done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return {name: read(found) for name, read in reads.items()}


def _machine() -> str:
    names = [line.partition(":")[2].strip() for line in _cpu_lines() if line.startswith("model name")]
    return f"{platform.machine()}, {names[0] if names else 'unknown'}, {os.cpu_count()} cores"


def _cpu_lines() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    main()
