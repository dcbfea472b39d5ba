"""The page over all nights: what it says, where its points are, that names stay names, and that it fits a telephone."""

import itertools
import re
import subprocess
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from browsing.chromium import AXE, AXE_MISSING, BROWSER, MISSING, chromium
from hypothesis import given
from hypothesis import strategies as st

from retrieval.report.measures import MAP
from retrieval.report.results import Estimate
from retrieval.report.trend import HEIGHT, WIDTH, Point, Series, nice_ticks, trend_chart
from retrieval.report.trend_page import TrendNight, render_trend

START = date(2026, 1, 1)


def estimate(mean: float) -> Estimate:
    return Estimate(mean=mean, low=mean - 0.02, high=mean + 0.02)


def night(day: int, worse: bool = False, arm: str = "hybrid", collection: str = "xquad-r") -> TrendNight:
    figures: dict[tuple[str, str, str], Mapping[str, Estimate]] = {
        (collection, arm, setting): {"mAP": estimate(mean - 0.2 * worse)}
        for setting, mean in (("mono", 0.8), ("cross", 0.7), ("multi", 0.6))
    }
    figures[collection, arm, "bias"] = {"rank_distance": Estimate(mean=287.4)}
    figures[collection, "BM25", "mono"] = {"mAP": estimate(0.7)}
    return TrendNight(
        day=START + timedelta(days=day),
        outcome="regression" if worse else "good" if day else "first",
        headline=f"Night of day {day}",
        baseline=START if day else None,
        worse=(f"{arm} on {collection}, multi mAP: 0.6 -> 0.4",) if worse else (),
        better=(),
        missing=(),
        worse_places=frozenset({(collection, arm, "multi")}) if worse else frozenset(),
        figures=figures,
        trained=(arm,),
        code="0123456789ab",
        verdict_link=f"nightly/{day}/verdict.md",
        report_link=f"runs/{day}/index.html",
    )


NIGHTS = [night(0), night(1), night(4, worse=True), night(5)]


@given(st.floats(-1e4, 1e4), st.floats(0, 1e4))
def test_ticks_are_few_even_and_around_all_values(low: float, span: float) -> None:
    high = low + span
    ticks = nice_ticks(low, high)
    assert 3 <= len(ticks) <= 8
    step = ticks[1] - ticks[0]
    assert step > 0 and ticks[0] <= low + step * 1e-6 and ticks[-1] >= high - step * 1e-6
    assert [b - a for a, b in itertools.pairwise(ticks)] == pytest.approx([step] * (len(ticks) - 1))


def test_ticks_worked_out_by_hand() -> None:
    assert nice_ticks(0.63, 0.71) == pytest.approx([0.62, 0.64, 0.66, 0.68, 0.70, 0.72])
    assert nice_ticks(0, 1) == pytest.approx([0, 0.5, 1])
    assert nice_ticks(280, 420) == pytest.approx([250, 300, 350, 400, 450])


def test_points_stand_at_their_days_and_values_and_lead_to_their_reports() -> None:
    points = [
        Point(START + timedelta(days=day), estimate(value), worse, f"r{day}")
        for day, value, worse in ((0, 0.6, False), (1, 0.7, False), (4, 0.5, True))
    ]
    markup = trend_chart("c1-mono", "mAP, monolingual", MAP, [Series("hybrid", 0, points), Series("none", 1, [])])
    assert markup is not None
    root = ElementTree.fromstring(markup)
    links = root.findall("a")
    assert [link.attrib["href"] for link in links] == ["r0", "r1", "r4"]
    dots = [circle for circle in root.iter("circle") if circle.attrib.get("class") != "worse"]
    xs, ys = ([float(dot.attrib[axis]) for dot in dots] for axis in ("cx", "cy"))
    assert (xs[1] - xs[0]) * 3 == pytest.approx(xs[2] - xs[1], abs=0.2), "three days are three times as far as one"
    assert ys[0] - ys[1] == pytest.approx((ys[2] - ys[0]), abs=0.2) and ys[1] < ys[0] < ys[2]
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in zip(xs, ys, strict=True))
    assert (
        len(links[2].findall("circle")) == 2 and sum(c.attrib.get("class") == "worse" for c in root.iter("circle")) == 1
    )
    titles = [title.text for title in root.iter("title")]
    assert "2026-01-05, hybrid: .500 (.480–.520), worse than before" in titles
    assert root.find("desc") is not None and "hybrid: .600 on 2026-01-01, .500 on 2026-01-05" in (
        root.findtext("desc") or ""
    )
    assert trend_chart("x", "nothing", MAP, [Series("none", 0, [])]) is None


def test_the_page_says_what_the_last_night_came_to_and_lists_all() -> None:
    page = render_trend("squad-parallel", NIGHTS)
    assert page == render_trend("squad-parallel", NIGHTS)
    head, _, rest = page.partition("<main")
    assert "Night of day 5" in head and "good" in head
    days = re.findall(r'<time datetime="([^"]+)">', rest)
    assert days == ["2026-01-06", "2026-01-05", "2026-01-02", "2026-01-01"], "the newest first"
    assert page.count('class="worse"') == 1 and "hybrid on xquad-r, multi mAP: 0.6 -&gt; 0.4" in rest
    assert len(re.findall("<svg viewBox", page)) == 4, "three settings and rank distance; baselines have no line"
    assert "BM25" in rest and "<script" not in page
    assert not re.findall(r'(?:href|src)="(?:https?:)?//', page), "nothing from elsewhere"


def test_names_are_names() -> None:
    evil = '<img src=x onerror="1">\u202e"&'
    page = render_trend(evil, [night(0, arm=evil, collection=evil), night(1, worse=True, arm=evil, collection=evil)])
    assert "<img" not in page and "\u202e" not in page and "&lt;U+202E&gt;" in page
    for markup in re.findall(r"<svg viewBox.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(markup)


@pytest.mark.skipif(BROWSER is None, reason=MISSING)
@pytest.mark.parametrize("nights", [NIGHTS[:1], NIGHTS], ids=["one", "four"])
def test_the_page_fits_a_telephone(nights: list[TrendNight], tmp_path: Path) -> None:
    """Scripts are only in this copy, which has no policy against them."""
    text = re.sub(r"<meta http-equiv=[^>]*>", "", render_trend("squad-parallel", nights))
    script = """
      const root = document.documentElement;
      addEventListener("load", () => parent.postMessage(`${root.scrollWidth - root.clientWidth} too wide`, "*"));
    """
    (tmp_path / "page.html").write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(
        "<!doctype html><title>none</title><script>onmessage = (one) => (document.title = one.data)</script>"
        '<iframe src="page.html" width="360" height="800" style="border:0"></iframe>',
        encoding="utf-8",
    )
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=4000", "--dump-dom",
    ]  # fmt: skip
    assert BROWSER is not None
    done = subprocess.run([BROWSER, *options, frame.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    assert "<title>0 too wide</title>" in done.stdout


@pytest.mark.skipif(BROWSER is None, reason=MISSING)
@pytest.mark.skipif(not AXE.is_file(), reason=AXE_MISSING)
def test_axe_finds_nothing_serious(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(render_trend("squad-parallel", NIGHTS), encoding="utf-8")
    with chromium(tmp_path / "profile") as tab:
        for dark, width in ((False, 1280), (True, 1280), (False, 360)):
            tab.open(page, width, dark=dark)
            assert tab.serious_findings() == [] and tab.problems == []
