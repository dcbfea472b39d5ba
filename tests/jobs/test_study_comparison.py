"""`mixlingual results compare` of two studies in a root: in words, as JSON, as a page; and what cannot be compared."""

import json
from pathlib import Path

import pytest
from planted_panels.panels import alphas
from planted_panels.studies import planted_study

from cluster.errors import EXIT_OK, EXIT_USAGE
from cluster.storage import open_store, write_result_set
from jobs.cli import main
from retrieval.analysis.study import StudyAnalysis, as_json


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    studies = {"0123aa": planted_study(alphas(3)).analysis(resamples=100)}
    studies["4567bb"] = planted_study(alphas(5), random=1, shift=0.3).analysis(resamples=100)
    for name, analysis in studies.items():
        _write(folder, name, analysis)
    with write_result_set(open_store(str(folder)), "studies/89abcd", {"stage": "study"}) as empty:
        (empty / "trials.parquet").write_bytes(b"")
    return folder


def _write(root: Path, name: str, analysis: StudyAnalysis) -> None:
    with write_result_set(open_store(str(root)), f"studies/{name}", {"stage": "study"}) as folder:
        (folder / "analysis.json").write_text(as_json(analysis), encoding="utf-8")
        (folder / "second").mkdir()
        (folder / "second" / "analysis.json").write_text(as_json(analysis), encoding="utf-8")


def compare(root: Path, *arguments: str) -> int:
    return main(["results", "compare", "--root", str(root), *arguments])


def test_two_studies_in_words_and_as_a_page(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(root, "studies/0123", "studies/4567", "--out", str(tmp_path / "page")) == EXIT_OK
    said = capsys.readouterr().out
    assert "first: studies/0123aa   second: studies/4567bb" in said
    assert "3 mixes and 4 measures are in both studies." in said
    assert "Means whose difference has an interval without 0:" in said and "(3 of 3)" in said
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "studies/0123aa" in page and (tmp_path / "page" / "figures" / "m1-mono-map.csv").is_file()


def test_two_studies_as_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(root, "studies/0123", "studies/4567", "--json", "--collection", "second") == EXIT_OK
    found = json.loads(capsys.readouterr().out)
    assert len(found["mixes"]) == 12 and found["page"] is None and found["not_compared"] == []
    for mix in found["mixes"]:
        assert mix["difference"] == pytest.approx(mix["mean_second"] - mix["mean_first"])
        assert mix["low"] < mix["difference"] < mix["high"]
        assert mix["low"] < (300 if mix["setting"] == "bias" else 0.3) < mix["high"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("studies/0123", "studies/ffff"), "'studies/ffff' is no study; known: studies/0123aa"),
        (("studies/0123", "studies/"), "at least 4 digits"),
        (("studies/0123", "0123"), "compare two studies, or two runs or nights"),
        (("studies/0123", "studies/4567", "--measure", "mAP"), "--measure: a study's measures"),
        (
            ("studies/0123", "studies/4567", "--collection", "third"),
            "no third/analysis.json; its further collections: second",
        ),
        (("studies/0123", "studies/89ab"), "studies/89abcd: has no analysis.json"),
        (("abcd", "last", "--out", "x"), "--out: there is a page for two studies only"),
    ],
)
def test_what_cannot_be_compared_is_said(
    root: Path, arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(root, *arguments) == EXIT_USAGE
    assert said in capsys.readouterr().err
