"""A verdict in Markdown, for a pull request or a mail, and in a few lines for a terminal."""

from collections.abc import Sequence

from jobs.comparison import RANK_DISTANCE
from jobs.records import Finding, Night

_HEADINGS = ("arm", "collection", "setting", "measure", "before", "tonight", "difference", "95 % interval", "p (Holm)")
_TITLES = {"regression": "Worse", "improvement": "Better", "same": "Not different"}


def headline(night: Night) -> str:
    """One sentence that says what a night came to, without its full stop."""
    worse, better = len(night.having("regression")), len(night.having("improvement"))
    if night.outcome == "first":
        why = (
            "there is nothing to compare with" if night.baseline is None else f"nothing compares with {night.baseline}"
        )
        return f"Night of {night.date}: the first of its kind; {why}"
    if night.unchanged:
        return f"Night of {night.date}: good; nothing has changed since {night.baseline}, the results are the same"
    if night.outcome == "good":
        return f"Night of {night.date}: good; nothing worse than on {night.baseline}, {better} better"
    return f"Night of {night.date}: REGRESSION; {worse} worse than on {night.baseline}, {better} better"


def sentence(finding: Finding) -> str:
    """`hybrid on xquad-r, multi mAP: 0.412 -> 0.305 (-0.107, 95 % from -0.121 to -0.094, p 0.0004)`."""
    values = _values(finding)
    return (
        f"{finding.arm} on {finding.collection}, {finding.setting} {finding.measure}: {values[0]} -> {values[1]} "
        f"({values[2]}, 95 % {values[3]}, p {values[4]})"
    )


def terminal(night: Night) -> str:
    """The headline, and a line for each thing that changed or could not be compared."""
    changed = [sentence(finding) for finding in night.findings if finding.outcome != "same"]
    missing = [f"not compared: {one.arm} on {one.collection}: {one.reason}" for one in night.not_compared]
    return "\n".join([headline(night), *(f"  {line}" for line in (*changed, *missing))])


def markdown(night: Night) -> str:
    """The whole verdict."""
    from retrieval.report.markdown import escaped

    lines = [f"# {escaped(headline(night))}", ""]
    for outcome, title in _TITLES.items():
        found = night.having(outcome)
        if found:
            lines += [f"## {title}", "", *_table(found), ""]
    if night.not_compared:
        lines += ["## Not compared", ""]
        lines += [
            f"- {escaped(one.arm)} on {escaped(one.collection)}: {escaped(one.reason)}" for one in night.not_compared
        ]
        lines.append("")
    drops = ", ".join(f"{name} {limit:g}" for name, limit in sorted({(f.measure, f.min_drop) for f in night.findings}))
    if drops:
        lines += [
            f"Different: p below {night.level:g} in a paired randomisation test, after Holm's correction over "
            f"{len(night.findings)} tests, and by more than {escaped(drops)}. Intervals: paired bootstrap over query "
            "ids.",
            "",
        ]
    facts = {
        "run": night.run.name,
        "revision": night.run.revision,
        "commit": night.commit or "no checkout",
        "begun": night.started.isoformat(timespec="seconds"),
        "over": night.finished.isoformat(timespec="seconds"),
    }
    return "\n".join([*lines, *(f"- {name}: {escaped(value)}" for name, value in facts.items()), ""])


def _table(findings: Sequence[Finding]) -> list[str]:
    from retrieval.report.markdown import escaped

    lines = [f"| {' | '.join(_HEADINGS)} |", f"|{' --- |' * 4}{' ---: |' * 5}"]
    for finding in findings:
        names = (finding.arm, finding.collection, finding.setting, finding.measure)
        lines.append(f"| {' | '.join([*map(escaped, names), *_values(finding)])} |")
    return lines


def _values(finding: Finding) -> list[str]:
    """Before, tonight, difference, interval, p: shares with four decimals, ranks with one."""
    digits = 1 if finding.measure == RANK_DISTANCE else 4
    return [
        f"{finding.before:.{digits}f}",
        f"{finding.tonight:.{digits}f}",
        f"{finding.difference:+.{digits}f}",
        f"from {finding.low:+.{digits}f} to {finding.high:+.{digits}f}",
        f"{finding.p_holm:.2g}",
    ]
