"""Evaluations -> tables."""

from collections.abc import Iterable, Sequence
from statistics import fmean

from retrieval.report.measures import HEADLINE, MAP, RANK_DISTANCE, SETTINGS, Measure, estimates, marks, number
from retrieval.report.results import ArmResults
from retrieval.report.table import Cell, Column, Row, Table, as_csv, estimate_cell, harmless, missing, value_cell
from retrieval.report.text import label, mix_text

# What `per_query_bias.parquet` measures besides rank distance: key -> (heading over it, label, meaning).
_BIAS = {
    "same_language_share@10": ("first 10", "own language", "passages in the query's language, relevant or not"),
    "lang_ndcg@10": ("first 10", "Lang-nDCG", "nDCG@10 where an answer in another language is worth half"),
    "language_preference": (
        "best answer", "own language", "how often the best-ranked of the parallel answers is in the query's language",
    ),
    "peer_relevant@1000": ("PEER", "answers", "p-value of answers ranking alike in all languages; 1 is fair"),
    "peer_irrelevant@1000": ("PEER", "others", "the same of the other passages among the first 1,000"),
    "top_relevant_same_language": ("first passage", "right, own language", "it answers, in the query's language"),
    "top_relevant_other_language": ("first passage", "right, other", "it answers, in another language"),
    "top_irrelevant_same_language": ("first passage", "wrong, own language", "no answer, in the query's language"),
    "top_irrelevant_other_language": ("first passage", "wrong, other", "no answer, in another language"),
}  # fmt: skip


def headline(results: Sequence[ArmResults], collection: str) -> Table:
    """Every headline measure of every setting, and rank distance, for all arms on one collection."""
    wanted = [(setting, SETTINGS[setting], measure) for setting in SETTINGS for measure in HEADLINE]
    wanted.append(("bias", "language bias", RANK_DISTANCE))
    cells: dict[str, list[Cell]] = {result.name: [] for result in results}
    for setting, _, measure in wanted:
        values = estimates(results, collection, setting, measure)
        marked = marks(values, measure)
        for result in results:
            reason = why_missing(result, collection, setting, measure)
            cells[result.name].append(estimate_cell(values[result.name], marked[result.name], measure, reason))
    return Table(
        name="headline",
        caption="Every arm in every setting, with 95 % intervals over queries.",
        corner="arm",
        columns=tuple(Column(measure.label, group, meaning=measure.meaning) for _, group, measure in wanted),
        rows=tuple(
            _arm_row(result, cells[result.name], mix_text(result.arm.mix) if result.arm.mix else "")
            for result in results
        ),
        detail="mix",
    )


def _arm_row(result: ArmResults, cells: Iterable[Cell], detail: str = "") -> Row:
    return Row(result.name, tuple(cells), arm=result.name, detail=detail)


def why_missing(result: ArmResults, collection: str, setting: str, measure: Measure) -> str:
    """Why an arm has no value of a measure."""
    if collection not in result.summaries:
        return "not evaluated on this collection"
    known = result.summaries[collection].bias if setting == "bias" else result.summaries[collection].settings
    if setting != "bias" and setting not in known:
        return f"the collection has no {SETTINGS.get(setting, setting)} setting"
    return f"the evaluation gives no {measure.label} here"


def bias(results: Sequence[ArmResults], collection: str) -> Table | None:
    """Every measure of language bias that the evaluations give, besides rank distance; None where there is no other."""
    given = dict.fromkeys(
        key
        for result in results
        if collection in result.summaries
        for key in result.summaries[collection].bias
        if key != RANK_DISTANCE.key and result.summaries[collection].estimate("bias", key)
    )
    keys = [key for key in _BIAS if key in given] + [key for key in given if key not in _BIAS]
    if not keys:
        return None
    described = [_BIAS.get(key, ("other", key, "")) for key in keys]
    measures = [Measure(key, name, meaning) for key, (_, name, meaning) in zip(keys, described, strict=True)]
    values = [estimates(results, collection, "bias", measure) for measure in measures]
    return Table(
        name="language-bias",
        caption="Whose language comes first in the multilingual pool, with 95 % intervals.",
        corner="arm",
        columns=tuple(Column(name, group, meaning=meaning) for group, name, meaning in described),
        rows=tuple(
            _arm_row(
                result,
                (
                    estimate_cell(one[result.name], "", measure, why_missing(result, collection, "bias", measure))
                    for one, measure in zip(values, measures, strict=True)
                ),
            )
            for result in results
        ),
    )


