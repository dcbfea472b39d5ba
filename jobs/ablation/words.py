"""A finished study in a terminal: the mean of every arm, and what is best."""

from typing import TYPE_CHECKING, Any

from cluster.documents import parse_json
from jobs.results import text_table

if TYPE_CHECKING:
    from jobs.ablation.driver import StudyResult


def study_text(done: "StudyResult") -> str:
    """A table of the arms' means over seeds (`*` the best, `~` not distinguishable from it), and who was stopped."""
    from jobs.ablation.result import ANALYSIS

    analysis = parse_json(done.result_set.path(ANALYSIS).read_text(encoding="utf-8"))
    measures = analysis["measures"]
    labels = list(dict.fromkeys(arm["arm"]["label"] for one in measures for arm in one["arms"]))
    cells = {label: [""] * len(measures) for label in labels}
    for place, one in enumerate(measures):
        for arm in one["arms"]:
            cells[arm["arm"]["label"]][place] = _cell(one, arm)
    headings = ["arm", *(f"{one['setting']} {one['measure']}" for one in measures)]
    lines = [text_table(headings, [[label, *row] for label, row in cells.items()], words=1)]
    lines.append("* best   ~ not distinguishable from the best")
    stopped = [entry for entry in done.entries if entry.status == "stopped"]
    if stopped:
        lines.append(f"stopped early: {len(stopped)} of {len(done.entries)} trials")
    return "\n".join(lines)


def _cell(measure: dict[str, Any], arm: dict[str, Any]) -> str:
    label = arm["arm"]["label"]
    mark = "*" if label == measure["best"] else "~" if label in measure["flat_region"] else " "
    digits = 1 if measure["measure"] == "rank_distance" else 3
    return f"{arm['mean']:.{digits}f}{mark}"
