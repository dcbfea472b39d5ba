"""Results -> what they show and what they do not show, in plain sentences."""

from collections.abc import Sequence

from retrieval.report.inputs import collections_of
from retrieval.report.measures import (
    MAP,
    RANK_DISTANCE,
    SETTINGS,
    Measure,
    estimates,
    interval,
    marks,
    means,
    number,
)
from retrieval.report.results import ArmResults
from retrieval.report.text import isolated, language_names, listed


def of_collection(results: Sequence[ArmResults], collection: str) -> list[str]:
    """Who is best in each setting and who cannot be told from it, then trained arms against baselines."""
    sentences = []
    for setting, meaning in SETTINGS.items():
        sentences += _best(results, collection, setting, MAP, f"{meaning.capitalize()} mAP")
    sentences += _best(results, collection, "bias", RANK_DISTANCE, "Rank distance (lower is better)")
    return sentences + _against_baselines(results, collection)


def _best(results: Sequence[ArmResults], collection: str, setting: str, measure: Measure, subject: str) -> list[str]:
    values = estimates(results, collection, setting, measure)
    marked = marks(values, measure)
    best = [name for name, mark in marked.items() if mark == "best"]
    close = [name for name, mark in marked.items() if mark == "close"]
    top = values[best[0]] if best else None
    if top is None:
        return []
    within = interval(top, measure)
    value = number(top.mean, measure) + (f", 95 % interval {within}" if within else "")
    verb = "is best" if len(best) == 1 else "are equally good"
    sentence = f"{subject}: {listed([isolated(name) for name in best])} {verb} ({value})"
    if not within:
        return [f"{sentence}; without intervals, what is near it cannot be judged."]
    if not close:
        return [f"{sentence}; no other arm's interval overlaps."]
    others = listed(
        [f"{isolated(name)} ({number(one.mean, measure)})" for name in close for one in [values[name]] if one]
    )
    return [f"{sentence}; {others} {'is' if len(close) == 1 else 'are'} not distinguishable from that."]


def _against_baselines(results: Sequence[ArmResults], collection: str) -> list[str]:
    """Trained arms that a baseline reaches, setting by setting; or that none does."""
    baselines = [result.name for result in results if result.arm.role == "baseline" and collection in result.summaries]
    trained = [result.name for result in results if result.arm.role == "trained" and collection in result.summaries]
    if not baselines or not trained:
        return []
    reached = []
    for setting, meaning in SETTINGS.items():
        values = means(results, collection, setting, MAP)
        for name in (name for name in baselines if name in values):
            behind = [isolated(other) for other in trained if other in values and values[name] >= values[other]]
            if behind:
                reached.append(f"{isolated(name)} is not behind {listed(behind)} in {meaning} mAP")
    if reached:
        return [f"Baselines: {'; '.join(reached)}."]
    return [
        f"Every trained arm has a higher mAP than {listed([isolated(name) for name in baselines])} in every setting."
    ]


def limits(results: Sequence[ArmResults]) -> list[str]:
    """What the numbers do not show."""
    trained = [result for result in results if result.arm.role == "trained"]
    sentences = []
    if trained:
        sentences.append(
            "Each arm was trained once, with one seed. The intervals cover the choice of queries only: trained again "
            "with another seed, an arm may move by more than an interval, and this run does not measure by how much."
        )
    sentences.append(
        "Not distinguishable means that the 95 % intervals overlap. All arms answered the same queries, so a paired "
        "test can find differences that overlapping intervals hide; it cannot remove the doubt about seeds."
    )
    if len(collections_of(results)) == 1:
        sentences.append("There is one collection: nothing here says how the order of the arms carries over to others.")
    unseen = unseen_languages(results)
    if unseen:
        names = listed([f"{language_names(code)[0]} ({isolated(code)})".strip() for code in unseen])
        sentences.append(f"Evaluated without having been trained on (zero-shot): {names}.")
    return sentences


def unseen_languages(results: Sequence[ArmResults]) -> list[str]:
    """Languages of the collections that no arm drew in training; empty where a trained arm has no ledger to tell."""
    trained = [result for result in results if result.arm.role == "trained"]
    if not trained or any(result.ledger is None or not result.ledger.languages for result in trained):
        return []
    drawn = {
        language
        for result in trained
        if result.ledger
        for counts in result.ledger.languages.values()
        for language, count in counts.items()
        if count
    }
    evaluated = dict.fromkeys(
        language for result in results for summary in result.summaries.values() for language in summary.languages
    )
    return [language for language in evaluated if language not in drawn]
