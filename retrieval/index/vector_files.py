"""Vectors on disk, to be searched: rows in blocks by language, cut into parts that are mapped into memory.

vectors.json      version, dimension, languages with their numbers of rows, parts with theirs
part-00000.npy    float32 (rows, D)

Shape letters: P rows (passages), D dimensions, L languages.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np

from cluster.documents import parse_json
from cluster.errors import DataError
from retrieval.formats.vectors import map_vectors

DESCRIPTION = "vectors.json"
VERSION = 1
PART_BYTES = 256 << 20


@dataclass(frozen=True)
class VectorFiles:
    """Vectors of a folder; cheap to send to another process on the same machine."""

    folder: Path
    dimension: int
    languages: tuple[str, ...]
    bounds: tuple[int, ...]
    """(L + 1): rows of language l are bounds[l] up to bounds[l + 1]."""
    part_rows: tuple[int, ...]
    """Rows of each part."""

    @property
    def num_rows(self) -> int:
        """P."""
        return self.bounds[-1]

    @cached_property
    def _part_bounds(self) -> list[int]:
        return [0, *accumulate(self.part_rows)]

    def read(self, first: int, end: int) -> np.ndarray:
        """Rows `first` up to `end`: (end - first, D) float32; a view of the mapped file where one part holds them.

        Raises:
            DataError: a part is missing, cut short or holds something else; it is named.
        """
        assert 0 <= first <= end <= self.num_rows, f"rows {first} to {end} of {self.num_rows}"
        pieces = list(self.pieces(first, end))
        if not pieces:
            return np.empty((0, self.dimension), np.float32)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Single rows, in the order asked for: (N, D) float32."""
        part_of = np.searchsorted(self._part_bounds, numbers, side="right") - 1
        found = np.empty((len(numbers), self.dimension), np.float32)
        for part in np.unique(part_of):
            chosen = np.flatnonzero(part_of == part)
            found[chosen] = self._part(int(part))[numbers[chosen] - self._part_bounds[part]]
        return found

    def pieces(self, first: int, end: int) -> Iterator[np.ndarray]:
        """Rows `first` up to `end` as views of the mapped files, cut where files end."""
        for part, (begin, stop) in enumerate(zip(self._part_bounds, self._part_bounds[1:], strict=False)):
            if begin < end and stop > first:
                yield self._part(part)[max(first - begin, 0) : min(end, stop) - begin]

    def _part(self, number: int) -> np.ndarray:
        path = self.folder / part_name(number)
        vectors = map_vectors(path, "encode the collection again")
        expected = (self.part_rows[number], self.dimension)
        if not isinstance(vectors, np.ndarray):
            raise DataError(f"{path}: holds an archive, expected vectors; encode the collection again")
        if vectors.shape != expected or vectors.dtype != np.float32:
            raise DataError(
                f"{path}: holds {vectors.dtype} {vectors.shape}, {DESCRIPTION} says float32 {expected}; encode again"
            )
        return vectors


def part_name(number: int) -> str:
    """File name of one part."""
    return f"part-{number:05d}.npy"


def open_vector_files(folder: Path) -> VectorFiles:
    """Read the description of a folder of vectors.

    Raises:
        DataError: there is none, or it contradicts itself.
    """
    path = folder / DESCRIPTION
    try:
        facts = parse_json(path.read_text(encoding="utf-8"))
        version = facts["version"]
        languages = tuple(str(name) for name in facts["languages"])
        counts = [int(count) for count in facts["languages"].values()]
        parts = tuple(int(rows) for rows in facts["part_rows"])
        dimension = int(facts["dimension"])
    except FileNotFoundError:
        raise DataError(f"{path}: missing; there are no vectors to search in this folder") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{path}: not a description of vectors ({error!r}); encode the collection again") from None
    if version != VERSION:
        raise DataError(f"{path}: version {version}, this program reads {VERSION}; encode the collection again")
    if sum(counts) != sum(parts) or min(counts, default=-1) < 0 or min(parts, default=-1) < 1 or dimension < 1:
        raise DataError(
            f"{path}: {sum(counts)} rows by language, {sum(parts)} by part, {dimension} dimensions; encode again"
        )
    return VectorFiles(folder, dimension, languages, (0, *accumulate(counts)), parts)


def write_vector_files(
    folder: Path, languages: Sequence[str], counts: Sequence[int], blocks: Iterable[np.ndarray], dimension: int
) -> VectorFiles:
    """Write vectors that come in blocks of any size, in the order of their languages.

    Args:
        folder: an empty or new folder.
        languages: L codes.
        counts: (L) rows of each.
        blocks: arrays (n, D), sum(counts) rows together.

    Raises:
        DataError: numbers of rows or dimensions do not fit, or a vector holds NaN or an infinite number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    part_rows: list[int] = []
    for part in _recut(blocks, max(1, PART_BYTES // (4 * dimension)), dimension):
        bad = np.flatnonzero(~np.isfinite(part).all(axis=1))
        if len(bad):
            raise DataError(
                f"{folder}: row {sum(part_rows) + int(bad[0])} holds NaN or infinite numbers; "
                "the encoder's weights are broken, train or load it again"
            )
        np.save(folder / part_name(len(part_rows)), part, allow_pickle=False)
        part_rows.append(len(part))
    if sum(part_rows) != sum(counts):
        raise DataError(f"{folder}: {sum(part_rows)} vectors for {sum(counts)} rows")
    facts = {
        "version": VERSION,
        "dimension": dimension,
        "languages": dict(zip(languages, map(int, counts), strict=True)),
        "part_rows": part_rows,
    }
    (folder / DESCRIPTION).write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")
    return open_vector_files(folder)


def _recut(blocks: Iterable[np.ndarray], rows: int, dimension: int) -> Iterator[np.ndarray]:
    """Blocks of any size -> float32 blocks of `rows`, the last one perhaps smaller."""
    waiting: list[np.ndarray] = []
    held = 0
    for block in blocks:
        if block.ndim != 2 or block.shape[1] != dimension:
            raise DataError(f"vectors of shape {block.shape} where (n, {dimension}) is due")
        start = 0
        while start < len(block):
            piece = block[start : start + rows - held]
            waiting.append(np.ascontiguousarray(piece, dtype=np.float32))
            held, start = held + len(piece), start + len(piece)
            if held == rows:
                yield np.concatenate(waiting)
                waiting, held = [], 0
    if held:
        yield np.concatenate(waiting)
