"""Records of one tile after the other in, one Parquet file out, the same whatever the tiles."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from retrieval.per_query import Records, joined, records_table
from retrieval.records import Collection

ROWS_AT_ONCE = 1 << 20
"""Rows of a row group; also what waits in memory (about 90 MB)."""


def write_rows(table: pa.Table, path: Path) -> None:
    """Write a whole table as `RecordsWriter` would write it piece by piece."""
    pq.write_table(table, path, compression="zstd", row_group_size=ROWS_AT_ONCE)


class RecordsWriter:
    """Writes the `per_query` table of a collection as its records come; the file is whole after the `with` block.

    A thread encodes and compresses one row group while the next one is gathered; memory holds these two.
    """

    def __init__(self, path: Path, collection: Collection) -> None:
        self._path, self._collection = path, collection
        self._file: pq.ParquetWriter | None = None
        self._waiting: list[Records] = []
        self._num_waiting = 0
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None and self._num_waiting:
                self._begin_to_write(joined(self._waiting))
            if kind is None and self._writing is not None:
                self._writing.result()
        finally:
            self._thread.shutdown()
            if self._file is not None:
                self._file.close()

    def add(self, records: Records) -> None:
        """Add rows at the end."""
        self._waiting.append(records)
        self._num_waiting += len(records.query)
        if self._num_waiting < ROWS_AT_ONCE:
            return
        waiting = joined(self._waiting)
        whole = self._num_waiting - self._num_waiting % ROWS_AT_ONCE
        for first in range(0, whole, ROWS_AT_ONCE):
            self._begin_to_write(waiting.rows(np.arange(first, first + ROWS_AT_ONCE)))
        self._waiting = [waiting.rows(np.arange(whole, self._num_waiting))]
        self._num_waiting -= whole

    def _begin_to_write(self, records: Records) -> None:
        """Wait for the row group before, whose errors are raised here, and leave this one to the thread."""
        if self._writing is not None:
            self._writing.result()
        self._writing = self._thread.submit(self._write, records)

    def _write(self, records: Records) -> None:
        table = records_table(self._collection, records)
        if self._file is None:
            self._file = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._file.write_table(table, row_group_size=ROWS_AT_ONCE)
