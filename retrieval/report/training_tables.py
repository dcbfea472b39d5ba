"""Ledgers and facts -> tables about how the arms were trained."""

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from math import isfinite
from statistics import median

from retrieval.report.measures import number, signed
from retrieval.report.results import ArmResults, KindCount, Ledger
from retrieval.report.table import Cell, Column, Row, Table, count_cell, missing, text_cell
from retrieval.report.text import kinds_in_order, visible


def realised_mix(results: Sequence[ArmResults]) -> Table | None:
    """Planned share and steps really drawn of every kind; None where no arm has a ledger."""
    rows = [
        Row(result.name, _kind_cells(kind, result.ledger.kinds[kind], result.ledger), arm=result.name)
        for result in results
        if result.ledger
        for kind in kinds_in_order(set(result.ledger.kinds))
        if result.ledger.kinds[kind].count or exact(result.ledger.kinds[kind].share) != 0
    ]
    if not rows:
        return None
    return Table(
        name="realised-mix",
        caption="Planned and realised mix. The largest deviation is over all prefixes of the run, in steps: how far "
        "the count of any kind ever was from its share of the steps so far.",
        corner="arm",
        columns=(
            Column("kind", numeric=False),
            Column("planned share"),
            Column("planned steps"),
            Column("steps"),
            Column("difference"),
            Column("largest deviation", meaning="over all prefixes of the run and all kinds, in steps"),
            Column("languages", meaning="languages drawn in batches of this kind"),
            Column("pairs per language", meaning="fewest and most pairs drawn for a language"),
        ),
        rows=tuple(rows),
    )


def _kind_cells(kind: str, drawn: KindCount, ledger: Ledger) -> tuple[Cell, ...]:
    share = exact(drawn.share)
    planned = None if share is None else float(share * ledger.steps)
    counts = {language: count for language, count in ledger.languages.get(kind, {}).items() if count}
    nothing = f"no {visible(kind)} batches were drawn" if not drawn.count else "the ledger does not count languages"
    return (
        text_cell(kind),
        Cell(text=visible(drawn.share), value=None if share is None else float(share)),
        missing("the share is no number") if planned is None else count_cell(planned),
        count_cell(drawn.count),
        missing("the share is no number")
        if planned is None
        else Cell(text=signed(f"{drawn.count - planned:.3g}"), value=drawn.count - planned),
        _deviation(ledger.largest_prefix_deviation),
        count_cell(len(counts)) if counts else missing(nothing),
        Cell(_range(counts.values()), float(min(counts.values())), words=True) if counts else missing(nothing),
    )


def _deviation(steps: float | None) -> Cell:
    return missing("the ledger does not say") if steps is None else Cell(text=f"{steps:.3g}", value=steps)


def exact(share: str) -> Fraction | None:
    """ "1/2" as a number; None for what is none."""
    try:
        return Fraction(share)
    except (ValueError, ZeroDivisionError):
        return None


def _range(counts: Collection[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def drawn_sources(results: Sequence[ArmResults]) -> Table | None:
    """Steps drawn from each source; None where no arm had more than one."""
    names = dict.fromkeys(name for result in results if result.ledger for name in result.ledger.sources)
    if len(names) < 2:
        return None
    rows = []
    for name in names:
        cells = []
        for result in (result for result in results if result.ledger):
            drawn = result.ledger.sources.get(name) if result.ledger else None
            cells += (
                [Cell(text=_percent(drawn.share), value=float(exact(drawn.share) or 0)), count_cell(drawn.count)]
                if drawn
                else [missing("not a source of this arm")] * 2
            )
        rows.append(Row(name, tuple(cells)))
    return Table(
        name="sources",
        caption="Steps drawn from each source: groups with the same languages.",
        corner="source",
        columns=tuple(Column(kind, result.name) for result in results if result.ledger for kind in ("share", "steps")),
        rows=tuple(rows),
    )


def _percent(share: str) -> str:
    value = exact(share)
    return visible(share) if value is None else number(float(value))


def drawn_languages(results: Sequence[ArmResults]) -> Table | None:
    """Pairs drawn for each language in batches of each kind; None where no ledger counts languages."""
    columns = [
        (result.name, kind, result.ledger.languages[kind])
        for result in results
        if result.ledger
        for kind in kinds_in_order(set(result.ledger.languages))
    ]
    languages = sorted({language for _, _, counts in columns for language in counts})
    if not languages:
        return None
    return Table(
        name="drawn-languages",
        caption="Pairs drawn for each language of the query.",
        corner="language",
        columns=tuple(Column(kind, arm) for arm, kind, _ in columns),
        rows=tuple(
            Row(
                language,
                tuple(count_cell(counts[language]) if language in counts else missing("never drawn")
                      for _, _, counts in columns),
                language=language,
            )
            for language in languages
        ),
    )  # fmt: skip


def arm_facts(results: Sequence[ArmResults]) -> Table | None:
    """Steps and their seconds, and what the caller said about each arm; None where there is nothing of either."""
    keys = list(dict.fromkeys(key for result in results for key in result.arm.facts))
    timed = any(result.telemetry and result.telemetry.steps for result in results)
    if not keys and not timed:
        return None
    columns = [
        Column("steps"),
        Column("seconds a step", meaning="median"),
        Column("waiting for data", meaning="share of the time of training"),
    ]
    facts = [Column(key, numeric=all(_is_number(one.arm.facts.get(key)) for one in results)) for key in keys]
    return Table(
        name="arms",
        caption="The arms of this run.",
        corner="arm",
        columns=(*(columns if timed else []), *facts),
        rows=tuple(
            Row(
                result.name,
                (*(_times(result) if timed else ()), *(_fact(result.arm.facts, key) for key in keys)),
                arm=result.name,
            )
            for result in results
        ),
    )


def _times(result: ArmResults) -> tuple[Cell, Cell, Cell]:
    steps = result.telemetry.steps if result.telemetry else ()
    if not steps:
        return (missing("no telemetry"),) * 3
    timed = [step for step in steps if step.step_seconds is not None]
    seconds = [step.step_seconds or 0.0 for step in timed]
    waited = sum(step.data_wait_seconds or 0.0 for step in timed)
    if not sum(seconds):
        return count_cell(len(steps)), missing("steps were not timed"), missing("steps were not timed")
    share = waited / (waited + sum(seconds))
    return (
        count_cell(len(steps)),
        Cell(text=f"{median(seconds):.3g}", value=median(seconds)),
        Cell(text=f"{share:.1%}", value=share),
    )


def _is_number(text: str | None) -> bool:
    try:
        return text is None or isfinite(float(text))
    except ValueError:
        return False


def _fact(facts: Mapping[str, str], key: str) -> Cell:
    if key not in facts:
        return missing("not given")
    text = str(facts[key])
    return Cell(text=visible(text), value=float(text) if _is_number(text) else text)
