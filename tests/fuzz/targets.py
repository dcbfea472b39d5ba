"""Readers under fuzzing: bytes in, something read or one of our errors out; anything else is a finding.

Hypothesis (`test_readers.py`) and atheris (`under_atheris.py`) share them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import MixlingualError
from cluster.logs import one_line

LONGEST_COMPLAINT = 25_000
"""Characters of what a user sees of an error."""


@dataclass(frozen=True)
class Target:
    """A reader, and files that it reads without complaint."""

    name: str
    read: Callable[[bytes, Path], object]
    """Reads a file with such bytes; the folder is for files that it needs, and the same at every call."""
    seeds: Callable[[], Sequence[bytes]]
    """Whole files, for fuzzing to begin with. Made when asked for."""
    cost: int = 1
    """About how many executions of the cheapest reader one of this takes."""


def execute(target: Target, data: bytes, folder: Path) -> bool:
    """Read once; whether the reader took the file.

    Raises:
        Exception: what the reader raised, if it is none of our errors, or one that cannot be shown.
    """
    try:
        target.read(data, folder)
    except MixlingualError as error:
        shown = one_line(str(error))
        assert shown.isprintable() and len(shown) <= LONGEST_COMPLAINT, f"cannot be shown: {shown[:200]!r}"
        return False
    return True


def all_targets() -> dict[str, Target]:
    """Every reader by name."""
    from fuzz import binary_files, configurations, data_sets, encoders, stored, texts

    modules = (texts, configurations, stored, binary_files, data_sets, encoders)
    return {target.name: target for module in modules for target in module.TARGETS}
