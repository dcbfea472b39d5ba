"""The pages of studies in a real browser: no errors, keyboard, dark, narrow, and axe-core finds nothing serious."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browsing.chromium import AXE, AXE_MISSING, BROWSER, MISSING, Tab, chromium
from planted_panels.panels import alphas
from planted_panels.studies import PlantedStudy, planted_study

from retrieval.report import ReportFiles
from retrieval.report.study import write_study_comparison

pytestmark = pytest.mark.skipif(BROWSER is None, reason=MISSING)
NAMES = ("alpha", "simplex", "sizes", "one-seed", "odd", "costs", "comparison")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(
    study_reports: Callable[[str], tuple[PlantedStudy, Path]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    written = {name: study_reports(name)[1] / "index.html" for name in NAMES[:-2]}
    written["costs"] = written["simplex"].parent / "costs" / "index.html"
    folder = tmp_path_factory.mktemp("comparison")
    first, second = (planted_study(alphas(4), random=n, shift=0.1 * n).analysis() for n in (0, 1))
    write_study_comparison(folder, first, second, ("small data", "large data"))
    return written | {"comparison": folder / "index.html"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [360, 1280])
def test_pages_load_without_errors_and_never_scroll_sideways(
    tab: Tab, pages: dict[str, Path], name: str, width: int
) -> None:
    tab.open(pages[name], width)
    tab.value("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert tab.value("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert tab.problems == []
    assert tab.requests == [pages[name].resolve().as_uri()], "nothing but the page itself is asked for"


def test_every_text_of_a_figure_lies_inside_it(tab: Tab, pages: dict[str, Path]) -> None:
    script = """
      [...document.querySelectorAll('.panel svg')].flatMap(svg => {
        const box = svg.getBoundingClientRect();
        return [...svg.querySelectorAll('text')].filter(text => {
          const of = text.getBoundingClientRect();
          return of.left < box.left - 1 || of.right > box.right + 1 || of.top < box.top - 1 || of.bottom > box.bottom + 1;
        }).map(text => svg.querySelector('title').textContent + ': ' + text.textContent);
      })
    """
    for page in pages.values():
        tab.open(page)
        tab.value("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert tab.value(script) == []


def test_tables_sort_from_the_keyboard(tab: Tab, pages: dict[str, Path]) -> None:
    """Tab to the first heading of a table and on to the second; Enter sorts, Space turns the order round."""
    tab.open(pages["alpha"])
    table = "document.querySelector('#p1-means')"
    values = f"[...{table}.tBodies[0].rows].map(row => Number(row.cells[1].dataset.sort))"
    for _ in range(80):
        tab.press("Tab")
        if tab.value(f"document.activeElement.closest('th') === {table}.tHead.rows[1].cells[1]"):
            break
    assert tab.value("document.activeElement.tagName") == "BUTTON"
    assert tab.value("getComputedStyle(document.activeElement).outlineStyle") == "solid", "the focus shows"
    unsorted = tab.value(values)
    tab.press("Enter")
    assert tab.value(values) == sorted(unsorted, reverse=True)
    assert tab.value(f"{table}.tHead.rows[1].cells[1].ariaSort") == "descending"
    tab.press(" ")
    assert tab.value(values) == sorted(unsorted)


def test_the_skip_link_is_first_and_leads_to_the_results(tab: Tab, pages: dict[str, Path]) -> None:
    tab.open(pages["simplex"])
    tab.press("Tab")
    assert tab.value("document.activeElement.className") == "skip"
    tab.press("Enter")
    assert tab.value("location.hash") == "#main"


def test_figures_follow_the_page_into_the_dark(tab: Tab, pages: dict[str, Path]) -> None:
    texts = "[...document.querySelectorAll('.panel svg text')]"
    ink = f"getComputedStyle({texts}.find(text => text.textContent === 'Monolingual mAP')).fill"
    ground = "getComputedStyle(document.body).backgroundColor"
    seen = []
    for dark in (False, True):
        tab.open(pages["alpha"], dark=dark)
        seen.append((brightness(tab.value(ink)), brightness(tab.value(ground))))
    (ink_light, ground_light), (ink_dark, ground_dark) = seen
    assert ink_light < 60 < 200 < ground_light and ground_dark < 60 < 200 < ink_dark


def brightness(colour: str) -> float:
    """Mean of the channels of `rgb(1, 2, 3)`."""
    return sum(float(one) for one in colour[colour.index("(") + 1 : -1].split(",")[:3]) / 3


@pytest.mark.skipif(not AXE.is_file(), reason=AXE_MISSING)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing_serious(tab: Tab, pages: dict[str, Path], name: str, dark: bool) -> None:
    tab.open(pages[name], dark=dark)
    tab.value("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert tab.serious_findings() == []


@pytest.mark.skipif(not AXE.is_file(), reason=AXE_MISSING)
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_serious_in_the_report_of_a_run(tab: Tab, report: ReportFiles, width: int) -> None:
    for dark in (False, True):
        tab.open(report.page, width, dark=dark)
        tab.value("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert tab.serious_findings() == [] and tab.problems == []


@pytest.mark.skipif(not AXE.is_file(), reason=AXE_MISSING)
def test_axe_notices_what_is_wrong(tab: Tab, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text('<!doctype html><title>x</title><p style="color:#ccc">pale<button></button>', encoding="utf-8")
    tab.open(page)
    found = " ".join(tab.serious_findings())
    assert "color-contrast" in found and "button-name" in found and "html-has-lang" in found
