"""The one table a finished run prints, within 120 columns."""

from collections.abc import Sequence

from cluster.errors import DataError
from retrieval.report.arms import Arm
from retrieval.report.inputs import collections_of, read_arms
from retrieval.report.measures import HEADLINE, RANK_DISTANCE, SETTINGS, Measure, estimates, marks, number
from retrieval.report.results import ArmResults
from retrieval.report.text import columns, label, mix_text

_WIDTH = 120
_NAME_WIDTH = 16
_SHOWN = HEADLINE[:3]
_MARKS = {"best": "*", "close": "~", "": " "}


def console_table(arms: Sequence[Arm], collection: str) -> str:
    """Mono, cross and multi mAP, R@1 and R@10, and rank distance of every arm: lines of at most 120 columns.

    Raises:
        DataError: no arm was evaluated on the collection, or its files cannot be used.
    """
    results = read_arms(arms)
    known = collections_of(results)
    if collection not in known:
        raise DataError(f"no arm was evaluated on '{collection}'; there is {', '.join(known) or 'no collection'}")
    summary = next(result.summaries[collection] for result in results if collection in result.summaries)
    groups = [(setting, [*_SHOWN]) for setting in SETTINGS] + [("bias", [RANK_DISTANCE])]
    blocks = [_block(results, collection, setting, measures) for setting, measures in groups]
    names = _aligned(["", "arm", *(label(result.name, _NAME_WIDTH) for result in results)])
    numbers = ["  ".join(parts) for parts in zip(*blocks, strict=True)]
    left_for_mix = _WIDTH - columns(f"{names[0]}    {numbers[0]}")
    mixes = _aligned(["", "mix", *(label(mix_text(result.arm.mix), left_for_mix) for result in results)])
    lines = ["  ".join(parts).rstrip() for parts in zip(names, mixes, numbers, strict=True)]
    rule = "-" * max(columns(line) for line in lines)
    heading = (
        f"{label(collection, 60)}: {summary.num_queries:,} queries, {summary.num_passages:,} passages, "
        f"{len(summary.languages)} languages"
    )
    legend = "* best in its column   ~ not distinguishable from the best (95 % intervals overlap)"
    return "\n".join([heading, rule, *lines[:2], rule, *lines[2:], rule, legend])


def _block(results: Sequence[ArmResults], collection: str, setting: str, measures: Sequence[Measure]) -> list[str]:
    """A group of columns: heading, names, then a line an arm; all lines equally wide."""
    parts = []
    for measure in measures:
        values = estimates(results, collection, setting, measure)
        marked = marks(values, measure)
        texts = []
        for result in results:
            found = values[result.name]
            texts.append(f"{number(found.mean if found else None, measure)}{_MARKS[marked[result.name]]}")
        name = "rank dist." if measure is RANK_DISTANCE else measure.label
        parts.append(_aligned([f"{name} ", *texts], right=True))
    body = [" ".join(cells) for cells in zip(*parts, strict=True)]
    title = f"{setting} " if setting in SETTINGS else ""
    return _aligned([title.center(columns(body[0])) if title else "", *body])


def _aligned(texts: Sequence[str], right: bool = False) -> list[str]:
    """The texts padded to one width in terminal columns."""
    width = max(columns(text) for text in texts)
    padded = [" " * (width - columns(text)) for text in texts]
    return [space + text if right else text + space for text, space in zip(texts, padded, strict=True)]
