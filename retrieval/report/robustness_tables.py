"""Evaluations -> tables of how well results hold: queries in other words, languages with little training data."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from retrieval.report.measures import MAP, SETTINGS, interval, number
from retrieval.report.results import ArmResults, Drop, Estimate, Summary
from retrieval.report.table import Cell, Column, Row, Table, as_csv, harmless, missing, value_cell
from retrieval.report.text import label, language_names, listed

ALL_LANGUAGES = "*"
LITTLE = 0.1
"""A language with less than this share of what the most drawn language got has little training data."""
_NAMES = {
    "typing_noise": "typing noise",
    "no_diacritics": "without diacritics",
    "lower_case": "lower case",
    "upper_case": "upper case",
    "script_variant": "other spelling or script",
    "code_switching": "code-switched",
}
_MEANING = "of the macro mean over query languages; 0 is no loss"
_LANGUAGES_NAMED = 12


def perturbations(results: Sequence[ArmResults], collection: str) -> Table | None:
    """What perturbed queries cost each arm in each setting; None where no queries were perturbed."""
    names = list(dict.fromkeys(name for result in results for name in result.drops.get(collection, ())))
    if not names:
        return None
    settings = [
        setting
        for setting in SETTINGS
        if any(_overall(result, collection, name, setting) for result in results for name in names)
    ]
    rows = (
        Row(
            result.name,
            tuple(_drop_cell(result, collection, name, setting) for name in names for setting in settings),
            arm=result.name,
        )
        for result in results
    )
    changed = listed([_changed(results, collection, name) for name in names])
    return Table(
        name="perturbations",
        caption=(
            "Relative drop of mAP when queries are written otherwise, with paired 95 % intervals; over the queries "
            f"that could be changed: {changed}."
        ),
        corner="arm",
        columns=tuple(
            Column(SETTINGS[setting], _NAMES.get(name, name), meaning=_MEANING)
            for name in names
            for setting in settings
        ),
        rows=tuple(rows),
    )


def _overall(result: ArmResults, collection: str, perturbation: str, setting: str) -> Drop | None:
    """The drop of mAP over all query languages."""
    return next(
        (
            drop
            for drop in result.drops.get(collection, {}).get(perturbation, ())
            if (drop.setting, drop.query_language, drop.measure) == (setting, ALL_LANGUAGES, MAP.key)
        ),
        None,
    )


def _drop_cell(result: ArmResults, collection: str, perturbation: str, setting: str) -> Cell:
    drop = _overall(result, collection, perturbation, setting)
    if drop is None:
        return missing("not evaluated under this perturbation")
    if drop.relative_drop is None:
        return missing("no query could be changed" if not drop.num_changed else "nothing is found that could be lost")
    estimate = Estimate(mean=drop.relative_drop, low=drop.low, high=drop.high)
    return Cell(number(estimate.mean), estimate.mean, estimate, interval(estimate))


def _changed(results: Sequence[ArmResults], collection: str, perturbation: str) -> str:
    """How many queries a perturbation changed: the same for all arms, who answer the same queries."""
    drops = (
        _overall(result, collection, perturbation, setting) for result in results for setting in ("multi", *SETTINGS)
    )
    drop = next(drop for drop in drops if drop)
    return f"{_NAMES.get(perturbation, perturbation)} {drop.num_changed:,} of {drop.num_queries:,}"


def perturbations_csv(results: Sequence[ArmResults]) -> str:
    """Every perturbation of every arm by query language ("*": over all), in full; "" where there is none."""
    figures = ("num_queries", "num_changed", "clean", "perturbed", "relative_drop", "low", "high")
    lines: list[list[object]] = [
        ["collection", "arm", "perturbation", "setting", "query_language", "measure", *figures]
    ]
    for result in results:
        for collection, by_perturbation in result.drops.items():
            for perturbation, drops in by_perturbation.items():
                for drop in drops:
                    names = (collection, result.name, perturbation, drop.setting, drop.query_language, drop.measure)
                    values = (getattr(drop, name) for name in figures)
                    lines.append([*map(harmless, names), *("" if value is None else value for value in values)])
    return as_csv(lines) if len(lines) > 1 else ""


def by_training_data(results: Sequence[ArmResults], collection: str) -> Table | None:
    """mAP over languages with no, little and more training data; None where all have alike or ledgers are missing."""
    present = [result for result in results if collection in result.summaries]
    groups = resource_groups(results, present[0].summaries[collection].languages)
    if len(groups) < 2:
        return None
    roles = ("monolingual", "cross-lingual, as query", "cross-lingual, as passage", "multilingual")
    described = "; ".join(f"{name}: {_named(languages)}" for name, languages in groups.items())
    return Table(
        name="by-training-data",
        caption=(
            f"mAP by how much a language was drawn in training: little is less than {LITTLE:.0%} of what the most "
            f"drawn language got. {described}."
        ),
        corner="arm",
        columns=tuple(Column(role, f"{name} training data") for name in groups for role in roles),
        rows=tuple(
            Row(
                result.name,
                tuple(
                    value_cell(_mean(result.summaries[collection], role, languages), "no queries for this")
                    for languages in groups.values()
                    for role in roles
                ),
                arm=result.name,
            )
            for result in present
        ),
    )


def resource_groups(results: Sequence[ArmResults], languages: Sequence[str]) -> Mapping[str, list[str]]:
    """none, little, more -> languages of a collection, by queries drawn over all trained arms; empty groups left out.

    Nothing where a trained arm has no ledger to tell, or none was trained.
    """
    trained = [result for result in results if result.arm.role == "trained"]
    if not trained or any(result.ledger is None or not result.ledger.languages for result in trained):
        return {}
    drawn: dict[str, int] = {}
    for result in trained:
        for counts in result.ledger.languages.values() if result.ledger else ():
            for language, count in counts.items():
                drawn[language] = drawn.get(language, 0) + count
    most = max(drawn.values())
    groups: dict[str, list[str]] = {"no": [], "little": [], "more": []}
    for language in languages:
        count = drawn.get(language, 0)
        groups["no" if not count else "little" if count < LITTLE * most else "more"].append(language)
    return {name: members for name, members in groups.items() if members}


def _named(languages: Sequence[str]) -> str:
    names = [language_names(code)[0] or label(code) for code in languages[:_LANGUAGES_NAMED]]
    more = len(languages) - len(names)
    return listed([*names, *([f"{more} more"] if more else [])])


def _mean(summary: Summary, role: str, languages: Sequence[str]) -> float | None:
    """Mean over the pairs in which languages have a role."""
    values = summary.pair_values(MAP.key)
    group = set(languages)
    chosen = {
        "monolingual": lambda query, pool: query == pool and query in group,
        "cross-lingual, as query": lambda query, pool: query in group and pool not in (query, ALL_LANGUAGES),
        "cross-lingual, as passage": lambda query, pool: pool in group and pool != query,
        "multilingual": lambda query, pool: query in group and pool == ALL_LANGUAGES,
    }[role]
    known = [value for pair, value in values.items() if chosen(*pair)]
    return fmean(known) if known else None
