"""Arms -> the files of a report."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.report.arms import Arm


@dataclass(frozen=True)
class ReportFiles:
    """What was written."""

    page: Path
    """`index.html`, complete in itself."""
    summary: Path
    """`summary.md`."""
    figures: tuple[Path, ...]
    """`figures/*.svg`, on a white ground."""
    tables: tuple[Path, ...]
    """`tables/*.csv`, in full precision."""


def write_report(
    folder: Path,
    title: str,
    config: Mapping[str, Any],
    arms: Sequence[Arm],
    notes: Sequence[str] = (),
    facts: Mapping[str, str] | None = None,
) -> ReportFiles:
    """Write the report of a run: `index.html`, `summary.md`, `figures/*.svg`, `tables/*.csv`.

    The same arguments give the same bytes. Everything is made before the first file is written, and the page comes
    last, so that a page that is there is whole.

    Args:
        folder: where the files go; made if need be.
        title: heading of the page.
        config: the run's configuration, shown as YAML.
        arms: what to compare; trained arms are shown first.
        notes: paragraphs of the caller's, shown under the title.
        facts: name -> value, about the run as a whole: dates, versions, fingerprints.

    Raises:
        DataError: one line that names the file that is missing or cannot be used, or the arms that do not fit together.
    """
    # These draw in matplotlib and jinja2, which a command that writes no report should not wait for.
    from retrieval.report import markdown, page
    from retrieval.report.contents import gather
    from retrieval.report.inputs import read_arms
    from retrieval.report.table import to_csv

    contents = gather(title, config, read_arms(arms), notes, facts or {})
    figures = {f"figures/{figure.name}.svg": figure.file for figure in contents.figures()}
    csv_files = {f"tables/{name}.csv": to_csv(table) for name, table in contents.named_tables()}
    csv_files["tables/pairs.csv"] = contents.pairs_csv
    if contents.perturbations_csv:
        csv_files["tables/perturbations.csv"] = contents.perturbations_csv
    files = {**figures, **csv_files, "summary.md": markdown.render(contents), "index.html": page.render(contents)}
    for relative, text in files.items():
        write_file(folder / relative, text)
    return ReportFiles(
        page=folder / "index.html",
        summary=folder / "summary.md",
        figures=tuple(folder / relative for relative in figures),
        tables=tuple(folder / relative for relative in csv_files),
    )


def write_file(path: Path, text: str) -> None:
    """Write a file so that it appears whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8", newline="\n")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
