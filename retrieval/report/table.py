"""A table is made once and written three times: on the page, in the Markdown summary and as CSV."""

import csv
import io
from dataclasses import dataclass

from retrieval.report.measures import MISSING, Mark, Measure, interval, number
from retrieval.report.results import Estimate
from retrieval.report.text import visible


@dataclass(frozen=True)
class Cell:
    """One value as text, and as a number to sort and to compute with."""

    text: str
    value: float | str | None = None
    """None: there is no value; it sorts last."""
    estimate: Estimate | None = None
    interval: str = ""
    mark: Mark = ""
    reason: str = ""
    """Why there is no value."""
    words: bool = False
    """The text says more than the number it is sorted by."""


@dataclass(frozen=True)
class Column:
    """A column, perhaps under a heading it shares with its neighbours."""

    label: str
    group: str = ""
    numeric: bool = True
    meaning: str = ""


@dataclass(frozen=True)
class Row:
    """A row and its heading."""

    header: str
    cells: tuple[Cell, ...]
    language: str = ""
    """Set where the row is about a language: its code."""
    arm: str = ""
    """Set where the row is about an arm: its name, which has a colour."""
    detail: str = ""
    """What stands below the heading."""


@dataclass(frozen=True)
class Table:
    """A table with a caption, and what its values do not say by themselves."""

    name: str
    caption: str
    corner: str
    """Heading of the column of row headings."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    detail: str = ""
    """What the details of the row headings are."""
    close_means: str = "the 95 % intervals overlap"
    """Why a value that is marked as close is not distinguishable from the best."""
    wraps: bool = False
    """Whether its cells hold sentences."""

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Headings over neighbouring columns, with how many columns each spans; empty where no column has one."""
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            if spans and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1] + 1)
            else:
                spans.append((column.group, 1))
        return spans if any(group for group, _ in spans) else []

    @property
    def group_starts(self) -> set[int]:
        """Columns that begin a group."""
        widths = [width for _, width in self.groups]
        return {sum(widths[:place]) for place in range(len(widths))}

    @property
    def has_marks(self) -> bool:
        """Whether any value is marked as best or close to it."""
        return any(cell.mark for row in self.rows for cell in row.cells)


def missing(reason: str) -> Cell:
    """A cell without a value."""
    return Cell(text=MISSING, reason=reason)


def value_cell(value: float | None, reason: str, measure: Measure | None = None) -> Cell:
    """A plain number."""
    return missing(reason) if value is None else Cell(text=number(value, measure), value=value)


def count_cell(count: float) -> Cell:
    """A count: a whole number, or hundredths of one where batches are mixed within."""
    return Cell(text=f"{count:,.2f}".removesuffix(".00"), value=float(count))


def text_cell(text: str) -> Cell:
    """Words."""
    return Cell(text=visible(text), value=text)


def estimate_cell(estimate: Estimate | None, mark: Mark, measure: Measure, reason: str) -> Cell:
    """A mean with its interval and its mark."""
    if estimate is None or estimate.mean is None:
        return missing(reason)
    return Cell(number(estimate.mean, measure), estimate.mean, estimate, interval(estimate, measure), mark)


def to_csv(table: Table) -> str:
    """The table in full precision; a column with intervals is followed by their ends."""
    with_interval = [any(row.cells[place].interval for row in table.rows) for place in range(len(table.columns))]
    names: list[object] = [table.corner, *([table.detail] if table.detail else [])]
    for column, has_interval in zip(table.columns, with_interval, strict=True):
        name = harmless(f"{column.group} {column.label}".strip())
        names += [name, f"{name} low", f"{name} high"] if has_interval else [name]
    lines = [names]
    for row in table.rows:
        line: list[object] = [harmless(row.header), *([harmless(row.detail)] if table.detail else [])]
        for cell, has_interval in zip(row.cells, with_interval, strict=True):
            shown = cell.text if cell.words else cell.value
            line.append("" if shown is None else harmless(shown) if isinstance(shown, str) else shown)
            if has_interval:
                estimate = cell.estimate or Estimate()
                line += ["" if end is None else end for end in (estimate.low, estimate.high)]
        lines.append(line)
    return as_csv(lines)


def as_csv(lines: list[list[object]]) -> str:
    """Lines of values as CSV (RFC 4180, but with line feeds)."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(lines)
    return written.getvalue()


def harmless(text: str) -> str:
    """Text that a spreadsheet shows and does not compute: a formula in a name stays a name."""
    shown = visible(text)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown
