"""Evaluations -> heat maps: languages against languages, and arms against languages."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from retrieval.report.charts import Panels
from retrieval.report.figures import Figure, HeatMap, heat_map
from retrieval.report.measures import MAP, RANK_DISTANCE, number, signed, without_zero
from retrieval.report.results import ArmResults
from retrieval.report.text import label, slug

# Letters of shapes: A arms, L languages.
OWN_LANGUAGE = "same_language_share@10"


def pairs(results: Sequence[ArmResults], collection: str, prefix: str) -> Panels | None:
    """mAP of every query language against every pool, one matrix an arm, all to one scale."""
    matrices = _matrices(results, collection)
    if not matrices:
        return None
    top = max(float(np.nanmax(matrix)) for matrix in matrices.values())
    languages = _languages(results, collection)
    figures = tuple(
        pair_map(f"{prefix}-pairs-{place}-{slug(name)}", name, matrix, languages, (0.0, top), "cividis", two_digits)
        for place, (name, matrix) in enumerate(matrices.items(), start=1)
    )
    return Panels(
        "mAP by query language (rows) and passage language (columns), the same colours for all arms: dark blue is 0, "
        f"bright yellow is {number(top)}. The outlined diagonal is monolingual, the cells beside it are "
        "cross-lingual, and the column set apart searches the pool of all languages.",
        figures,
    )


def differences(results: Sequence[ArmResults], collection: str, prefix: str) -> Panels | None:
    """mAP of each further trained arm minus that of the first trained arm."""
    matrices = _matrices([result for result in results if result.arm.role == "trained"], collection)
    if len(matrices) < 2:
        return None
    (first, base), *others = matrices.items()
    changes = {name: matrix - base for name, matrix in others if np.isfinite(matrix - base).any()}
    far = max([0.01, *(float(np.nanmax(np.abs(change))) for change in changes.values())])
    languages = _languages(results, collection)
    figures = tuple(
        pair_map(
            f"{prefix}-difference-{place}-{slug(name)}",
            f"{label(name, 22)} − {label(first, 22)}",
            change,
            languages,
            (-far, far),
            "PuOr",
            hundredths,
        )
        for place, (name, change) in enumerate(changes.items(), start=1)
    )
    return Panels(
        f"mAP minus that of {label(first)}, in hundredths: violet is better than {label(first)}, orange is worse; the "
        f"scale ends at ±{number(far)}. Baselines are left out: their differences would drown the others.",
        figures,
    )


def _languages(results: Sequence[ArmResults], collection: str) -> list[str]:
    return next(result.summaries[collection].languages for result in results if collection in result.summaries)


def _matrices(results: Sequence[ArmResults], collection: str) -> dict[str, np.ndarray]:
    """Arm -> (L, L + 1) mAP; the last column is the pool of all languages; NaN where a pair was not evaluated."""
    matrices = {}
    for result in results:
        if collection in result.summaries:
            languages = result.summaries[collection].languages
            values = result.summaries[collection].pair_values(MAP.key)
            pools = [*languages, "*"]
            matrix = np.array([[values.get((query, pool), math.nan) for pool in pools] for query in languages])
            if np.isfinite(matrix).any():
                matrices[result.name] = matrix
    return matrices


def pair_map(
    name: str,
    title: str,
    matrix: np.ndarray,
    languages: Sequence[str],
    limits: tuple[float, float],
    palette: str,
    text: Callable[[float], str],
) -> Figure:
    """Query languages (rows) against passage languages and the pool of all (the last column); the diagonal outlined."""
    pools = [*languages, "all"]
    ends = []
    for word, place in (("Highest", int(np.nanargmax(matrix))), ("lowest", int(np.nanargmin(matrix)))):
        query, pool = divmod(place, len(pools))
        ends.append(
            f"{word} {number(float(matrix[query, pool]))}: {label(languages[query])} against {label(pools[pool])}"
        )
    description = f"{len(languages)} query languages against {len(pools)} pools. {'; '.join(ends)}."
    diagonal = np.diag(matrix)
    if np.isfinite(diagonal).any():
        description += f" Mean of the diagonal {number(float(np.nanmean(diagonal)))}."
    cells = HeatMap(
        values=matrix,
        rows=languages,
        columns=pools,
        texts=[[text(value) for value in row] for row in matrix],
        low=limits[0],
        high=limits[1],
        palette=palette,
        set_apart=1,
        outlined=[(place, place) for place in range(len(languages))],
    )
    return heat_map(name, title, description, cells)


def two_digits(value: float) -> str:
    """.42"""
    return without_zero(f"{value:.2f}") if math.isfinite(value) else "–"


def hundredths(value: float) -> str:
    """With a sign: +3, −12, 0."""
    rounded = round(value * 100) if math.isfinite(value) else None
    return "–" if rounded is None else signed(f"{rounded:+d}") if rounded else "0"


def rank_distance_by_language(results: Sequence[ArmResults], collection: str, prefix: str) -> Figure | None:
    """Rank distance of every arm for every query language, in the colours of the trained arms' range."""
    names, matrix_AL = _by_language(results, collection, RANK_DISTANCE.key)
    if not names:
        return None
    trained = [place for place, name in enumerate(names) if _is_trained(results, name)] or list(range(len(names)))
    return _arms_by_languages(
        f"{prefix}-rank-distance-languages",
        "Rank distance by query language",
        names,
        _languages(results, collection),
        matrix_AL,
        float(np.nanmax(matrix_AL[trained])),
        lambda value: f"{value:.0f}" if math.isfinite(value) else "–",
    )