_LANGUAGE_ROLES = (
    "monolingual",
    "cross-lingual, as query",
    "cross-lingual, as passage",
    "multilingual",
    "rank distance",
)


def per_language(results: Sequence[ArmResults], collection: str) -> Table | None:
    """mAP and rank distance of each language in each of its roles, for trained arms (for all where none is trained)."""
    present = [result for result in results if collection in result.summaries]
    shown = [result for result in present if result.arm.role == "trained"] or present
    languages = present[0].summaries[collection].languages
    left_out = "" if len(shown) == len(present) else " Trained arms only; the baselines are in the heat maps above."
    return Table(
        name="per-language",
        caption=f"mAP and rank distance by language; cross-lingual: means over the other languages.{left_out}",
        corner="language",
        columns=tuple(Column(result.name, role) for role in _LANGUAGE_ROLES for result in shown),
        rows=tuple(
            Row(
                language,
                tuple(_role_cell(result, collection, role, language) for role in _LANGUAGE_ROLES for result in shown),
                language=language,
            )
            for language in languages
        ),
    )


def _role_cell(result: ArmResults, collection: str, role: str, language: str) -> Cell:
    summary = result.summaries[collection]
    if role == "rank distance":
        found = result.bias_by_language[collection].get(language, {}).get(RANK_DISTANCE.key)
        return value_cell(found, "the evaluation gives no rank distance for this language", RANK_DISTANCE)
    others = [other for other in summary.languages if other != language]
    pairs = {
        "monolingual": [(language, language)],
        "cross-lingual, as query": [(language, other) for other in others],
        "cross-lingual, as passage": [(other, language) for other in others],
        "multilingual": [(language, "*")],
    }[role]
    values = summary.pair_values(MAP.key)
    known = [values[pair] for pair in pairs if pair in values]
    return value_cell(fmean(known) if known else None, "the collection has no queries for this")


def worst_pairs(results: Sequence[ArmResults], collection: str, most: int = 5) -> Table | None:
    """The pairs of languages with the lowest mAP of each arm, and how far the pairs lie apart."""
    found = {
        result.name: result.summaries[collection].robustness.get(MAP.key)
        for result in results
        if collection in result.summaries
    }
    most = min(most, max((len(one.worst_pairs) for one in found.values() if one), default=0))
    if not most:
        return None
    rows = []
    for result in results:
        robustness = found.get(result.name)
        worst = robustness.worst_pairs[:most] if robustness else []
        reason = "the evaluation gives no spread over pairs"
        cells = [
            value_cell(robustness.std_over_pairs if robustness else None, reason),
            value_cell(robustness.lowest_decile if robustness else None, reason),
        ]
        for pair in worst:
            pool = "all" if pair.pool_language == "*" else label(pair.pool_language, 12)
            text = f"{label(pair.query_language, 12)} → {pool} {number(pair.value)}"
            cells.append(Cell(text=text, value=pair.value, words=True))
        cells += [missing("fewer pairs than this")] * (most - len(worst))
        rows.append(_arm_row(result, cells))
    return Table(
        name="worst-pairs",
        caption="How evenly mAP is spread over pairs of languages (query language → passage language).",
        corner="arm",
        columns=(
            Column("standard deviation", "mAP over pairs", meaning="of the means of the pairs"),
            Column("lowest tenth", "mAP over pairs", meaning="mean over the tenth of the pairs with the lowest mAP"),
            *(Column(str(place), "weakest pairs") for place in range(1, most + 1)),
        ),
        rows=tuple(rows),
    )


def pairs_csv(results: Sequence[ArmResults]) -> str:
    """Every measure of every pair of every arm, one pair a line: what the heat maps show, and more."""
    measures = dict.fromkeys(
        name for result in results for one in result.summaries.values() for pair in one.pairs for name in pair.values
    )
    lines: list[list[object]] = [
        ["collection", "arm", "setting", "query_language", "pool_language", "num_queries", *measures]
    ]
    for result in results:
        for collection, summary in result.summaries.items():
            for pair in summary.pairs:
                names = (collection, result.name, pair.setting, pair.query_language, pair.pool_language)
                values = (pair.values.get(name) for name in measures)
                lines.append(
                    [*map(harmless, names), pair.num_queries, *("" if value is None else value for value in values)]
                )
    return as_csv(lines)
