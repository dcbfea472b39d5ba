"""Lines of a UTF-8 text file, plain or gzipped (`.gz`)."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from cluster.errors import DataError

MAX_LINE_BYTES = 256 << 20
"""A JSON file of one line may be large (SQuAD's training set has 30 MB); a small gzip file can unpack to a line without
end."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def require_file(path: Path) -> None:
    """Refuse a path at which no file stands."""
    if path.is_dir():
        raise DataError(f"{path}: is a folder, expected a file")
    if not path.is_file():
        raise DataError(f"{path}: no such file; check the data set's path (relative paths start where you run)")


def require_folder(path: Path) -> None:
    """Refuse a path at which no folder stands."""
    if not path.is_dir():
        raise DataError(f"{path}: no such folder; check the data set's path (relative paths start where you run)")


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of every line that is not blank.

    Raises:
        DataError: no such file, no text in it, not UTF-8, or gzip data that is cut short or damaged; names the line.
    """
    require_file(path)
    number, blank = 0, True
    try:
        with open_bytes(path) as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), 1):
                if len(line) > MAX_LINE_BYTES:
                    raise DataError(
                        f"{path}: line {number}: longer than {MAX_LINE_BYTES >> 20} MiB; is this the right file, with "
                        "one record a line?"
                    )
                text = (line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line).decode("utf-8")
                if text.strip():
                    blank = False
                    yield number, text
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: line {number}: not UTF-8 text ({error.reason}); save the file as UTF-8") from None
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path}: line {number + 1}: {why_unreadable(error)}") from None
    if blank:
        raise DataError(f"{path}: is empty; expected one record a line")


def read_text(path: Path) -> str:
    """The whole file as text, with the errors of `read_lines`."""
    return "".join(text for _, text in read_lines(path))


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked where its name ends in `.gz`."""
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def why_unreadable(error: Exception) -> str:
    """Say why reading a file failed, and what would do."""
    if isinstance(error, EOFError):
        return "the gzip data ends in mid-stream: the file is cut short; fetch or write it again"
    if isinstance(error, (gzip.BadGzipFile, zlib.error)):
        return f"not intact gzip data ({error}); fetch or write it again"
    return f"cannot be read ({error})"
