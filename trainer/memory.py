"""Memory that does not suffice for training: which settings make it need less."""

import contextlib
from collections.abc import Iterator

from cluster.errors import WorkError

_REMEDY = (
    "set training.engine.gradient_caching to true, raise training.engine.micro_batches, or lower mixing.batch or "
    "training.workers"
)
_OF_CPUS = "can't allocate memory"
"""What torch's RuntimeError says where a processor's memory does not suffice; it has no type of its own."""
_OF_RAY = "running low on memory"
"""What Ray says of a worker that its memory monitor ended."""


@contextlib.contextmanager
def naming_memory(what: str) -> Iterator[None]:
    """Turn an allocation that failed into one line.

    Args:
        what: the step that failed, for people.

    Raises:
        WorkError: memory does not suffice.
    """
    import torch

    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and _OF_CPUS not in str(error):
            raise
        said = (str(error).strip().splitlines() or ["no more is told"])[0]
        raise WorkError(f"{what}: memory does not suffice ({said:.200}); {_REMEDY}") from error


def remedy_for(error: BaseException) -> str | None:
    """What would do about workers that were lost with this error; None unless a machine's memory ran out."""
    return _REMEDY if _OF_RAY in str(error) else None
