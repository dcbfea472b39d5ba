"""What happened in training, step by step: lines of JSON that ride along in every checkpoint."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FILE = "telemetry.jsonl"


class Telemetry:
    """Records of one run, kept by rank 0; a resumed run continues those of its checkpoint."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._lines = list(lines)

    def add(self, event: str, step: int, **values: Any) -> None:
        """Append one record; `step` counts the steps done."""
        finite = {name: _finite(value) for name, value in values.items()}
        record = {"event": event, "step": step} | finite
        self._lines.append(json.dumps(record, ensure_ascii=False, allow_nan=False))

    @property
    def lines(self) -> list[str]:
        """All records, one JSON object each."""
        return list(self._lines)

    def write(self, path: Path) -> None:
        """Write `telemetry.jsonl`."""
        path.write_text("".join(f"{line}\n" for line in self._lines), encoding="utf-8")


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
