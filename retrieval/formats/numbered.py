"""Large files of numbered lines: texts by number, without holding them in memory."""

import mmap
from pathlib import Path

import numpy as np

from cluster.errors import DataError
from retrieval.formats.lines import require_file

_BLOCK_BYTES = 1 << 24


class NumberedTexts:
    """A plain file of `number TAB text` lines whose numbers count from 0: texts are read from disk when asked for.

    Takes 8 bytes of memory a line: a collection of MS MARCO's 8.8 million passages 71 MB.
    """

    def __init__(self, path: Path) -> None:
        require_file(path)
        if not path.stat().st_size:
            raise DataError(f"{path}: is empty; expected one record a line")
        self._path = path
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        ends = []
        for start in range(0, len(self._bytes), _BLOCK_BYTES):
            block = np.frombuffer(self._bytes[start : start + _BLOCK_BYTES], np.uint8)
            ends.append(np.flatnonzero(block == ord("\n")) + start + 1)
        unfinished = [] if self._bytes[-1:] == b"\n" else [np.array([len(self._bytes)])]
        self._starts = np.concatenate([np.zeros(1, np.int64), *ends, *unfinished])

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> str:
        """The text with a number.

        Raises:
            DataError: there is no such line, or the line does not have this number or is not UTF-8.
        """
        if not 0 <= number < len(self):
            raise DataError(f"{self._path}: has no line for number {number}; it holds {len(self)}: cut short?")
        line = self._bytes[self._starts[number] : self._starts[number + 1]]
        found, tab, text = line.partition(b"\t")
        if not tab or found.strip() != str(number).encode():
            raise DataError(
                f"{self._path}: line {number + 1}: begins with '{found[:20].decode(errors='replace').strip()}', "
                f"expected {number}: lines are missing, or not in order"
            )
        try:
            return text.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(f"{self._path}: line {number + 1}: not UTF-8 text ({error.reason})") from None
