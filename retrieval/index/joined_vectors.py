"""Several sets of vectors, to be searched as one."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np

from cluster.errors import DataError
from retrieval.index.partition import Segment
from retrieval.index.vector_files import VectorFiles


@dataclass(frozen=True)
class JoinedVectors:
    """Several sets of vectors as one: the rows of each after those of the one before it."""

    members: tuple[VectorFiles, ...]

    def __post_init__(self) -> None:
        first = self.members[0]
        for member in self.members[1:]:
            if member.dimension != first.dimension:
                raise DataError(
                    f"{member.folder}: vectors of {member.dimension} dimensions, those they are added to "
                    f"({first.folder}) have {first.dimension}; encode both by the same encoder"
                )

    @property
    def dimension(self) -> int:
        """D."""
        return self.members[0].dimension

    @property
    def num_rows(self) -> int:
        """P."""
        return sum(member.num_rows for member in self.members)

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """Of all sets, in the order they are met."""
        return tuple(dict.fromkeys(language for member in self.members for language in member.languages))

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *accumulate(member.num_rows for member in self.members)]

    def segments(self, shard: int, num_shards: int) -> tuple[Segment, ...]:
        """Rows of one shard: of each set its slice."""
        return tuple(
            Segment(self.languages.index(member.languages[part.language]), start + part.first, start + part.end)
            for member, start in zip(self.members, self._starts, strict=False)
            for part in member.segments(shard, num_shards)
        )

    def pieces(self, first: int, end: int) -> Iterator[np.ndarray]:
        """Rows `first` up to `end` as views of the mapped files, cut where files end."""
        for member, start in zip(self.members, self._starts, strict=False):
            low, high = max(first - start, 0), min(end - start, member.num_rows)
            if low < high:
                yield from member.pieces(low, high)

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Single rows, in the order asked for: (N, D) float32."""
        found = np.empty((len(numbers), self.dimension), np.float32)
        for member, start in zip(self.members, self._starts, strict=False):
            chosen = np.flatnonzero((numbers >= start) & (numbers < start + member.num_rows))
            found[chosen] = member.rows(numbers[chosen] - start)
        return found


AnyVectors = VectorFiles | JoinedVectors
