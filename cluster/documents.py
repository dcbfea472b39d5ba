"""JSON documents of any origin -> plain values: whatever is wrong with one is a ValueError, which readers expect."""

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON document.

    Raises:
        ValueError: not JSON (`json.JSONDecodeError`, with the place), not UTF-8, a number of thousands of digits, or
            nested more deeply than anything that we read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
