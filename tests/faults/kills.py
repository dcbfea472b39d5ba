"""kill -9 at moments drawn from a seed: of commands, which are then started again, and of processes that others replace.

What a test does comes in rounds: when it came to its end before all kills were done, it begins anew in another folder.
So every kill meets work that is under way, and the last round is left alone once they are done.
"""

import contextlib
import os
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import psutil

from cluster.errors import WorkError

KILLS = int(os.environ.get("FAULT_KILLS", "30"))
"""Of each target."""
REPOSITORY = Path(__file__).parents[2]
EARLIEST = 0.05
_LAST_ROUND_SECONDS = 600
Result = TypeVar("Result")


class Killer:
    """Draws the moments of a target's kills, and counts them."""

    def __init__(self, seed: int, longest: float, kills: int = KILLS) -> None:
        self.count = 0
        self._kills, self._draw, self._longest = kills, random.Random(seed), longest
        print(f"{kills} kills at moments of seed {seed}, the latest after {longest:.1f} s")

    @property
    def done(self) -> bool:
        """Whether all are done."""
        return self.count >= self._kills

    def seconds(self) -> float:
        """From now to the next kill."""
        return self._draw.uniform(EARLIEST, self._longest)

    def kill_one(self, found: Sequence[psutil.Process]) -> None:
        """Kill one of some processes, if one is still there."""
        if found:
            victim = self._draw.choice(found)
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                return
            self.count += 1
            with contextlib.suppress(psutil.NoSuchProcess):
                while victim.is_running() and victim.status() != psutil.STATUS_ZOMBIE:
                    time.sleep(EARLIEST)


def commands_killed(
    command: Callable[[int], Sequence[object]],
    environment: Mapping[str, str],
    killer: Killer,
    log: Path,
) -> list[str]:
    """Start a command again and again until all kills are done and it then comes to its end.

    Args:
        command: number of the round -> the command.
        log: file for what it writes to stderr.

    Returns:
        What it printed at the end of each round.
    """
    done: list[str] = []
    while True:
        words = [str(word) for word in command(len(done))]
        last = killer.done
        with log.open("a") as file, _started(words, environment, file) as process:
            try:
                said, _ = process.communicate(timeout=_LAST_ROUND_SECONDS if last else killer.seconds())
            except subprocess.TimeoutExpired:
                killer.kill_one([psutil.Process(process.pid)])
                assert not last, f"did not come to its end: {log.read_text()}"
                continue
        if process.returncode:
            raise AssertionError(
                f"exit code {process.returncode} after {killer.count} kills: {log.read_text()[-4000:]}"
            )
        done.append(said)
        if last:
            print(f"{killer.count} kills, {len(done)} rounds")
            return done


def _started(words: list[str], environment: Mapping[str, str], log: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        words,
        cwd=REPOSITORY,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=log,  # type: ignore[call-overload]
        text=True,
    )


def attempts_killed(
    attempt: Callable[[int], Result], killer: Killer, said: str, after_failure: Callable[[], None] = lambda: None
) -> list[Result]:
    """Try again and again until all kills are done and an attempt that began after them has succeeded.

    Args:
        attempt: number of the round -> its result.
        said: part of the one line with which an attempt may fail.

    Returns:
        The result of each round.
    """
    done: list[Result] = []
    while True:
        last = killer.done
        try:
            done.append(attempt(len(done)))
        except WorkError as error:
            assert said in str(error) and "\n" not in str(error)
            after_failure()
            continue
        if last:
            print(f"{killer.count} kills, {len(done)} rounds")
            return done


def below(name: str) -> list[psutil.Process]:
    """Processes below this one whose command line holds a name."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if name in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@contextlib.contextmanager
def killing(victims: Callable[[], Sequence[psutil.Process]], seed: int, longest: float) -> Iterator[Killer]:
    """While the block runs, wait for a victim, and some time later kill one; until all kills are done.

    Args:
        victims: who is there to be killed.
        longest: seconds from a victim's being there to a kill, at most.
    """
    killer, over = Killer(seed, longest), threading.Event()

    def kill() -> None:
        while not killer.done and not over.wait(EARLIEST):
            if victims() and not over.wait(killer.seconds()):
                killer.kill_one(victims())

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(kill)
        try:
            yield killer
        finally:
            over.set()
            working.result()
