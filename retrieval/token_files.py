"""Token ids of many texts on disk, to be mapped into memory: one flat array, and where each text ends in it.

<stem>.ids.npy       (T) uint16, int32 for vocabularies beyond that
<stem>.bounds.npy    (N + 1) int64: text n is ids[bounds[n] : bounds[n + 1]]

Both are written as the texts come, so memory holds one block of them. Shape letters: N texts, T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
from numpy.lib import format as npy

from cluster.errors import DataError
from retrieval.formats.arrays import map_array

_AGAIN = "delete its folder and run again"


class ArrayWriter:
    """Appends rows to a .npy file, whose header is given their number at the end.

    Args:
        path: of the file.
        dtype: of its numbers.
        row_shape: shape of one row; () = the rows are numbers.
    """

    def __init__(self, path: Path, dtype: np.typing.DTypeLike, row_shape: tuple[int, ...] = ()) -> None:
        self._dtype, self._row_shape = np.dtype(dtype), row_shape
        self.rows = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = path.open("wb")
        self._write_header()

    def add(self, rows: np.ndarray) -> None:
        """Write rows at the end."""
        assert rows.shape[1:] == self._row_shape, f"rows of shape {rows.shape[1:]}, not {self._row_shape}"
        self._file.write(np.ascontiguousarray(rows, dtype=self._dtype).data)
        self.rows += len(rows)

    def close(self) -> None:
        """Write the header again, now with the number of rows: numpy leaves room for it to grow."""
        end = self._file.tell()
        self._file.seek(0)
        self._write_header()
        assert end - self._file.tell() == self.rows * self._dtype.itemsize * int(np.prod(self._row_shape, dtype=int))
        self._file.close()

    def _write_header(self) -> None:
        description = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.rows, *self._row_shape)}
        npy.write_array_header_1_0(self._file, description)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close() if kind is None else self._file.close()


class TokenWriter:
    """Writes the two files of a stem, text after text.

    Args:
        stem: path of the files without `.ids.npy` and `.bounds.npy`.
        vocabulary_size: one more than the largest id that can come.
    """

    def __init__(self, stem: Path, vocabulary_size: int) -> None:
        self._ids = ArrayWriter(_file(stem, "ids"), np.uint16 if vocabulary_size <= 1 << 16 else np.int32)
        self._bounds = ArrayWriter(_file(stem, "bounds"), np.int64)
        self._bounds.add(np.zeros(1, np.int64))

    def add(self, texts: Sequence[np.ndarray]) -> None:
        """Append the ids of texts, each (t)."""
        if texts:
            ends = self._ids.rows + np.cumsum([len(ids) for ids in texts])
            self._ids.add(np.concatenate(texts))
            self._bounds.add(ends)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ids.__exit__(kind, error, at)
        self._bounds.__exit__(kind, error, at)


@dataclass(frozen=True)
class TokenFile:
    """Token ids of N texts, mapped into memory."""

    ids: np.ndarray
    """(T)"""
    bounds: np.ndarray
    """(N + 1) int64"""

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def pieces(self, numbers: np.ndarray) -> list[np.ndarray]:
        """The ids of the texts with these numbers as views of the file."""
        ids = self.ids
        starts, ends = self.bounds[numbers].tolist(), self.bounds[numbers + 1].tolist()
        # Slices and one copy of them all: faster than one index array, which takes three passes over the tokens.
        return [ids[start:end] for start, end in zip(starts, ends, strict=True)]

    def texts(self, numbers: np.ndarray) -> list[np.ndarray]:
        """The ids of the texts with these numbers, int32, as `Tokens.encode` gave them."""
        return as_int32(self.pieces(numbers))


def as_int32(pieces: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Integer arrays as int32: one copy for all of them, and views of that."""
    if not pieces:
        return []
    flat = np.concatenate(pieces, dtype=np.int32, casting="unsafe")
    ends = np.cumsum([len(piece) for piece in pieces]).tolist()
    return [flat[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def open_tokens(stem: Path) -> TokenFile:
    """Map the two files of a stem into memory.

    Raises:
        DataError: one is missing or damaged, or they do not go together.
    """
    ids, bounds = open_array(_file(stem, "ids"), 1), open_array(_file(stem, "bounds"), 1)
    if not len(bounds) or bounds[0] != 0 or bounds[-1] != len(ids):
        found = bounds[-1] if len(bounds) else "none"
        raise DataError(f"{_file(stem, 'bounds')}: ends at {found}, its file of ids holds {len(ids)}; {_AGAIN}")
    return TokenFile(ids, bounds)


def open_array(path: Path, dimensions: int) -> np.ndarray:
    """Map an integer array into memory, read-only.

    Raises:
        DataError: it is missing, cut short or something else.
    """
    array = map_array(path, _AGAIN)
    if array.ndim != dimensions or array.dtype.kind not in "iu":
        raise DataError(f"{path}: not integers in {dimensions} dimension(s); {_AGAIN}")
    # A plain array over the same mapping: slices of np.memmap cost five times as much.
    return np.asarray(array)


def _file(stem: Path, what: str) -> Path:
    return stem.with_name(f"{stem.name}.{what}.npy")
