"""One reader under atheris, in a process of its own: `python under_atheris.py READER ARTIFACTS [libFuzzer options]`.

What a reader raises is kept in the folder of artifacts, once for each place that raises, and fuzzing goes on. What
ends the process (a crash in a library, memory, time) libFuzzer keeps there itself.
"""

import json
import logging
import random
import signal
import sys
import tempfile
import traceback
import warnings
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


def main() -> None:
    """Fuzz until libFuzzer has enough; does not return."""
    name, artifacts, *options = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    target = TARGETS[name]
    findings = Findings(target, Path(artifacts))
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as scratch:
        folder, corpus = Path(scratch, "files"), Path(scratch, "corpus")
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

        prefix = f"-artifact_prefix={artifacts}/{name}-"
        atheris.Setup([sys.argv[0], prefix, f"-max_len={longest}", *options, str(corpus)], one, custom_mutator=_mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
