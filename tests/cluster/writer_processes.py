"""Processes that write result sets and die of it, or race; run by test_result_sets, apart from pytest's threads.

    writer_processes.py kill FOLDER           a writer for each line of our storage code, killed when it gets there
    writer_processes.py race FOLDER ROUNDS    two writers of one name, and a reader, again and again

Prints one line of JSON.
"""

import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from cluster.storage import open_result_set, open_store, result_set_exists, write_result_set
from cluster.storage.result_set import COMMIT, seal

NAME = "groups/0123456789abcdef"
STORAGE = str(Path(sys.modules["cluster.storage"].__file__ or "").parent)
fork = multiprocessing.get_context("fork")


def write(root: Path) -> None:
    """A small set of three files."""
    with write_result_set(open_store(root), NAME, {"stage": "test"}) as folder:
        (folder / "part").mkdir()
        (folder / "a.txt").write_text("eins\n")
        (folder / "part" / "b.txt").write_text("zwei\n" * 1000)
        (folder / "empty.txt").write_text("")


def write_and_die(root: Path, at: int) -> None:
    """`write`, killed before the line of storage code (or of `write`) that is the `at`-th to run."""
    lines = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal lines
        if not frame.f_code.co_filename.startswith((STORAGE, __file__)):
            return None
        if event == "line":
            lines += 1
            if lines == at:
                (root.parent / f"{root.name}.line").write_text(
                    f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                )
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    write(root)
    sys.settrace(None)


def kill_everywhere(folder: Path) -> list[str]:
    """Lines at which a writer was killed; what each left is in `<number>/`."""
    died: list[str] = []
    while True:
        at = len(died) + 1
        writer = fork.Process(target=write_and_die, args=(folder / str(at), at))
        writer.start()
        writer.join()
        if writer.exitcode != -signal.SIGKILL:
            assert writer.exitcode == 0
            return died
        died.append((folder / f"{at}.line").read_text())


def compete(root: Path, name: str, letter: str, start: Any, told: Any) -> None:
    store = open_store(root)
    with store.staging_folder() as folder:
        (folder / f"{letter}.txt").write_text(letter * 5000)
        (folder / "both.txt").write_text(letter)
        seal(folder, {"writer": letter})
        start.wait(30)
        told.put((letter, store.publish_folder(folder, name, COMMIT)))


def race(root: Path, rounds: int) -> list[dict[str, Any]]:
    """What the writers of each round were told, and what the reader saw the whole time."""
    results = []
    for number in range(rounds):
        name, told, start = f"race/{number}", fork.Queue(), fork.Barrier(3)
        writers = [fork.Process(target=compete, args=(root, name, letter, start, told)) for letter in "AB"]
        for writer in writers:
            writer.start()
        store = open_store(root)
        start.wait(30)
        seen = []
        while any(writer.is_alive() for writer in writers):
            if result_set_exists(store, name):
                found = open_result_set(store, name)
                seen.append([found.about["writer"], sorted(found.files), found.path("both.txt").read_text()])
        answers = dict(told.get() for _ in writers)
        last = open_result_set(store, name).about["writer"]
        results.append({"told": answers, "seen": seen, "last": last})
    return results


if __name__ == "__main__":
    command, base = sys.argv[1], Path(sys.argv[2])
    print(json.dumps(kill_everywhere(base) if command == "kill" else race(base, int(sys.argv[3]))))
