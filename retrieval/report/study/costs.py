"""What trials took -> a page of its own: times differ from machine to machine and from run to run, results do not."""

from dataclasses import dataclass

from retrieval.analysis.observations import arm_of
from retrieval.report.charts import Panels
from retrieval.report.figures import Figure
from retrieval.report.study.charts import pareto
from retrieval.report.study.inputs import FINISHED, Study
from retrieval.report.study.naming import arm_name, condition_name
from retrieval.report.study.row_drawing import Parts, stacked_bars
from retrieval.report.study.sheet import with_data
from retrieval.report.study.tables import front
from retrieval.report.table import Cell, Column, Row, Table, count_cell, missing, text_cell
from retrieval.report.text import label, slug

PARTS = ("training", "evaluation")


@dataclass(frozen=True)
class CostContents:
    """The page of costs."""

    summary: list[str]
    panels: tuple[Panels, ...]
    tables: tuple[tuple[str, Table], ...]
    """Heading -> table."""


def cost_contents(study: Study) -> CostContents | None:
    """Seconds of every trial, by mix, and the Pareto fronts with measured costs; None where no costs are known."""
    if not study.cost_rows:
        return None
    panels: list[Panels] = [Panels(_CAPTION + study.names.caption, (_per_trial(study),))]
    tables = [("Seconds", _table(study))]
    for place, axes in enumerate(study.conditions, start=1):
        where = f", {condition_name(axes)}" if axes else ""
        for found in study.analysis.fronts:
            if found.axes == axes and found.with_costs:
                drawn = pareto(found, study.arms, study.names, f"costs-{place}")
                panels += [drawn] if drawn else []
                table = front(study, axes, with_costs=True)
                tables += [(f"Pareto front with costs{where}", table)] if table else []
    return CostContents(_summary(study), tuple(panels), tuple(tables))


_CAPTION = "Seconds of wall time of each trial; trials that shared a machine slowed each other. Faint: stopped early. "


def _seconds(row: dict[str, object]) -> list[float]:
    return [float(str(row[name])) if row[name] is not None else 0.0 for name in ("train_seconds", "evaluate_seconds")]


def _summary(study: Study) -> list[str]:
    rows = list(study.cost_rows.values())
    train, evaluate = (sum(of) for of in zip(*(_seconds(row) for row in rows), strict=True))
    finished = [row for row in rows if row["status"] == FINISHED]
    sentences = [
        f"{len(rows)} trials, {len(finished)} of them finished: {train:,.0f} s of training and {evaluate:,.0f} s of "
        f"evaluation, {(train + evaluate) / 3600:,.2f} hours together, added up over trials that may have run at the "
        "same time."
    ]
    most = max((row["steps"] or 0 for row in finished), default=0)
    stopped = [row for row in rows if row["status"] != FINISHED]
    if stopped and most:
        saved = sum(max(most - (row["steps"] or 0), 0) for row in stopped)
        sentences.append(f"Stopping {len(stopped)} trials early spared {saved:,} of {most * len(rows):,} steps.")
    return sentences


def _named(study: Study, trial: str) -> tuple[str, str]:
    """Short and full name of a trial: its mix and its seed."""
    row = study.rows.get(trial)
    if row is None:
        return label(trial, 14), "not in the table of trials"
    name = arm_name(arm_of(row))
    return f"{study.names.short_of.get(name, name)}, seed {row['seed']}", name


def _per_trial(study: Study) -> Figure:
    rows, lines = [], []
    for trial, row in study.costs_in_order:
        seconds = _seconds(row)
        short, name = _named(study, trial)
        rows.append(Parts(short, seconds, f"{sum(seconds):,.0f} s", row["status"] != FINISHED))
        seed = study.rows.get(trial, {}).get("seed", "")
        lines.append([trial, name, seed, row["status"], row["steps"], *seconds])
    longest = max(rows, key=lambda one: sum(one.values))
    said = f"{len(rows)} trials. Longest: {longest.name}, {longest.text}."
    figure = stacked_bars("cost-per-trial", "Seconds per trial", said, PARTS, rows)
    return with_data(figure, ["trial", "mix", "seed", "status", "steps", "train seconds", "evaluate seconds"], lines)


def _table(study: Study) -> Table:
    columns = (
        Column("mix", numeric=False), Column("seed"), Column("status", numeric=False), Column("steps"),
        Column("training, s"), Column("evaluation, s"), Column("training, s per 1,000 steps"),
    )  # fmt: skip
    rows = []
    for trial, row in study.costs_in_order:
        train, evaluate, steps = row["train_seconds"], row["evaluate_seconds"], row["steps"]
        rate = 1000 * train / steps if train is not None and steps else None
        cells = (
            text_cell(_named(study, trial)[1]),
            count_cell(study.rows[trial]["seed"]) if trial in study.rows else missing("not in the table of trials"),
            text_cell(str(row["status"])),
            missing("no record") if steps is None else count_cell(steps),
            *(_seconds_cell(one) for one in (train, evaluate, rate)),
        )
        rows.append(Row(trial, cells))
    return Table("costs", "What each trial took.", "trial", columns, tuple(rows))


def _seconds_cell(seconds: float | None) -> Cell:
    return missing("no record") if seconds is None else Cell(f"{seconds:,.{0 if seconds >= 100 else 1}f}", seconds)


def cost_files(contents: CostContents) -> dict[str, Table]:
    """File name without ending -> table."""
    return {slug(str(place), heading): table for place, (heading, table) in enumerate(contents.tables, start=1)}
