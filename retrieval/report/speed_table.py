"""Throughput -> a table of how fast the encoders were, and on what."""

from collections.abc import Mapping, Sequence
from typing import Any

from retrieval.report.results import ArmResults, Throughput
from retrieval.report.table import Cell, Column, Row, Table, missing, text_cell

_PARTS = (("both", "one query, ms"), ("encode", "of which encoding"), ("search", "of which search"))
_PERCENTILES = ("p50", "p95", "p99")


def speed(results: Sequence[ArmResults], collection: str) -> Table | None:
    """Queries and passages a second, and what one query takes; None where nothing was measured."""
    measured = [result for result in results if collection in result.throughput]
    if not measured:
        return None
    sizes = measured[0].throughput[collection]
    return Table(
        name="speed",
        caption=(
            f"Speed of the encoders on texts of this collection: {sizes.queries:,} queries and {sizes.passages:,} "
            "passages in bulk (median of several rounds), then single queries one after the other, each searched "
            f"exactly among {sizes.passages_searched:,} passages."
        ),
        corner="arm",
        columns=(
            Column("queries/s", "in bulk", meaning="queries encoded a second"),
            Column("passages/s", "in bulk", meaning="passages encoded a second"),
            *(Column(percentile, group) for _, group in _PARTS for percentile in _PERCENTILES),
            Column("measured on", numeric=False),
        ),
        rows=tuple(Row(result.name, _cells(result.throughput[collection]), arm=result.name) for result in measured),
    )


def _cells(figures: Throughput) -> tuple[Cell, ...]:
    latencies = (figures.latency_ms.get(part, {}).get(percentile) for part, _ in _PARTS for percentile in _PERCENTILES)
    numbers = (figures.queries_per_second, figures.passages_per_second, *latencies)
    cells = (missing("not measured") if value is None else Cell(_figure(value), value) for value in numbers)
    return (*cells, text_cell(_machine(figures.machine)))


def _machine(facts: Mapping[str, Any]) -> str:
    """The machine in a line, the GPU first where there is one."""
    there = [name for name in ("cores", "threads") if name in facts]
    counts = (f"{facts[name]} {name.removesuffix('s') if facts[name] == 1 else name}" for name in there)
    return ", ".join(str(fact) for fact in (facts.get("gpu"), facts.get("processor"), *counts) if fact)


def _figure(value: float) -> str:
    """Three digits or all of them: speeds and milliseconds span orders of magnitude."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
