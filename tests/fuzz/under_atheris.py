"""Readers under atheris, one after the other: `python under_atheris.py ARTIFACTS READER=RUNS ... [-- libFuzzer options]`.

Each reader is fuzzed in a process forked for it, since libFuzzer ends its process. Prints a line of JSON for each: how
often it ran, for how long, and with which exit code.

What a reader raises is kept in the folder of artifacts, once for each place that raises, and fuzzing goes on. What ends the
process (a crash in a library, memory, time) libFuzzer keeps there itself, with its log.
"""

import json
import logging
import os
import random
import re
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import atheris

with atheris.instrument_imports(include=["cluster", "retrieval", "trainer", "jobs", "yaml"]):
    from fuzz.targets import Target, all_targets, execute

    TARGETS = all_targets()  # imports the readers

from fuzz.mutations import mutated

CPU_SECONDS = 10.0
"""Of one execution: more is a finding. Not by the clock: the machine may be busy with other things."""
LONGEST = 20_000
"""Bytes of an input, or twice the longest whole file."""
OWN_MUTATIONS = 0.5
"""Share of inputs that are changed in their structure; the others as libFuzzer thinks best."""
_RUNS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")


class TooSlowError(Exception):
    """A reader took more time than any file of this size may."""


class Findings:
    """What readers raised, one file for each place."""

    def __init__(self, target: Target, folder: Path) -> None:
        self._target, self._folder = target, folder
        self._seen: set[str] = set()

    def add(self, error: BaseException, data: bytes) -> None:
        """Keep the input and what was raised, if nothing was raised at that place before."""
        frames = traceback.extract_tb(error.__traceback__)
        place = "; ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-2:])
        key = f"{type(error).__name__} at {place}"
        if key not in self._seen:
            self._seen.add(key)
            stem = self._folder / f"{self._target.name}-{len(self._seen):03d}"
            stem.with_suffix(".input").write_bytes(data)
            note = {"reader": self._target.name, "error": key, "message": str(error)[:300]}
            stem.with_suffix(".json").write_text(json.dumps(note))


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise TooSlowError(f"more than {CPU_SECONDS:g} s of processor time")


def _mutate(data: bytes, max_size: int, seed: int) -> bytes:
    dice = random.Random(seed)
    if dice.random() < OWN_MUTATIONS:
        return mutated(data, dice)[:max_size]
    return atheris.Mutate(data, max_size)


def fuzz(target: Target, runs: int, artifacts: Path, scratch: Path, options: Sequence[str]) -> None:
    """Fuzz one reader until libFuzzer has enough; ends the process."""
    findings = Findings(target, artifacts)
    folder, corpus = scratch / "files", scratch / "corpus"
    folder.mkdir()
    corpus.mkdir()
    seeds = target.seeds()
    longest = max(LONGEST, 2 * max(map(len, seeds)))
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
        execute(target, seed, folder)  # imports and files made once do not count as its time
    signal.signal(signal.SIGPROF, _too_slow)

    def one(data: bytes) -> None:
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        try:
            execute(target, data, folder)
        except BaseException as error:  # panics of Rust are no Exception
            findings.add(error, data)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)

    bounds = [f"-runs={runs}", f"-max_len={longest}", f"-artifact_prefix={artifacts}/{target.name}-"]
    atheris.Setup([sys.argv[0], *bounds, *options, str(corpus)], one, custom_mutator=_mutate)
    atheris.Fuzz()


def in_its_own_process(target: Target, runs: int, artifacts: Path, options: Sequence[str]) -> dict[str, object]:
    """Fuzz one reader in a fork of this process; what came of it."""
    log = artifacts / f"{target.name}.log"
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as scratch:
        child = os.fork()
        if child == 0:
            with log.open("wb") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            fuzz(target, runs, artifacts, Path(scratch), options)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    said = log.read_text(encoding="utf-8", errors="replace")
    found = _RUNS.search(said)
    if code == 0:
        log.unlink()
    executions = int(found[1]) if found else 0
    return {"reader": target.name, "executions": executions, "seconds": time.monotonic() - started, "code": code}


def main() -> None:
    """Fuzz the readers that the command line names."""
    artifacts, *words = sys.argv[1:]
    split = words.index("--") if "--" in words else len(words)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    for word in words[:split]:
        name, _, runs = word.partition("=")
        print(json.dumps(in_its_own_process(TARGETS[name], int(runs), Path(artifacts), words[split + 1 :])), flush=True)


if __name__ == "__main__":
    main()
