"""Writes the same result set again and again, each time killed some steps later, and looks at the store after each.

    python killed_writers.py ROOT [STRIDE]     prints one JSON list: each writer's step, its stage, whether the set stood

A step is a request sent (its head, then its body), a rename or a removal. Each writer is a fork, killed with SIGKILL;
its stage is what it was at then: "writing", "committing", "committed", or "done" where it was not killed. How many
steps a stage takes differs a little from writer to writer, since requests to a busy server may be sent again.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from cluster.storage import open_result_set, open_store, result_set_exists, write_result_set

_STEPS = ("http.client.send", "os.rename", "os.link", "os.rmdir")
FILES = {"small.txt": b"small", "deeper/large.bin": bytes(6 << 20), "empty": b""}


def write(root: str, name: str, enter: Callable[[str], None]) -> None:
    with write_result_set(
        open_store(root), name, {"of": "the killed"}, before_commit=lambda: enter("committing")
    ) as folder:
        for file, content in FILES.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    enter("committed")


def stage_when_killed(step: int, root: str, name: str) -> str:
    """Start a writer that is killed at a step; the stage it had come to."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        left = step

        def count(event: str, _: Any) -> None:
            nonlocal left
            if event in _STEPS:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        def enter(stage: str) -> None:
            os.write(writer, f" {stage}".encode())

        enter("writing")
        sys.addaudithook(count)
        write(root, name, enter)
        enter("done")
        os._exit(0)
    os.close(writer)
    status = os.waitpid(child, 0)[1]
    with os.fdopen(reader) as stages:
        stage = stages.read().split()[-1]
    assert status == (0 if stage == "done" else signal.SIGKILL), "the writer failed"
    return stage


def check_whole_or_absent(root: str, name: str) -> bool:
    """Whether the set stands; whatever stands must be whole."""
    store = open_store(root)
    shown = [*store.list(name)]
    if not result_set_exists(store, name):
        assert shown == [], f"{shown} is shown of a set that was never committed"
        return False
    found = open_result_set(store, name)
    assert {file: found.path(file).read_bytes() for file in FILES} == FILES
    assert shown == sorted(f"{name}/{file}" for file in [*FILES, "COMMIT", "manifest.json"])
    return True


def main(root: str, stride: int = 1) -> None:
    # Known before the forks: what a store lacks is found out once per process.
    with open_store(root).staging_folder():
        pass
    seen, step, stage = [], 1, ""
    while stage != "done":
        name = f"sets/killed-at-{step}"
        stage = stage_when_killed(step, root, name)
        seen.append({"step": step, "stage": stage, "stood": check_whole_or_absent(root, name)})
        step += stride
    print(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
