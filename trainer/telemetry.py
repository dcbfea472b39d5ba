"""What happened in training, step by step: lines of JSON that ride along in every checkpoint."""

import base64
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

FILE = "telemetry.jsonl"


_LINES_PER_BLOCK = 256
_LONGEST_BLOCK = 16 << 20
"""Bytes of a block unpacked; those of 256 steps take a hundred thousand."""


class Telemetry:
    """Records of one run, kept by rank 0; a resumed run continues those of its checkpoint.

    All but the newest are kept packed: a third of a kilobyte a step would be more and more of what a long training
    holds, and writes with every checkpoint.

    Args:
        state: of a checkpoint; lines, and blocks of lines that are packed.
    """

    def __init__(self, state: Iterable[str] = ()) -> None:
        self._blocks: list[str] = []
        self._newest: list[str] = []
        for part in state:
            (self._newest if part.startswith("{") else self._blocks).append(part)

    def add(self, event: str, step: int, **values: Any) -> None:
        """Append one record; `step` counts the steps done."""
        finite = {name: _finite(value) for name, value in values.items()}
        record = {"event": event, "step": step} | finite
        self._newest.append(json.dumps(record, ensure_ascii=False, allow_nan=False))
        if len(self._newest) >= _LINES_PER_BLOCK:
            self._blocks.append(_packed(self._newest))
            self._newest = []

    def state(self) -> list[str]:
        """For a checkpoint."""
        return [*self._blocks, *self._newest]

    def lines(self) -> Iterator[str]:
        """All records, one JSON object each.

        Raises:
            ValueError: a block of the checkpoint cannot be unpacked.
        """
        for block in self._blocks:
            yield from _unpacked(block)
        yield from self._newest

    def write(self, path: Path) -> None:
        """Write `telemetry.jsonl`."""
        with path.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in self.lines())


def _packed(lines: list[str]) -> str:
    return base64.b64encode(zlib.compress("\n".join(lines).encode())).decode("ascii")


def _unpacked(block: str) -> list[str]:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(base64.b64decode(block, validate=True), _LONGEST_BLOCK)
    except zlib.error as error:
        raise ValueError(f"a block of telemetry cannot be unpacked: {error}") from None
    if not unpacker.eof:
        raise ValueError(f"a block of telemetry does not end within {_LONGEST_BLOCK} bytes")
    return text.decode().split("\n")


def _finite(value: Any) -> Any:
    """JSON has no NaN: a figure that does not exist (the gradient of a skipped step) is null."""
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def brief(summary: Mapping[str, Any]) -> dict[str, Any]:
    """An evaluation's summary without intervals, for a telemetry record: {setting: {measure: mean}, rank_distance}."""
    record: dict[str, Any] = {
        setting: {name: round(values["mean"], 6) for name, values in measures.items()}
        for setting, measures in summary["settings"].items()
    }
    # None where no query has relevant passages in two languages.
    distance = summary["bias"]["rank_distance"]["mean"]
    return record if distance is None else record | {"rank_distance": round(distance, 4)}
