"""The page: well-formed, complete in itself, accessible, faithful to its inputs, and safe with hostile names."""

import base64
import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from retrieval.report import Arm, ReportFiles, write_report
from retrieval.report.inputs import read_arms
from retrieval.report.measures import HEADLINE, MAP, SETTINGS, estimates, marks, number
from retrieval.report.text import listed

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """The elements of a page with their attributes and texts; fails where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[dict] = []
        self._open: list[dict] = []
        self.feed(text)
        self.close()
        assert not self._open, f"<{self._open[-1]['tag']}> is never closed"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        element = {"tag": tag, "attributes": dict(attributes), "text": "", "inside": [one["tag"] for one in self._open]}
        assert len(element["attributes"]) == len(attributes), f"<{tag}> has an attribute twice"
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1]["tag"] == tag, f"</{tag}> closes <{self._open[-1]['tag']}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element["text"] += data

    def all(self, *tags: str) -> list[dict]:
        return [element for element in self.elements if element["tag"] in tags]

    def ids(self) -> list[str]:
        return [one["attributes"]["id"] for one in self.elements if "id" in one["attributes"]]


@pytest.fixture(scope="module")
def text(report: ReportFiles) -> str:
    return report.page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_ids_are_unique_and_all_references_lead_somewhere(page: Page) -> None:
    ids = page.ids()
    assert len(ids) == len(set(ids))
    for element in page.elements:
        attributes = element["attributes"]
        wanted = (attributes.get("aria-labelledby") or "").split()
        wanted += re.findall(r"url\(#([^)]+)\)", " ".join(value or "" for value in attributes.values()))
        if (attributes.get("href") or "").startswith("#"):
            wanted.append(attributes["href"][1:])
        assert set(wanted) <= set(ids)


def test_nothing_is_fetched_from_anywhere(page: Page, text: str) -> None:
    assert not re.findall(r"https?://|//[a-z]|@import|@font-face", text.replace("// ", ""))
    assert {one["attributes"]["href"][:5] for one in page.all("link")} == {"data:"}
    assert not page.all("img", "iframe", "object", "embed", "video", "audio", "source", "base", "form")
    assert not [one for one in page.elements if "src" in one["attributes"]]
    assert "eval(" not in text and "Function(" not in text
    assert not [name for one in page.elements for name in one["attributes"] if name.startswith("on")]


def test_the_policy_allows_our_script_and_no_other(page: Page) -> None:
    (policy,) = [one["attributes"]["content"] for one in page.all("meta") if "http-equiv" in one["attributes"]]
    (script,) = page.all("script")
    # What a browser hashes is all between the tags, newlines included.
    digest = base64.b64encode(hashlib.sha256(script["text"].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")


def test_tables_say_what_their_cells_are_about(page: Page) -> None:
    assert page.all("table")
    assert all(one["attributes"].get("scope") in ("col", "row", "colgroup") for one in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(one["text"].strip() for one in page.all("caption", "th", "figcaption"))


def test_headings_come_in_order_and_there_is_one_title(page: Page) -> None:
    levels = [int(one["tag"][1]) for one in page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_figures_have_names_and_words_for_what_they_show(page: Page) -> None:
    drawn = page.all("svg")
    assert drawn
    assert all(one["attributes"]["role"] == "img" and one["attributes"]["aria-labelledby"] for one in drawn)
    assert len(page.all("desc")) == len(drawn)
    assert all(one["text"].strip() for one in page.all("desc"))


def test_languages_are_marked(page: Page) -> None:
    assert page.all("html")[0]["attributes"]["lang"] == "en"
    marked = {one["attributes"]["lang"]: one["text"] for one in page.all("span") if "lang" in one["attributes"]}
    assert marked == {"ar": "العربية", "el": "Ελληνικά", "zh": "中文"}


def test_the_headline_table_says_what_the_summaries_say(page: Page, arms: list[Arm]) -> None:
    texts = [one["text"] for one in page.all("td")]
    for result in read_arms(arms):
        for summary in result.summaries.values():
            for setting in SETTINGS:
                for measure in HEADLINE:
                    estimate = summary.settings[setting][measure.key]
                    value = number(estimate.mean, measure)
                    within = f"{number(estimate.low, measure)}–{number(estimate.high, measure)}"
                    assert any(one.startswith(value) and one.endswith(within) for one in texts)


def test_the_best_is_said_in_words(page: Page, arms: list[Arm]) -> None:
    mono = {arm.name: _summary(arm, "xquad_r")["settings"]["mono"]["mAP"]["mean"] for arm in arms}
    best = max(mono, key=mono.__getitem__)
    (sentence,) = [one["text"] for one in page.all("li") if one["text"].startswith("Monolingual mAP")][:1]
    assert sentence.startswith(f"Monolingual mAP: {best} is best ({number(mono[best])}, 95 % interval ")
    results = read_arms(arms)
    marked = marks(estimates(results, "xquad_r", "mono", MAP), MAP)
    close = [f"{name} ({number(mono[name])})" for name in mono if marked[name] == "close"]
    assert close and sentence.endswith(
        f"; {listed(close)} {'is' if len(close) == 1 else 'are'} not distinguishable from that."
    )
    unseen = [one["text"].strip() for one in page.all("span") if one["attributes"].get("class") == "unseen"]
    assert {"best", "not distinguishable from the best"} <= set(unseen)


def _summary(arm: Arm, collection: str) -> dict:
    return json.loads((arm.evaluations[collection] / "summary.json").read_text(encoding="utf-8"))


def test_the_limits_are_told(page: Page) -> None:
    limits = " ".join(one["text"] for one in page.all("li"))
    assert "one seed" in limits and "choice of queries only" in limits
    assert "(zero-shot): Greek (el)." in limits


HOSTILE = "{{7*7}}\u202e$x_1$<script>x()</script>"


def test_hostile_names_stay_text(tmp_path: Path, write_run: Callable[..., list[Arm]]) -> None:
    language = "<b onclick=x>\u2067"
    arms = write_run(languages=("en", language), collections=("</title><i>",))
    arms = [dataclasses.replace(arms[0], name=HOSTILE, facts={"<u>": "</pre>"}), *arms[1:]]
    files = write_report(tmp_path / "report", "<s>&", {"<key>": "</script>"}, arms, ["<em>\u202d"], {"<q>": "<a>"})
    text = files.page.read_text(encoding="utf-8")
    page = Page(text)
    assert len(page.all("script")) == 1 and not page.all("b", "i", "u", "s", "em", "q")
    assert not [name for one in page.elements for name in one["attributes"] if name.startswith("on")]
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", text)
    assert any("{{7*7}}<U+202E>$x_1$<script>x()</script>" in one["text"] for one in page.all("th"))
    assert any(one["text"] == "{{7*7}}<U+202E>$x_1$<script>x()</script>" for one in page.all("text"))
    assert any(one["text"] == "<b oncl…" for one in page.all("text"))
    markdown = files.summary.read_text(encoding="utf-8")
    assert not re.search(r"(?<!\\)<", markdown) and not re.search("[\u202a-\u202e\u2066-\u2069]", markdown)
    assert page.all("title")[0]["text"] == "<s>&"


def test_a_name_that_begins_with_an_underscore_is_in_the_legends(
    tmp_path: Path, write_run: Callable[..., list[Arm]]
) -> None:
    arms = write_run()
    arms = [dataclasses.replace(arms[0], name="_x"), *arms[1:]]
    files = write_report(tmp_path / "report", "A run", {}, arms)
    (curves,) = [path for path in files.figures if path.name == "validation-mono.svg"]
    assert ">_x</text>" in curves.read_text(encoding="utf-8")


def test_what_is_missing_has_a_reason(tmp_path: Path, write_run: Callable[..., list[Arm]]) -> None:
    arms = write_run(languages=("en",))
    arms = [dataclasses.replace(arms[0], telemetry=None, ledger=tmp_path / "lost.json"), *arms[1:]]
    page = Page(write_report(tmp_path / "report", "A run", {}, arms).page.read_text(encoding="utf-8"))
    absent = [one for one in page.all("span") if one["attributes"].get("class") == "missing"]
    assert {one["text"] for one in absent} >= {"– the collection has no cross-lingual setting"}
    assert all(one["text"].startswith("–") and one["attributes"]["title"] for one in absent)
    gaps = [one["text"] for one in page.all("p") if one["attributes"].get("class") == "gap"]
    assert gaps == ["X-X: no telemetry was recorded.", "X-X: the ledger (lost.json) is missing."]
