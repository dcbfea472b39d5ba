"""Analysis -> tables of means, of claims, of comparisons and of trials."""

from collections.abc import Mapping, Sequence
from typing import Any

from retrieval.analysis.observations import AXIS, Arm, Panel, arm_of
from retrieval.analysis.spread import ArmMean
from retrieval.analysis.study import MeasureAnalysis
from retrieval.measures.statistics import LEVEL
from retrieval.report.measures import Mark, Measure, number
from retrieval.report.results import Estimate
from retrieval.report.study.claims import VERDICTS, Claim
from retrieval.report.study.inputs import Study
from retrieval.report.study.naming import (
    aim,
    arm_name,
    arm_order,
    capitalised,
    condition_name,
    fine,
    measure_of,
    objective_name,
    p_text,
    size,
)
from retrieval.report.table import Cell, Column, Row, Table, count_cell, estimate_cell, missing, text_cell, value_cell
from retrieval.report.text import mix_text, parts_of

_CLOSE = "it may be the best of the mixes tried (95 % confidence)"


def means(found: Sequence[MeasureAnalysis], caption: str, name: str = "means") -> Table:
    """Means of every mix in several measures with intervals; below each name the mix where it has another name."""
    arms = sorted(dict.fromkeys(mean.arm for one in found for mean in one.arms), key=arm_order)
    columns = [Column(aim(one), meaning=measure_of(one).meaning) for one in found]
    several = any(len(one.seeds) > 1 for one in found)
    columns += [Column(f"{aim(one)}", "seed deviation", meaning=_SEEDS) for one in found if several]
    rows = []
    for arm in arms:
        by_measure = [next((mean for mean in one.arms if mean.arm == arm), None) for one in found]
        cells = [_mean_cell(one, mean) for one, mean in zip(found, by_measure, strict=True)]
        if several:
            cells += [_deviation_cell(one, mean) for one, mean in zip(found, by_measure, strict=True)]
        rows.append(Row(arm_name(arm), tuple(cells), detail=_detail(arm)))
    if several:
        columns = [
            Column(one.label, one.group or "mean over seeds and queries", one.numeric, one.meaning) for one in columns
        ]
    return Table(name, caption, "mix", tuple(columns), tuple(rows), detail="shares", close_means=_CLOSE)


_SEEDS = "standard deviation of the means of single seeds"


def _detail(arm: Arm) -> str:
    """The shares of an arm that goes by another name."""
    return mix_text({kind: str(share) for kind, share in arm.mix}) if arm_name(arm) in ("X-X", "X-Y") else ""


def _mean_cell(one: MeasureAnalysis, mean: ArmMean | None) -> Cell:
    if mean is None:
        return missing("this mix is not part of the analysis of this measure")
    label = mean.arm.label
    mark: Mark = "best" if label == one.best else "close" if label in one.flat_region else ""
    estimate = Estimate(mean=mean.mean, low=mean.low, high=mean.high)
    return estimate_cell(estimate, mark if len(one.arms) > 1 else "", measure_of(one), "")


def _deviation_cell(one: MeasureAnalysis, mean: ArmMean | None) -> Cell:
    if mean is None or mean.seed_deviation is None:
        return missing("one seed")
    return Cell(size(mean.seed_deviation, measure_of(one)), mean.seed_deviation)


def best_by_condition(study: Study) -> Table:
    """The best mix of every headline measure under each combination of the axes, and how many may be the best."""
    rows = []
    for axes in study.conditions:
        cells = []
        for key in study.headline:
            one = study.found(key, axes)
            if one is None:
                cells.append(missing("not analysed here"))
                continue
            best = next(mean for mean in one.arms if mean.arm.label == one.best)
            also = f"; {len(one.flat_region)} of {len(one.arms)} may be" if len(one.flat_region) > 1 else ""
            cells.append(text_cell(f"{arm_name(best.arm)} ({number(best.mean, measure_of(one))}){also}"))
        rows.append(Row(condition_name(axes), tuple(cells)))
    caption = "The mix with the best mean, and how many of the mixes may be the best where it is not the only one."
    columns = tuple(Column(aim(study.example(key)), numeric=False) for key in study.headline)
    return Table("best", caption, "values of the axes", columns, tuple(rows), wraps=True)


def claims(found: Sequence[Claim], with_axes: bool) -> Table | None:
    """Whether the paper's order holds, a row for each claim and combination of the axes."""
    if not found:
        return None
    columns = [Column("values of the axes", numeric=False)] if with_axes else []
    columns += [Column("verdict", numeric=False), Column("evidence", numeric=False)]
    rows = []
    for claim in found:
        cells = [text_cell(condition_name(claim.axes))] if with_axes else []
        cells += [text_cell(VERDICTS[claim.verdict]), text_cell("".join(parts_of(claim.evidence)))]
        rows.append(Row(claim.text, tuple(cells)))
    caption = (
        "The order found in arXiv 2408.10536. Differences are followed by their 95 % intervals; p is corrected for "
        "all comparisons of the study (Holm)."
    )
    return Table("claims", caption, "claim", tuple(columns), tuple(rows), wraps=True)


