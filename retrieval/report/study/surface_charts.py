"""One measure under one combination of the axes -> its means over the simplex, with the fitted surface."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from retrieval.analysis.observations import Arm
from retrieval.analysis.optimum import MixtureModel
from retrieval.analysis.spread import ArmMean
from retrieval.analysis.study import MeasureAnalysis
from retrieval.report.figures import Figure
from retrieval.report.measures import number, without_zero
from retrieval.report.study.drawing import Band, MixPoint, Observed, SurfaceMap, alpha_curve, ternary
from retrieval.report.study.naming import Names, aim, arm_name, capitalised, kinds_of, measure_of, share_text
from retrieval.report.study.row_drawing import Dot, dots
from retrieval.report.study.sheet import with_data
from retrieval.report.text import label

_POINTS_OF_CURVE = 201


def surface_figure(one: MeasureAnalysis, names: Names, name: str, title: str) -> Figure:
    """Three kinds with a fitted surface: a map of the triangle. Two kinds: a curve. Anything else: a row for each "
    "mix."""
    constant = [mean for mean in one.arms if not mean.arm.schedule]
    kinds = kinds_of(mean.arm for mean in constant)
    if len(constant) == len(one.arms):
        if one.mixture is not None and len(kinds) == 3:
            return _ternary(one, one.mixture, kinds, name, title)
        if len(kinds) == 2:
            return _alpha(one, kinds, name, title)
    return mean_dots(one, names, name, title)


def said_best(one: MeasureAnalysis) -> str:
    """What the figure shows, for someone who cannot see it."""
    measure = measure_of(one)
    best = next(mean for mean in one.arms if mean.arm.label == one.best)
    text = f"{capitalised(aim(one))} of {len(one.arms)} mixes."
    text += f" Best mean: {arm_name(best.arm)} {number(best.mean, measure)}"
    text += f"; {len(one.flat_region)} of the mixes cannot be told from it." if len(one.flat_region) > 1 else "."
    if one.mixture is not None:
        shares = ", ".join(f"{kind} {share_text(share)}" for kind, share in one.mixture.best.items())
        text += (
            f" Top of the fitted surface ({one.mixture.model}): {shares}, {number(one.mixture.best_value, measure)}."
        )
    return text


def _shares(arm: Arm, kinds: list[str]) -> list[float]:
    return [arm.share(kind) for kind in kinds]


def _ternary(one: MeasureAnalysis, model: MixtureModel, kinds: list[str], name: str, title: str) -> Figure:
    measure = measure_of(one)
    order = [model.kinds.index(kind) for kind in kinds]
    surface, share_PK = model.surface, model.surface.shares[:, order]
    every = np.concatenate([surface.values, [mean.mean for mean in one.arms]])
    levels = MaxNLocator(9).tick_values(float(every.min()), float(every.max()))
    points = [
        MixPoint(
            tuple(_shares(mean.arm, kinds)), mean.mean, number(mean.mean, measure), mean.arm.label in one.flat_region
        )
        for mean in one.arms
    ]
    drawn = SurfaceMap(
        kinds=tuple(kinds),
        shares=share_PK,
        values=surface.values,
        points=points,
        best=tuple(model.best[kind] for kind in kinds),
        levels=np.asarray(levels),
        level_texts=_level_texts(np.asarray(levels)),
        higher_is_better=one.higher_is_better,
    )
    header = ["what", "mix", *kinds, "value", "low", "high", "in flat region"]
    rows: list[list[object]] = [
        ["surface", "", *shares, value, low, high, ""]
        for shares, value, low, high in zip(
            share_PK.tolist(), surface.values.tolist(), surface.low.tolist(), surface.high.tolist(), strict=True
        )
    ]
    rows += [["mix", *_mean_row(mean, kinds, one)] for mean in one.arms]
    rows.append(["best of surface", "", *drawn.best, model.best_value, *model.best_value_interval, ""])
    return with_data(ternary(name, title, said_best(one), drawn), header, rows)


def _level_texts(levels: np.ndarray) -> list[str]:
    """Levels with as many decimals as their steps need."""
    decimals = next(n for n in range(9) if np.allclose(levels * 10**n, np.round(levels * 10**n), atol=1e-6) or n == 8)
    return [without_zero(f"{level:.{decimals}f}") for level in levels]


def _mean_row(mean: ArmMean, kinds: list[str], one: MeasureAnalysis) -> list[object]:
    flat = "yes" if mean.arm.label in one.flat_region else "no"
    return [arm_name(mean.arm), *_shares(mean.arm, kinds), mean.mean, mean.low, mean.high, flat]


def _alpha(one: MeasureAnalysis, kinds: list[str], name: str, title: str) -> Figure:
    along = kinds[0]
    in_order = sorted(one.arms, key=lambda mean: mean.arm.share(along))
    points = [
        Observed(mean.arm.share(along), mean.mean, mean.low, mean.high, mean.by_seed, mean.arm.label in one.flat_region)
        for mean in in_order
    ]
    band, best, rows = None, None, []
    if one.mixture is not None:
        model = one.mixture
        x_P = model.surface.shares[:, model.kinds.index(along)]
        x, first = np.unique(np.round(x_P, 9), return_index=True)
        chosen = first[np.unique(np.linspace(0, len(x) - 1, _POINTS_OF_CURVE).round().astype(int))]
        band = Band(x_P[chosen], *(of[chosen] for of in (model.surface.values, model.surface.low, model.surface.high)))
        best = (model.best[along], *model.best_intervals[along])
        drawn = zip(band.x.tolist(), band.y.tolist(), band.low.tolist(), band.high.tolist(), strict=True)
        rows = [["curve", "", x, 1 - x, value, low, high, "", ""] for x, value, low, high in drawn]
    for mean in in_order:
        rows += [["mix", *_mean_row(mean, kinds, one), ""]]
        rows += [
            ["seed", arm_name(mean.arm), *_shares(mean.arm, kinds), value, "", "", "", seed]
            for seed, value in zip(one.seeds, mean.by_seed, strict=True)
        ]
    if best is not None:
        rows.append(["best of curve", "", best[0], 1 - best[0], "", "", "", "", ""])
        rows += [["end of its interval", "", end, 1 - end, "", "", "", "", ""] for end in best[1:]]
    figure = alpha_curve(
        name,
        title,
        said_best(one),
        f"share of {label(along, 16)}; the rest is {label(kinds[1], 16)}",
        points,
        band,
        best,
    )
    return with_data(figure, ["what", "mix", *kinds, "value", "low", "high", "in flat region", "seed"], rows)


def mean_dots(one: MeasureAnalysis, names: Names, name: str, title: str) -> Figure:
    """A row for each mix, the best on top."""
    in_order = sorted(one.arms, key=lambda mean: -mean.mean if one.higher_is_better else mean.mean)
    rows = [
        Dot(
            name=names.short(mean.arm),
            colour=names.colour(mean.arm),
            mean=mean.mean,
            low=mean.low,
            high=mean.high,
            by_seed=mean.by_seed,
            flat=mean.arm.label in one.flat_region,
        )
        for mean in in_order
    ]
    header = ["mix", "mean", "low", "high", "in flat region", *(f"seed {seed}" for seed in one.seeds)]
    lines: list[list[object]] = [
        [arm_name(mean.arm), mean.mean, mean.low, mean.high, "yes" if row.flat else "no", *mean.by_seed]
        for mean, row in zip(in_order, rows, strict=True)
    ]
    return with_data(dots(name, title, said_best(one), rows), header, lines)
