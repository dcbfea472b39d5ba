"""What is drawn in a figure, as CSV beside it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from retrieval.report.figures import Figure
from retrieval.report.table import as_csv, harmless


def with_data(figure: Figure, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Figure:
    """The figure with its numbers, in full precision."""
    return replace(figure, csv=as_csv([[_value(one) for one in line] for line in (header, *rows)]))


def _value(one: object) -> object:
    return harmless(one) if isinstance(one, str) else one
