"""The page over all nights, `index.html` in the root. Made of what stands there, so whoever writes it last is right."""

from typing import TYPE_CHECKING
from urllib.parse import quote

from cluster.storage import Store
from jobs.catalogue import nights
from jobs.nightly.words import headline, sentence
from jobs.records import Night, night_name

if TYPE_CHECKING:
    from retrieval.report.trend_page import TrendNight

INDEX = "index.html"


def write_index(store: Store) -> bool:
    """Write the page; False where there is no night, and then none is left standing."""
    from retrieval.report.trend_page import render_trend

    found = nights(store)
    if not found:
        store.delete(INDEX)
        return False
    last = found[-1]
    page = render_trend(last.run.title, [_shown(store, night) for night in found[-last.history :]])
    store.write_bytes(INDEX, page.encode())
    return True


def _shown(store: Store, night: Night) -> "TrendNight":
    from retrieval.report.trend_page import TrendNight

    worse = night.having("regression")
    return TrendNight(
        day=night.date,
        outcome=night.outcome,
        headline=headline(night),
        baseline=night.baseline,
        worse=tuple(map(sentence, worse)),
        better=tuple(map(sentence, night.having("improvement"))),
        missing=tuple(f"not compared: {one.arm} on {one.collection}: {one.reason}" for one in night.not_compared),
        worse_places=frozenset((one.collection, one.arm, one.setting) for one in worse),
        figures={
            (collection, arm.name, setting): measures
            for arm in night.run.arms
            for collection, settings in arm.figures.items()
            for setting, measures in settings.items()
        },
        trained=tuple(arm.name for arm in night.run.arms if arm.role == "trained"),
        code=night.commit or night.run.revision,
        verdict_link=_link(store, f"{night_name(night.date)}/verdict.md"),
        report_link=_link(store, f"{night.run.name}/{INDEX}"),
    )


def _link(store: Store, key: str) -> str:
    return quote(store.link(key)) if store.exists(key) else ""
