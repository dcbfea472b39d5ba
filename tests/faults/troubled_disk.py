"""A run whose root lies on a small disk of its own, which is full, then read-only, then neither.

    troubled_disk.py CONFIG ROOT REPORT SIZE SIZE ...

To be started in a mount namespace of its own, as root: nobody else sees the disk. Runs the command with each size in
KiB in turn, then read-only, then with room for everything, then read-only again; writes down what came of each.
"""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from faults.wholeness import assert_whole

from cluster.ray_runtime import RayConfig, ray_cluster
from jobs.cli import main as mixlingual

ROOM = "size=100m"


def mount(root: Path, options: str) -> None:
    """Give the disk other options; it keeps what it holds."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(root)], check=True)


def attempt(words: list[str], root: Path, options: str) -> dict[str, Any]:
    """Exit code, last line on stderr, result and the result sets that stand afterwards, all of which can be read."""
    output, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(said):
        code = mixlingual(words)
    complaints = [line for line in said.getvalue().splitlines() if line.startswith("mixlingual: ")]
    outcome = {"options": options, "code": code, "complaints": complaints, "stderr": said.getvalue()}
    return outcome | {"stand": assert_whole(root), "result": json.loads(output.getvalue() or "null")}


def main(config: str, root: str, report: str, *sizes: str) -> None:
    words = ["run", "--config", config, "--root", root, "--json", "training.max_failures=0"]
    steps = [f"remount,size={size}k" for size in sizes]
    steps += ["remount,ro", f"remount,rw,{ROOM}", "remount,ro"]
    folder = Path(root)
    folder.mkdir()
    mount(folder, f"size={sizes[0]}k")
    with ray_cluster(RayConfig(), cpus_needed=4):
        done = []
        for options in steps:
            mount(folder, options)
            done.append(attempt(words, folder, options))
            Path(report).write_text(json.dumps(done), encoding="utf-8")
        mount(folder, f"remount,rw,{ROOM}")


if __name__ == "__main__":
    main(*sys.argv[1:])
