"""Analysis -> tables of the fitted surfaces and of what the axes do."""

from collections.abc import Sequence

from retrieval.analysis.optimum import MixtureModel
from retrieval.analysis.scheffe import MODELS
from retrieval.analysis.study import MeasureAnalysis, StudyAnalysis
from retrieval.measures.statistics import LEVEL
from retrieval.report.measures import Measure, number
from retrieval.report.results import Estimate
from retrieval.report.study.naming import (
    aim,
    arm_name,
    capitalised,
    condition_name,
    fine,
    level_text,
    measure_of,
    p_text,
    share_text,
    size,
)
from retrieval.report.table import Cell, Column, Row, Table, estimate_cell, missing, text_cell, value_cell
from retrieval.report.text import kinds_in_order, slug

_NO_MODEL = "too few mixes to check this model"


def models(found: Sequence[MeasureAnalysis], with_axes: bool) -> Table | None:
    """The chosen model of each measure: its best mix with intervals, how well it fits, and the errors of all models."""
    fitted = [(one, one.mixture) for one in found if one.mixture is not None]
    if not fitted:
        return None
    kinds = kinds_in_order({kind for _, model in fitted for kind in model.kinds})
    tried = [name for name in MODELS if any(name in model.cross_validation_errors for _, model in fitted)]
    columns = [Column("values of the axes", numeric=False)] if with_axes else []
    columns += [Column("chosen", "model", numeric=False)]
    columns += [Column(kind, "best mix, with 95 % intervals") for kind in kinds]
    columns += [Column("value there", "best mix, with 95 % intervals")]
    columns += [
        Column(name, "cross-validation error", meaning="of predicting a mix from all others; the least chooses")
        for name in tried
    ]
    columns += [Column("R²", "fit"), Column("adjusted R²", "fit"), Column("lack-of-fit p", "fit", meaning=_LACK)]
    rows = []
    for one, model in fitted:
        measure = measure_of(one)
        low, high = model.best_value_interval
        value = Estimate(mean=model.best_value, low=low, high=high)
        cells = [text_cell(condition_name(one.axes))] if with_axes else []
        cells += [text_cell(model.model)]
        cells += [_share_cell(model, kind) for kind in kinds]
        cells += [estimate_cell(value, "", measure, "")]
        cells += [_error_cell(model, name, measure) for name in tried]
        cells += [value_cell(model.r_squared, ""), value_cell(model.adjusted_r_squared, "")]
        p_value = model.lack_of_fit_p
        cells += [missing("needs several seeds and more mixes than terms") if p_value is None else _p_cell(p_value)]
        rows.append(Row(aim(one), tuple(cells)))
    caption = (
        "Scheffé's mixture models: a measure as a polynomial of the shares. The best mix lies within the shares that "
        "were tried; its interval holds other queries, other seeds and the choice of the model. A small lack-of-fit "
        "p says that no such curve passes through the means: go by the means then."
    )
    return Table("models", caption, "measure", tuple(columns), tuple(rows))


_LACK = "whether the surface misses the means by more than seeds explain"


def _share_cell(model: MixtureModel, kind: str) -> Cell:
    if kind not in model.best:
        return missing("not a kind of this surface")
    low, high = model.best_intervals[kind]
    share = model.best[kind]
    return Cell(
        share_text(share), share, Estimate(mean=share, low=low, high=high), f"{share_text(low)}–{share_text(high)}"
    )


def _error_cell(model: MixtureModel, name: str, measure: Measure) -> Cell:
    error = model.cross_validation_errors.get(name)
    if error is None:
        return missing(_NO_MODEL)
    return Cell(size(error, measure), error)


def _p_cell(p_value: float) -> Cell:
    return Cell(p_text(p_value).removeprefix("p = ").removeprefix("p "), p_value)


def coefficients(one: MeasureAnalysis) -> Table | None:
    """The coefficients of the chosen model of one measure."""
    if one.mixture is None:
        return None
    measure = measure_of(one)
    columns = (Column("value", meaning="with its 95 % interval"),)
    rows = [
        Row(each.term.replace("*", " × "), (_coefficient(each.value, each.low, each.high, measure),))
        for each in one.mixture.coefficients
    ]
    caption = (
        f"{capitalised(aim(one))}: coefficients of the {one.mixture.model} model. A kind's own is its value alone; a "
        "product's is what mixing adds."
    )
    return Table("coefficients", caption, "term", columns, tuple(rows))


def _coefficient(value: float, low: float, high: float, measure: Measure) -> Cell:
    return Cell(
        number(value, measure),
        value,
        Estimate(mean=value, low=low, high=high),
        f"{number(low, measure)}–{number(high, measure)}",
    )


def axis_slopes(study: StudyAnalysis, axis: str) -> Table | None:
    """What a doubling of an axis does to each mix, and to its lead over X-X and X-Y."""
    found = [one for one in study.axis_effects if one.axis == axis]
    if not found:
        return None
    by_key = {(one.setting, one.measure): one for one in study.measures}
    levels = list(dict.fromkeys(level for one in found for level in one.levels))
    arms = {_without_axes(mean.arm.label): mean.arm for one in study.measures for mean in one.arms}
    columns = (
        Column("measure", numeric=False),
        Column("per doubling", "slope", meaning="with its 95 % interval"),
        Column("p (Holm)", "slope", meaning="corrected over the slopes of the measure"),
        Column("verdict", "slope", numeric=False),
        *(Column(level_text(int(level) if level == int(level) else level), "mean at") for level in levels),
    )
    rows = []
    for one in found:
        analysis = by_key[one.setting, one.measure]
        measure, slope = measure_of(analysis), one.slope
        mix = arm_name(arms[one.mix]) if one.mix in arms else one.mix
        what = mix if one.reference is None else f"{mix} minus {arm_name(arms[one.reference])}"
        estimate = Estimate(mean=slope.estimate, low=slope.low, high=slope.high)
        ends, sure = f"{fine(slope.low, measure)} to {fine(slope.high, measure)}", one.p_holm < 1 - LEVEL
        at = dict(zip(one.levels, one.mean_by_level, strict=True))
        text = number if one.reference is None else fine
        cells = (
            text_cell(aim(analysis)),
            Cell(fine(slope.estimate, measure), slope.estimate, estimate, ends),
            _p_cell(one.p_holm),
            text_cell(("rises" if slope.estimate > 0 else "falls") if sure else "not distinguishable from level"),
            *(Cell(text(at[level], measure), at[level]) if level in at else missing("not tried") for level in levels),
        )  # fmt: skip
        rows.append(Row(what, cells))
    caption = f"What a doubling of {axis} does to each mix, and to its difference to X-X and to X-Y."
    return Table(f"axis-{slug(axis)}", caption, "mix or difference", columns, tuple(rows))


def _without_axes(label: str) -> str:
    return label.partition("; ")[0]
