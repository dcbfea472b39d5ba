"""A report on arms whose batches are of all four kinds."""

import json
from collections.abc import Callable
from pathlib import Path

from retrieval.report import Arm, write_report

QUARTERS = {"mono": "1/4", "cross": "1/4", "multi": "1/4", "code_switched": "1/4"}
HYBRID = {"mono": "1/2", "cross": "1/2"}
SWITCHED = {"mono": "1/2", "cross": "0", "code_switched": "1/2"}
DESCRIBED = {
    "hybrid": (HYBRID, (0.79, 0.70, 0.59), 287.0),
    "switched": (SWITCHED, (0.78, 0.68, 0.57), 300.0),
    "all kinds": (QUARTERS, (0.77, 0.71, 0.60), 270.0),
    "BM25": (None, (0.70, 0.09, 0.11), 1620.0),
}


def test_each_kind_has_its_panel_and_its_rows(write_run: Callable[..., list[Arm]], tmp_path: Path) -> None:
    arms = write_run(described=DESCRIBED, languages=("en", "es", "zh"), steps=80)
    for arm in arms[1:3]:  # Chinese has no words to switch
        assert arm.ledger is not None
        ledger = json.loads(arm.ledger.read_text())
        ledger["languages"]["code_switched"]["zh"] = 0
        arm.ledger.write_text(json.dumps(ledger))
    written = write_report(tmp_path / "report", "A run", {}, arms)
    page = written.page.read_text(encoding="utf-8")
    for kind in QUARTERS:
        assert f"Loss, {kind} batches" in page
    assert list((tmp_path / "report").rglob("loss-4-code-switched.svg"))
    assert "mono 1/4 + cross 1/4 + multi 1/4 + code_switched 1/4" in page
    (table,) = (tmp_path / "report").rglob("realised-mix.csv")
    rows = [line.split(",") for line in table.read_text(encoding="utf-8").splitlines()]
    place = [heading.strip('"') for heading in rows[0]].index("languages")
    assert {(row[0], row[1], row[place]) for row in rows if "code_switched" in row} == {
        ("switched", "code_switched", "2.0"),
        ("all kinds", "code_switched", "2.0"),
    }
