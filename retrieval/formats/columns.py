"""Columns with names of your own, in files without a header or quotes (TSV, TREC): one record a line."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from retrieval.formats.lines import read_lines
from retrieval.formats.record import Record


def read_columns(path: Path, columns: Sequence[str], separator: str | None = "\t") -> Iterator[Record]:
    """Records of a file whose columns have these names, in order; blank lines are passed over.

    Args:
        separator: None separates at any white space, as TREC's files do.

    Raises:
        DataError: see `read_lines`; or a line with another number of columns.
    """
    for number, text in read_lines(path):
        values = text.rstrip("\r\n").split(separator)
        record = Record(path, f"line {number}", dict(zip(columns, values, strict=False)))
        if len(values) != len(columns):
            raise record.error(
                f"{len(values)} columns, expected {len(columns)}: {', '.join(columns)}; cut short, or another form?"
            )
        yield record
