"""JSON lines: one object a line, UTF-8, plain or gzipped."""

import json
from collections.abc import Iterator
from pathlib import Path

from cluster.documents import parse_json
from cluster.errors import DataError
from retrieval.formats.lines import read_lines
from retrieval.formats.record import Record, type_name


def read_jsonl(path: Path) -> Iterator[Record]:
    """Records of a JSON-lines file, in order; blank lines are passed over.

    Raises:
        DataError: see `read_lines`; or a line that is not one JSON object.
    """
    for number, text in read_lines(path):
        try:
            fields = parse_json(text)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path}: line {number}: not valid JSON ({error.msg}, column {error.colno}); cut short or damaged?"
            ) from None
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: line {number}: not usable JSON ({error})") from None
        if not isinstance(fields, dict):
            raise DataError(f"{path}: line {number}: holds {type_name(fields)}, expected an object {{...}}")
        yield Record(path, f"line {number}", fields)
