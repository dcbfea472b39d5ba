"""The page in a real browser: the script runs under the page's own policy, tables sort, nothing overflows a telephone."""

import re
import subprocess
from pathlib import Path

import pytest
from browsing.chromium import BROWSER, MISSING

from retrieval.report import ReportFiles

pytestmark = pytest.mark.skipif(BROWSER is None, reason=MISSING)


def dom_of(page: Path, profile: Path) -> str:
    """The document after its scripts ran, as the browser writes it out."""
    assert BROWSER is not None
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
        f"--user-data-dir={profile}", "--virtual-time-budget=4000", "--dump-dom",
    ]  # fmt: skip
    done = subprocess.run([BROWSER, *options, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def with_script(report: ReportFiles, folder: Path, script: str) -> Path:
    """A copy of the page with one more script, which its policy would forbid, and so without the policy."""
    text = report.page.read_text(encoding="utf-8")
    text, found = re.subn(r"<meta http-equiv=[^>]*>", "", text)
    assert found == 1
    copy = folder / "copy.html"
    copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    return copy


def test_headings_become_buttons_under_the_policy_of_the_page(report: ReportFiles, tmp_path: Path) -> None:
    dom = dom_of(report.page, tmp_path / "profile")
    assert dom.count('<button type="button">') > 30


def test_a_click_sorts_and_says_so(report: ReportFiles, tmp_path: Path) -> None:
    script = """
      const table = document.querySelector("table");
      const heading = table.tHead.rows[1].cells[1];
      const names = () => [...table.tBodies[0].rows].map((row) => row.cells[1].dataset.sort).join(" ");
      const seen = [];
      for (const _ of [1, 2]) { heading.querySelector("button").click(); seen.push(heading.ariaSort + " " + names()); }
      document.title = seen.join("|");
    """
    dom = dom_of(with_script(report, tmp_path, script), tmp_path / "profile")
    title = re.search("<title>(.*?)</title>", dom)
    assert title
    falling, rising = (one.split() for one in title[1].split("|"))
    assert falling[0] == "descending" and rising[0] == "ascending"
    values = [float(value) for value in falling[1:]]
    assert len(values) == 5 and values == sorted(values, reverse=True)
    assert rising[1:] == falling[:0:-1]


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_the_page_never_scrolls_sideways(report: ReportFiles, tmp_path: Path, width: int) -> None:
    script = """
      const root = document.documentElement;
      addEventListener("load", () => parent.postMessage(`${root.scrollWidth - root.clientWidth} too wide`, "*"));
    """
    copy = with_script(report, tmp_path, script)
    frame = tmp_path / "frame.html"
    frame.write_text(
        "<!doctype html><title>none</title><script>onmessage = (one) => (document.title = one.data)</script>"
        f'<iframe src="{copy.name}" width="{width}" height="800" style="border:0"></iframe>',
        encoding="utf-8",
    )
    title = re.search("<title>(.*?)</title>", dom_of(frame, tmp_path / "profile"))
    assert title and title[1] == "0 too wide"
