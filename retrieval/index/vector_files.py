"""Vectors on disk, to be searched: rows in blocks by language, cut into parts that are mapped into memory.

vectors.json      version, dimension, languages with their numbers of rows, parts with theirs
part-00000.npy    float32 (rows, D)

Where many processes wrote the vectors, every part is a result set of its own, and `vectors.json` (version 2) says
which, with its checksum: a machine fetches the parts that it reads, and no others.

Shape letters: P rows (passages), D dimensions, L languages.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from cluster.documents import parse_json
from cluster.errors import DataError
from cluster.storage import Store, open_result_set, open_store
from retrieval.formats.arrays import map_array
from retrieval.index.partition import Segment, shard_segments

DESCRIPTION = "vectors.json"
VERSION, VERSION_APART = 1, 2
PART_BYTES = 256 << 20


@dataclass(frozen=True)
class Part:
    """A part that is a result set of its own."""

    name: str
    """Result set that holds it, as `part_name` of its number."""
    rows: int
    sha256: str
    """Of the file."""


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
    apart: tuple[Part, ...] = ()
    """The parts, where they are result sets of their own; they are checked when they are first read."""
    root: str = ""
    """URI of the store that holds those."""

    @property
    def num_rows(self) -> int:
        """P."""
        return self.bounds[-1]

    def segments(self, shard: int, num_shards: int) -> tuple[Segment, ...]:
        """Rows of one shard."""
        return shard_segments(self.bounds, shard, num_shards)

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

    @cached_property
    def _fetched(self) -> dict[int, Path]:
        return {}

    def _folder_of(self, number: int) -> Path:
        """Where a part lies on this machine; fetched and checked if this process has not read it before."""
        if not self.apart:
            return self.folder
        if number not in self._fetched:
            self._fetched[number] = _fetch(open_store(self.root), self.apart[number], number)
        return self._fetched[number]

    def _part(self, number: int) -> np.ndarray:
        path = self._folder_of(number) / part_name(number)
        vectors = map_array(path, "encode the collection again")
        expected = (self.part_rows[number], self.dimension)
        if vectors.shape != expected or vectors.dtype != np.float32:
            raise DataError(
                f"{path}: holds {vectors.dtype} {vectors.shape}, {DESCRIPTION} says float32 {expected}; encode again"
            )
        return vectors


def _fetch(store: Store, part: Part, number: int) -> Path:
    """The folder on this machine that holds a part."""
    found = open_result_set(store, part.name)
    if found.files.get(part_name(number), {}).get("sha256") != part.sha256:
        raise DataError(
            f"{found.folder / part_name(number)}: not the vectors that its collection was described with (SHA-256 "
            "differs); delete the collection's vectors and encode it again"
        )
    return found.folder


def read_parts(parts: Sequence[Part], dimension: int, store: Store) -> np.ndarray:
    """All rows of parts that are result sets of their own, copied into one array (N, D)."""
    folders = (_fetch(store, part, number) for number, part in enumerate(parts))
    again = "encode the collection again"
    arrays = [map_array(folder / part_name(number), again) for number, folder in enumerate(folders)]
    return np.concatenate(arrays or [np.empty((0, dimension), np.float32)])


def part_name(number: int) -> str:
    """File name of one part."""
    return f"part-{number:05d}.npy"


def open_vector_files(folder: Path, root: str = "") -> VectorFiles:
    """Read the description of a folder of vectors.

    Args:
        root: URI of the store that the folder comes from; needed where parts are result sets of their own.

    Raises:
        DataError: there is none, or it contradicts itself.
    """
    path = folder / DESCRIPTION
    try:
        facts = parse_json(path.read_text(encoding="utf-8"))
        version = facts["version"]
        languages = tuple(str(name) for name in facts["languages"])
        counts = [int(count) for count in facts["languages"].values()]
        apart = tuple(Part(str(one["name"]), int(one["rows"]), str(one["sha256"])) for one in facts.get("parts", ()))
        parts = tuple(part.rows for part in apart) if apart else tuple(int(rows) for rows in facts["part_rows"])
        dimension = int(facts["dimension"])
    except FileNotFoundError:
        raise DataError(f"{path}: missing; there are no vectors to search in this folder") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{path}: not a description of vectors ({error!r}); encode the collection again") from None
    if version != (VERSION_APART if apart else VERSION):
        raise DataError(
            f"{path}: version {version}, this program reads {VERSION} and {VERSION_APART}; encode the collection again"
        )
    if sum(counts) != sum(parts) or min(counts, default=-1) < 0 or min(parts, default=-1) < 1 or dimension < 1:
        raise DataError(
            f"{path}: {sum(counts)} rows by language, {sum(parts)} by part, {dimension} dimensions; encode again"
        )
    return VectorFiles(folder, dimension, languages, (0, *accumulate(counts)), parts, apart, root)


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
        write_part(folder, len(part_rows), part, sum(part_rows))
        part_rows.append(len(part))
    if sum(part_rows) != sum(counts):
        raise DataError(f"{folder}: {sum(part_rows)} vectors for {sum(counts)} rows")
    _describe(folder, VERSION, languages, counts, dimension, part_rows=part_rows)
    return open_vector_files(folder)


def write_part(folder: Path, number: int, vectors: np.ndarray, first: int = 0) -> None:
    """Write one part (n, D).

    Args:
        first: row of the whole set that it begins with, for messages.

    Raises:
        DataError: a vector holds NaN or an infinite number.
    """
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise DataError(
            f"{folder}: row {first + int(bad[0])} holds NaN or infinite numbers; "
            "the encoder's weights are broken, train or load it again"
        )
    np.save(folder / part_name(number), np.ascontiguousarray(vectors, dtype=np.float32), allow_pickle=False)


def describe_parts(
    folder: Path, languages: Sequence[str], counts: Sequence[int], dimension: int, parts: Sequence[Part]
) -> None:
    """Write the description of vectors whose parts are result sets of their own; see `write_vector_files`."""
    folder.mkdir(parents=True, exist_ok=True)
    if sum(part.rows for part in parts) != sum(counts):
        raise DataError(f"{folder}: {sum(part.rows for part in parts)} vectors for {sum(counts)} rows")
    _describe(folder, VERSION_APART, languages, counts, dimension, parts=[asdict(part) for part in parts])


def _describe(
    folder: Path, version: int, languages: Sequence[str], counts: Sequence[int], dimension: int, **parts: list[Any]
) -> None:
    facts = {
        "version": version,
        "dimension": dimension,
        "languages": dict(zip(languages, map(int, counts), strict=True)),
        **parts,
    }
    (folder / DESCRIPTION).write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")


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
