"""Writes the same result set again and again, each time killed some steps later, and looks at the store after each.

    python killed_writers.py ROOT [STRIDE]     prints one JSON object: killed at which steps, and when the set stood

A step is a request sent (its head, then its body), a rename or a removal. Each writer is a fork, killed with SIGKILL.
"""

import json
import os
import signal
import sys
from typing import Any

from cluster.storage import open_result_set, open_store, result_set_exists, write_result_set

_STEPS = ("http.client.send", "os.rename", "os.link", "os.rmdir")
FILES = {"small.txt": b"small", "deeper/large.bin": bytes(6 << 20), "empty": b""}


def write(root: str, name: str) -> None:
    with write_result_set(open_store(root), name, {"of": "the killed"}) as folder:
        for file, content in FILES.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def killed_at(step: int, root: str, name: str) -> bool:
    """Whether a writer was killed at a step; False where it was done before."""
    child = os.fork()
    if child == 0:
        left = step

        def count(event: str, _: Any) -> None:
            nonlocal left
            if event in _STEPS:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        write(root, name)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the writer failed"
    return os.WIFSIGNALED(status)


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
    steps, stood = [], []
    step, killed = 1, True
    while killed:
        name = f"sets/killed-at-{step}"
        killed = killed_at(step, root, name)
        if killed:
            steps.append(step)
        if check_whole_or_absent(root, name):
            stood.append(step)
        step += stride
    print(json.dumps({"killed": steps, "stood": stood}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
