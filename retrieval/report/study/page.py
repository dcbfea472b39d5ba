"""Contents of a study -> HTML pages that need nothing but themselves, and a summary in Markdown."""

from retrieval.report.markdown import escaped, markdown_table
from retrieval.report.page import environment, style_and_script
from retrieval.report.study.comparison import ComparisonContents
from retrieval.report.study.contents import StudyContents
from retrieval.report.study.costs import CostContents


def render_study(contents: StudyContents, with_costs: bool) -> str:
    """The page of a study."""
    template = environment().get_template("study.html.j2")
    return template.render(contents=contents, with_costs=with_costs, **style_and_script())


def render_costs(title: str, contents: CostContents) -> str:
    """The page of what its trials took."""
    return (
        environment().get_template("study_costs.html.j2").render(title=title, contents=contents, **style_and_script())
    )


def render_comparison(contents: ComparisonContents) -> str:
    """The page of two studies."""
    return environment().get_template("study_comparison.html.j2").render(contents=contents, **style_and_script())


def render_summary(contents: StudyContents) -> str:
    """What the study shows, its means and its best mixes, for a pull request or a terminal."""
    lines = [f"# {escaped(contents.title)}", "", f"{escaped(contents.counts)}.", ""]
    if contents.best:
        lines += ["## What it shows", "", *markdown_table(contents.best, range(len(contents.best.columns))), ""]
    for part in contents.parts:
        lines += [f"## {escaped(part.name) or 'What it shows'}", ""]
        lines += [*(f"- {escaped(text)}" for text in (*part.summary, *part.surface_findings, *part.sensitivity)), ""]
        places = [place for place, column in enumerate(part.means.columns) if column.group != "seed deviation"]
        lines += [*markdown_table(part.means, places, with_detail=True), ""]
        lines += [f"**Best in its column**; ≈ {part.means.close_means}.", ""]
    for heading, table in (("The paper's order", contents.claims), ("Fitted surfaces", contents.models)):
        if table:
            lines += [f"## {heading}", "", *markdown_table(table, range(len(table.columns))), ""]
    for axis in contents.axes:
        lines += [f"## Effect of {escaped(axis.name)}", "", *(f"- {escaped(text)}" for text in axis.findings), ""]
    lines += ["## What these numbers do not show", "", *(f"- {escaped(text)}" for text in contents.limits), ""]
    return "\n".join(lines)