def comparisons(one: MeasureAnalysis) -> Table | None:
    """Every mix against X-X, X-Y and the best, in one measure."""
    if not one.compared:
        return None
    measure = measure_of(one)
    arm_of_label = {mean.arm.label: mean.arm for mean in one.arms}
    columns = (
        Column("against", numeric=False),
        Column("difference", meaning="mix minus reference, with its 95 % interval"),
        Column("p (Holm)", meaning="corrected for all comparisons of the study"),
        Column("p", meaning="of this comparison alone"),
        Column("effect size", meaning="Cohen's d over queries"),
        Column("detectable", meaning="smallest true difference found in 4 of 5 such studies, after the correction"),
        Column("verdict", numeric=False),
    )
    rows = []
    roles = list(dict.fromkeys(each.role for each in one.compared))
    for each in sorted(one.compared, key=lambda each: (roles.index(each.role), arm_order(arm_of_label[each.arm]))):
        result, differs = each.result, each.p_holm < 1 - LEVEL
        better = (result.estimate > 0) == one.higher_is_better
        reference = arm_name(arm_of_label[each.reference])
        role = each.role if each.role == reference else f"the best, {reference}" if each.role == "best" else each.role
        difference = Estimate(mean=result.estimate, low=result.low, high=result.high)
        cells = (
            text_cell(role),
            Cell(fine(result.estimate, measure), result.estimate, difference, _ends(difference, measure)),
            Cell(_p(each.p_holm), each.p_holm),
            Cell(_p(result.p_value), result.p_value),
            value_cell(result.effect_size, "all queries differ by the same"),
            missing("not computed")
            if each.detectable is None
            else Cell(size(each.detectable, measure), each.detectable),
            text_cell(("better" if better else "worse") if differs else "not distinguishable"),
        )
        rows.append(Row(arm_name(arm_of_label[each.arm]), cells))
    condition = f", {condition_name(one.axes)}" if one.axes else ""
    caption = f"{aim(one)}{condition}: differences with 95 % intervals. Verdicts go by p (Holm) below .05."
    return Table("comparisons", capitalised(caption), "mix", columns, tuple(rows))


def _ends(estimate: Estimate, measure: Measure) -> str:
    return f"{fine(estimate.low, measure)} to {fine(estimate.high, measure)}"


def _p(p_value: float) -> str:
    return p_text(p_value).removeprefix("p = ").removeprefix("p ")


def trials(study: Study) -> Table:
    """Every trial: its mix, seed and axes, whether it finished, and its means."""
    means_of = [_means_by_trial(study.whole_panel(key)) for key in study.headline]
    left_out = {trial for one in study.analysis.measures for trial in one.left_out}
    axes = [name for name in study.trials.column_names if name.startswith(AXIS)]
    shown = [study.example(key) for key in study.headline]
    columns = [
        Column("mix", numeric=False),
        Column("seed"),
        *(Column(name.removeprefix(AXIS), numeric=False) for name in axes),
        Column("status", numeric=False),
        Column("steps"),
        *(Column(aim(one)) for one in shown),
    ]
    rows = []
    for name, row in study.trials_in_order():
        cost = study.cost_rows.get(name, {})
        status = str(cost.get("status") or "no record") + (", left out of the analysis" if name in left_out else "")
        steps = cost.get("steps")
        cells = [
            text_cell(arm_name(arm_of(row))),
            count_cell(row["seed"]),
            *(text_cell(str(row[name_] or "")) for name_ in axes),
            text_cell(status),
            missing("no record") if steps is None else count_cell(steps),
            *(
                value_cell(of.get(name), "not evaluated, or left out", measure_of(one))
                for of, one in zip(means_of, shown, strict=True)
            ),
        ]
        rows.append(Row(name, tuple(cells)))
    return Table("trials", f"All {len(rows)} trials, with means over queries.", "trial", tuple(columns), tuple(rows))


def _means_by_trial(panel: Panel) -> dict[str, float]:
    mean_MS = panel.values.mean(axis=2)
    return {
        trial: float(mean)
        for of, means_ in zip(panel.trials, mean_MS, strict=True)
        for trial, mean in zip(of, means_, strict=True)
    }


def front(study: Study, axes: Mapping[str, Any], with_costs: bool) -> Table | None:
    """The Pareto front: objectives of every mix, whether it is on the front, and how often under resampling."""
    found = next((one for one in study.analysis.fronts if one.axes == axes and one.with_costs == with_costs), None)
    if found is None:
        return None
    arms = study.arms
    columns = [Column(objective_name(objective.name)) for objective in found.objectives]
    columns += [
        Column("on the front", numeric=False),
        Column("how often", meaning="share of resampled studies in which it is on the front"),
    ]
    rows = []
    for place, label in sorted(enumerate(found.arms), key=lambda one: arm_order(arms[one[1]])):
        cells = [_objective_cell(one.values[place], one.name) for one in found.objectives]
        cells += [text_cell("yes" if found.on_front[place] else "no"), value_cell(found.frequency[place], "")]
        rows.append(Row(arm_name(arms[label]), tuple(cells)))
    caption = "Pareto front: the mixes that no other mix equals or beats in all of these. " + (
        "Costs count as known exactly."
        if with_costs
        else "With many objectives most mixes are on most fronts; read the frequency with that in mind."
    )
    return Table("front", caption, "mix", tuple(columns), tuple(rows))


def _objective_cell(value: float, name: str) -> Cell:
    return value_cell(value if value == value else None, "not measured")
