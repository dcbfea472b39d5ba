"""Contents -> a summary in Markdown: findings and the headline tables, for a pull request or a terminal."""

import re
from collections.abc import Sequence
from dataclasses import replace

from retrieval.report.contents import HEADINGS, CollectionPart, Contents
from retrieval.report.measures import MISSING
from retrieval.report.table import Cell, Table
from retrieval.report.text import label, parts_of, visible

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&$]|^[#+=-])")
_SUMMARISED = ("worst-pairs", "by-training-data", "perturbations", "speed")
"""Tables of a collection that the summary shows beside the headline."""
_WIDE = 5
_MARKS = {"best": "**{}**", "close": "{} ≈", "": "{}"}


def escaped(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no links, no new table cells."""
    return _SPECIAL.sub(r"\\\1", visible("".join(parts_of(text))))


def render(contents: Contents) -> str:
    """The summary."""
    lines = [f"# {escaped(contents.title)}", ""]
    lines += [line for note in contents.notes for line in (escaped(note), "")]
    for part in contents.collections:
        lines += _collection(part)
    lines += ["## What these numbers do not show", "", *(f"- {escaped(sentence)}" for sentence in contents.limits), ""]
    mix = next((table for table in contents.training.tables if table.name == "realised-mix"), None)
    if mix:
        lines += ["## Realised mix", "", *markdown_table(mix, range(len(mix.columns))), ""]
    if contents.gaps:
        lines += ["## Missing", "", *(f"- {escaped(gap)}" for gap in contents.gaps), ""]
    if contents.facts:
        facts = (f"- {escaped(name)}: {escaped(value)}" for name, value in contents.facts.items())
        lines += ["## Run", "", *facts, ""]
    return "\n".join(lines)


def _collection(part: CollectionPart) -> list[str]:
    summary = part.summary
    lines = [
        f"## {escaped(label(part.name))}",
        "",
        f"{summary.num_queries:,} queries, {summary.num_passages:,} passages, {len(summary.languages)} languages.",
        "",
        *(f"- {escaped(sentence)}" for sentence in part.findings),
        "",
    ]
    start = 0
    for group, width in part.headline.groups:
        places = list(range(start, start + width))
        lines += [f"### {group.capitalize()}", "", *markdown_table(part.headline, places, with_detail=not start), ""]
        start += width
    lines += ["**Best in its column**; ≈ not distinguishable from the best (95 % intervals overlap).", ""]
    for table in part.tables:
        if table.name in _SUMMARISED:
            lines += [f"### {HEADINGS[table.name]}", "", escaped(table.caption), "", *_by_group(table), ""]
    return lines


def _by_group(table: Table) -> list[str]:
    """A table for each heading over the columns where these are many and alike; else one, headings put together."""
    if len(table.columns) <= _WIDE or len({width for _, width in table.groups}) > 1:
        columns = tuple(replace(one, label=f"{one.group} {one.label}".strip()) for one in table.columns)
        return markdown_table(replace(table, columns=columns), range(len(columns)))
    lines, start = [], 0
    for group, width in table.groups:
        lines += [f"{escaped(group).capitalize()}:", "", *markdown_table(table, range(start, start + width)), ""]
        start += width
    return lines[:-1]


def markdown_table(table: Table, places: Sequence[int], with_detail: bool = False) -> list[str]:
    """The chosen columns of a table; the details of its row headings in a column of their own, or left out."""
    columns = [table.columns[place] for place in places]
    headings = [table.corner, *([table.detail] if with_detail else []), *(column.label for column in columns)]
    lines = [
        f"| {' | '.join(map(escaped, headings))} |",
        f"| --- |{' --- |' if with_detail else ''}{''.join(' ---: |' if one.numeric else ' --- |' for one in columns)}",
    ]
    for row in table.rows:
        texts = [escaped(label(row.header)), *([escaped(row.detail) or MISSING] if with_detail else [])]
        lines.append(f"| {' | '.join([*texts, *(_cell(row.cells[place]) for place in places)])} |")
    return lines


def _cell(cell: Cell) -> str:
    text = escaped(cell.text) if cell.words or isinstance(cell.value, str) else cell.text
    return _MARKS[cell.mark].format(text) + (f" ({cell.interval})" if cell.interval else "")
