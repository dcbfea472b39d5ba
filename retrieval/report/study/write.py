"""A study -> the files of its report; two studies -> a page that compares them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.analysis.study import StudyAnalysis

if TYPE_CHECKING:
    import pyarrow as pa


def write_study_report(
    folder: Path,
    title: str,
    config: dict[str, Any],
    trials: "pa.Table",
    values: "pa.Table",
    pairs: "pa.Table",
    costs: "pa.Table",
    analysis: StudyAnalysis,
) -> None:
    """Write the report of a study: `index.html`, `summary.md`, `figures/*.svg` and `*.csv`, `tables/*.csv`, `costs/`.

    The same arguments give the same bytes, and nothing outside `costs/` depends on `costs` but for each trial's status
    and steps: times differ from run to run and stand on a page of their own, `costs/index.html`, with its own figures
    and tables. Everything is made before the first file is written, and the page comes last.

    Args:
        folder: where the files go; made if need be.
        title: heading of the page.
        config: the study's configuration, shown as YAML.
        trials, values: as `analyse_study` takes them.
        pairs: columns `trial, query_language, passage_language` (empty: the pool of all), `setting, measure, value`.
        costs: columns `trial, status` (finished or stopped), `steps, train_seconds, evaluate_seconds`; what is not
            known is null. Trials without a row are shown without costs.
        analysis: what `analyse_study` makes of the same trials and values.

    Raises:
        DataError: a table lacks a column or speaks of an unknown trial, or the analysis is of other values.
    """
    # These draw in matplotlib and jinja2, which a command that writes no report should not wait for.
    from retrieval.report.study.contents import gather
    from retrieval.report.study.costs import cost_contents, cost_files
    from retrieval.report.study.inputs import checked
    from retrieval.report.study.page import render_costs, render_study, render_summary
    from retrieval.report.table import to_csv
    from retrieval.report.write import write_file

    study = checked(trials, values, pairs, costs, analysis)
    contents = gather(title, config, study)
    files: dict[str, str] = {}
    for figure in contents.figures():
        files |= {f"figures/{figure.name}.svg": figure.file, f"figures/{figure.name}.csv": figure.csv}
    files |= {f"tables/{name}.csv": to_csv(table) for name, table in contents.named_tables()}
    found = cost_contents(study)
    if found is not None:
        for figure in (figure for panels in found.panels for figure in panels.figures):
            files |= {f"costs/figures/{figure.name}.svg": figure.file, f"costs/figures/{figure.name}.csv": figure.csv}
        files |= {f"costs/tables/{name}.csv": to_csv(table) for name, table in cost_files(found).items()}
        files["costs/index.html"] = render_costs(title, found)
    files["summary.md"] = render_summary(contents)
    files["index.html"] = render_study(contents, with_costs=found is not None)
    for relative, text in files.items():
        write_file(folder / relative, text)


def write_study_comparison(
    folder: Path,
    first: StudyAnalysis,
    second: StudyAnalysis,
    names: tuple[str, str] = ("first", "second"),
) -> None:
    """Write a page that compares two studies: `index.html`, `figures/*.svg` and `*.csv`, `tables/*.csv`.

    Args:
        folder: where the files go; made if need be.
        first, second: the analyses; differences are second minus first.
        names: what the two are called on the page.

    Raises:
        DataError: they have no measure in common.
    """
    from retrieval.report.study.comparison import gather_comparison
    from retrieval.report.study.page import render_comparison
    from retrieval.report.table import to_csv
    from retrieval.report.write import write_file

    contents = gather_comparison(first, second, names)
    files: dict[str, str] = {}
    for figure in contents.figures():
        files |= {f"figures/{figure.name}.svg": figure.file, f"figures/{figure.name}.csv": figure.csv}
    files |= {f"tables/{name}.csv": to_csv(table) for name, table in contents.named_tables()}
    files["index.html"] = render_comparison(contents)
    for relative, text in files.items():
        write_file(folder / relative, text)