def own_language_share(results: Sequence[ArmResults], collection: str, prefix: str) -> Figure | None:
    """Share of the own language among the first ten, by query language, and of the pool itself."""
    names, matrix_AL = _by_language(results, collection, OWN_LANGUAGE)
    if not names:
        return None
    languages = _languages(results, collection)
    shares = [result.summaries[collection].language_shares for result in results if collection in result.summaries]
    pool = next((one.in_pool for one in shares if one), None)
    if pool:
        names = [*names, "in the pool"]
        matrix_AL = np.vstack([matrix_AL, [pool.get(language, math.nan) for language in languages]])
    return _arms_by_languages(
        f"{prefix}-own-language",
        "Own language in the first ten",
        names,
        languages,
        matrix_AL,
        float(np.nanmax(matrix_AL)),
        two_digits,
    )


def _is_trained(results: Sequence[ArmResults], name: str) -> bool:
    return any(result.name == name and result.arm.role == "trained" for result in results)


def _by_language(results: Sequence[ArmResults], collection: str, measure: str) -> tuple[list[str], np.ndarray]:
    """Arms that have the measure by query language, and its values (A, L)."""
    names, rows = [], []
    for result in results:
        means = result.bias_by_language.get(collection, {})
        row = [means.get(language, {}).get(measure, math.nan) for language in _languages(results, collection)]
        if np.isfinite(row).any():
            names.append(result.name)
            rows.append(row)
    return names, np.array(rows)


def _arms_by_languages(
    name: str,
    title: str,
    arms: Sequence[str],
    languages: Sequence[str],
    matrix_AL: np.ndarray,
    high: float,
    text: Callable[[float], str],
) -> Figure:
    said = [f"{label(arm)} {text(float(np.nanmean(row)))}" for arm, row in zip(arms, matrix_AL, strict=True)]
    texts = [[text(value) for value in row] for row in matrix_AL]
    cells = HeatMap(matrix_AL, arms, languages, texts, low=0.0, high=high)
    return heat_map(name, title, f"Means over languages: {', '.join(said)}.", cells)


def language_shares(results: Sequence[ArmResults], collection: str, prefix: str) -> Panels | None:
    """Which languages stand among the first ten of the pool, one matrix an arm, all to one scale."""
    matrices = {}
    languages = _languages(results, collection)
    for result in results:
        shares = result.summaries[collection].language_shares if collection in result.summaries else None
        if shares:
            rows = [shares.by_query_language.get(language, {}) for language in languages]
            matrices[result.name] = np.array([[row.get(one, math.nan) for one in languages] for row in rows])
    matrices = {name: matrix for name, matrix in matrices.items() if np.isfinite(matrix).any()}
    if not matrices:
        return None
    top = max(float(np.nanmax(matrix)) for matrix in matrices.values())
    figures = []
    for place, (name, matrix) in enumerate(matrices.items(), start=1):
        texts = [[two_digits(value) for value in row] for row in matrix]
        own = number(float(np.nanmean(np.diag(matrix)))) if np.isfinite(np.diag(matrix)).any() else "–"
        description = (
            f"Share of each language among the first ten passages. Mean share of the query's own language {own}."
        )
        cells = HeatMap(matrix, languages, languages, texts, low=0.0, high=top)
        figures.append(heat_map(f"{prefix}-shares-{place}-{slug(name)}", name, description, cells))
    return Panels(
        "Share of each passage language (columns) among the first ten passages, by query language (rows); a row adds "
        "up to 1. An even row is no preference; a bright diagonal is preference for one's own language; a bright "
        "column is a language that everyone is shown.",
        tuple(figures),
    )
