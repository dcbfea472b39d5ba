"""What one rank receives of a global batch: token ids (pixels, where an image stands), and who answers whom.

Shape letters of this package: b queries and n passages of one rank, B queries and N passages of the global batch,
D numbers in a vector.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def is_image(one: np.ndarray) -> bool:
    """Whether an input is an image, uint8 (H, W, 3), rather than a text, integers (T)."""
    return one.ndim == 3


@dataclass(frozen=True, kw_only=True)
class LocalBatch:
    """The contiguous share of one rank in a global batch.

    A rank's passages follow its queries: the positives of each query and its hard negatives. Ranks hold equally many
    queries and perhaps different numbers of passages.
    """

    step: int
    """Step of the plan, from 0."""

    query_ids: Sequence[np.ndarray]
    """(b) token ids of each query, without padding, at least one; the pixels of a query that is an image."""

    passage_ids: Sequence[np.ndarray]
    """(n) token ids, or pixels, of each passage."""

    passage_slot: np.ndarray
    """(n) int64, the query of this rank (0 to b - 1) that the passage was drawn for."""

    passage_positive: np.ndarray
    """(n) bool, whether it answers that query; a hard negative does not."""

    query_group: np.ndarray
    """(b) int64, a hash of the group's id: parallel texts share it."""

    passage_group: np.ndarray
    """(n) int64; a hard negative has a value of its own, which no group has."""

    query_passage_id: np.ndarray
    """(b) int64, a hash of the id of the passage that answers: several questions on one paragraph share it."""

    passage_passage_id: np.ndarray
    """(n) int64; a hard negative has a value of its own."""

    kinds: Sequence[str] = ()
    """(b) kind of batch each query belongs to (mono, cross, multi); named when a step goes wrong."""

    sources: Sequence[str] = ()
    """(b) source of each query; named when a step goes wrong."""

    def __post_init__(self) -> None:
        b, n = len(self.query_ids), len(self.passage_ids)
        for name, size in (
            ("passage_slot", n),
            ("passage_positive", n),
            ("query_group", b),
            ("passage_group", n),
            ("query_passage_id", b),
            ("passage_passage_id", n),
        ):
            assert getattr(self, name).shape == (size,), f"{name} has shape {getattr(self, name).shape}, not ({size},)"
        answered = np.bincount(self.passage_slot[self.passage_positive], minlength=b)
        assert b and len(answered) == b and answered.all(), "every query needs a positive passage of its own"

    @property
    def inputs(self) -> list[np.ndarray]:
        """(b + n) token ids or pixels of everything, queries first."""
        return [*self.query_ids, *self.passage_ids]

    def describe(self) -> str:
        """Step, kinds and sources in words, for an error that someone has to trace."""
        kinds = ", ".join(sorted(set(self.kinds))) or "unknown kind"
        sources = ", ".join(sorted(set(self.sources))) or "unknown source"
        return f"step {self.step} ({kinds} batch from {sources})"
