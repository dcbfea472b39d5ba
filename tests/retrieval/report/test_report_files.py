"""The files of a report: the same every time, equal to their inputs, and none written when an input cannot be used."""

import csv
import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.errors import DataError
from retrieval.evaluate import evaluate_vectors_to
from retrieval.records import PassageRecord, QueryRecord, collection_from
from retrieval.report import Arm, ReportFiles, write_report
from retrieval.report.inputs import read_arms, read_telemetry
from retrieval.report.robustness_tables import resource_groups


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, write_run: Callable[..., list[Arm]]) -> None:
    arms = write_run()
    for name in ("one", "other"):
        write_report(tmp_path / name, "A run", {"steps": 20}, arms)
    assert contents_of(tmp_path / "one") == contents_of(tmp_path / "other")


def test_every_file_is_named_and_there(report: ReportFiles) -> None:
    folder = report.page.parent
    named = {report.page, report.summary, *report.figures, *report.tables}
    assert {path for path in folder.rglob("*") if path.is_file()} == named
    assert {path.parent.name for path in report.figures} == {"figures"}
    assert {path.parent.name for path in report.tables} == {"tables"}


def test_figures_stand_on_their_own(report: ReportFiles) -> None:
    for path in report.figures:
        text = path.read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(--" not in text and 'fill="#ffffff"' in text
        assert "<image" not in text and 'href="http' not in text


def test_tables_hold_the_values_of_the_summaries_in_full(report: ReportFiles, arms: list[Arm]) -> None:
    (path,) = [path for path in report.tables if path.name == "c1-xquad-r-headline.csv"]
    rows = {row["arm"]: row for row in read_csv(path)}
    assert list(rows) == [arm.name for arm in arms]
    for arm in arms:
        summary = json.loads((arm.evaluations["xquad_r"] / "summary.json").read_text(encoding="utf-8"))
        cross = summary["settings"]["cross"]["R@10"]
        row = rows[arm.name]
        assert float(row["cross-lingual R@10"]) == cross["mean"]
        assert float(row["cross-lingual R@10 low"]) == cross["low"]
        assert float(row["language bias rank distance high"]) == summary["bias"]["rank_distance"]["high"]
    assert rows["hybrid"]["mix"] == "mono 1/2 + cross 1/2"


def test_pairs_csv_holds_every_pair(report: ReportFiles, arms: list[Arm]) -> None:
    (path,) = [path for path in report.tables if path.name == "pairs.csv"]
    rows = {(row["collection"], row["arm"], row["query_language"], row["pool_language"]): row for row in read_csv(path)}
    assert len(rows) == len(arms) * 2 * (4 * 4 + 4)
    for arm in arms:
        for collection, folder in arm.evaluations.items():
            for pair in json.loads((folder / "summary.json").read_text(encoding="utf-8"))["pairs"]:
                row = rows[collection, arm.name, pair["query_language"], pair["pool_language"]]
                assert float(row["nDCG@10"]) == pair["nDCG@10"]


def test_what_perturbations_cost_stands_in_full(report: ReportFiles, arms: list[Arm]) -> None:
    (overview,) = [path for path in report.tables if path.name == "c1-xquad-r-perturbations.csv"]
    rows = {row["arm"]: row for row in read_csv(overview)}
    assert list(rows) == [arm.name for arm in arms]
    assert float(rows["hybrid"]["typing noise cross-lingual"]) == pytest.approx(0.22)
    assert float(rows["hybrid"]["typing noise cross-lingual high"]) == pytest.approx(0.25)
    (path,) = [path for path in report.tables if path.name == "perturbations.csv"]
    found = read_csv(path)
    assert len(found) == len(arms) * 2 * 3 * (1 + 4) * 2  # perturbations, settings, languages and all of them, measures
    (row,) = [
        row
        for row in found
        if (row["arm"], row["perturbation"], row["setting"], row["query_language"], row["measure"])
        == ("BM25", "lower_case", "multi", "zh", "R@1")
    ]
    assert (row["num_queries"], row["num_changed"]) == ("8", "8")
    assert float(row["relative_drop"]) == pytest.approx(0.02)
    (empty,) = {row["relative_drop"] for row in found if row["query_language"] == "ar"}
    assert empty == ""


def test_mean_over_languages_with_no_training_data_by_hand(report: ReportFiles, arms: list[Arm]) -> None:
    """Greek was never drawn; the other three languages alike."""
    (path,) = [path for path in report.tables if path.name == "c1-xquad-r-by-training-data.csv"]
    row = next(row for row in read_csv(path) if row["arm"] == "X-Y")
    pairs = json.loads((arms[1].evaluations["xquad_r"] / "summary.json").read_text(encoding="utf-8"))["pairs"]
    values = {(pair["query_language"], pair["pool_language"]): pair["mAP"] for pair in pairs}
    assert float(row["no training data monolingual"]) == values["el", "el"]
    passages = sum(values[other, "el"] for other in ("ar", "en", "zh")) / 3
    assert float(row["no training data cross-lingual, as passage"]) == pytest.approx(passages)
    asked = [values[one, other] for one in ("ar", "en", "zh") for other in ("ar", "el", "en", "zh") if one != other]
    assert float(row["more training data cross-lingual, as query"]) == pytest.approx(sum(asked) / 9)


def test_languages_that_were_drawn_little_are_a_group_of_their_own(write_run: Callable[..., list[Arm]]) -> None:
    arms = write_run()
    for arm in arms:
        if arm.ledger:
            ledger = json.loads(arm.ledger.read_text(encoding="utf-8"))
            ledger["languages"] = {"mono": {"en": 101, "zh": 10, "ar": 11}}
            arm.ledger.write_text(json.dumps(ledger), encoding="utf-8")
    groups = resource_groups(read_arms(arms), ("ar", "el", "en", "zh"))
    assert groups == {"no": ["el"], "little": ["zh"], "more": ["ar", "en"]}
    assert resource_groups(read_arms([dataclasses.replace(arms[0], ledger=None), *arms[1:]]), ("en",)) == {}


def test_speed_stands_beside_accuracy(report: ReportFiles) -> None:
    (path,) = [path for path in report.tables if path.name == "c1-xquad-r-speed.csv"]
    rows = {row["arm"]: row for row in read_csv(path)}
    assert list(rows) == ["X-X", "X-Y", "hybrid"]
    assert float(rows["X-Y"]["in bulk queries/s"]) == pytest.approx(500)
    assert float(rows["X-Y"]["one query, ms p99"]) == pytest.approx(60)
    assert rows["X-Y"]["measured on"] == "x86_64, 2 cores, 1 thread"


def test_page_and_summary_show_robustness_and_speed(report: ReportFiles) -> None:
    page, summary = (path.read_text(encoding="utf-8") for path in (report.page, report.summary))
    for heading in ("Weakest pairs", "Languages by training data", "Queries in other words", "Speed"):
        assert page.count(f"<h3>{heading}</h3>") == (
            2 if heading in ("Weakest pairs", "Languages by training data") else 1
        )
        assert f"### {heading}\n" in summary
    changed = "typing noise 8 of 32 and lower case 8 of 32."
    assert changed in page and changed in summary
    assert "| hybrid | .220 (.200–.250) | .220 (.200–.250) | .220 (.200–.250) |" in summary
    assert "Typing noise:\n" in summary


def test_languages_in_their_roles_by_hand(report: ReportFiles, arms: list[Arm]) -> None:
    (path,) = [path for path in report.tables if path.name == "c1-xquad-r-per-language.csv"]
    row = next(row for row in read_csv(path) if row["language"] == "en")
    folder = arms[2].evaluations["xquad_r"]
    pairs = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["pairs"]
    values = {(pair["query_language"], pair["pool_language"]): pair["mAP"] for pair in pairs}
    assert float(row["monolingual hybrid"]) == values["en", "en"]
    asked = (values["en", "ar"] + values["en", "el"] + values["en", "zh"]) / 3
    assert float(row["cross-lingual, as query hybrid"]) == pytest.approx(asked)
    found = (values["ar", "en"] + values["el", "en"] + values["zh", "en"]) / 3
    assert float(row["cross-lingual, as passage hybrid"]) == pytest.approx(found)
    assert float(row["multilingual hybrid"]) == values["en", "*"]
    bias = pq.read_table(folder / "per_query_bias.parquet").to_pylist()
    distances = [query["rank_distance"] for query in bias if query["query_language"] == "en"]
    assert float(row["rank distance hybrid"]) == pytest.approx(sum(distances) / len(distances))


def test_a_formula_in_a_name_is_no_formula_in_a_spreadsheet(
    tmp_path: Path, write_run: Callable[..., list[Arm]]
) -> None:
    arms = write_run()
    arms = [dataclasses.replace(arms[0], name="=HYPERLINK(1)"), *arms[1:]]
    files = write_report(tmp_path / "report", "A run", {}, arms)
    cells = [cell for path in files.tables for row in read_csv(path) for cell in row.values()]
    assert "'=HYPERLINK(1)" in cells and not [cell for cell in cells if cell.startswith("=")]


def test_the_markdown_summary_has_the_headline(report: ReportFiles) -> None:
    text = report.summary.read_text(encoding="utf-8")
    assert text.startswith("# A run\n")
    assert "| arm | mix | mAP | R@1 | R@10 | nDCG@10 | MRR |" in text
    assert "| hybrid | mono 1/2 + cross 1/2 | " in text and "## Realised mix" in text
    headers = [line for line in text.splitlines() if line.startswith("| ---")]
    # For each of two collections four groups of the headline, the weakest pairs and two groups of languages; for one of
    # them two perturbations and the speed; and the mix.
    assert len(headers) == 2 * (4 + 1 + 2) + 2 + 1 + 1


def one_line(error: pytest.ExceptionInfo[DataError]) -> str:
    message = str(error.value)
    assert "\n" not in message and error.value.exit_code == 2
    return message


def _swap_ends(path: Path) -> None:
    summary = json.loads(path.read_text(encoding="utf-8"))
    summary["settings"]["mono"]["mAP"] |= {"low": 2.0, "high": 1.0}
    path.write_text(json.dumps(summary), encoding="utf-8")


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda folder: (folder / "summary.json").unlink(), "holds no summary.json"),
        (lambda folder: (folder / "summary.json").write_text('{"collection": "ti'), "summary.json: not JSON"),
        (lambda folder: (folder / "summary.json").write_text("[]"), "summary.json: "),
        (lambda folder: (folder / "summary.json").write_text('{"collection": "x"}'), "num_queries: missing"),
        (lambda folder: _swap_ends(folder / "summary.json"), "settings.mono.mAP: an interval from 2 to 1 has its ends"),
        (
            lambda folder: (folder / "per_query_bias.parquet").write_bytes(b"PAR1"),
            "per_query_bias.parquet: not a whole Parquet file",
        ),
        (lambda folder: (folder.parent / "ledger.json").write_text('{"steps": "many"}'), "ledger.json: steps: "),
        (
            lambda folder: (folder.parent / "telemetry.jsonl").write_text('{"event"\n{}\n'),
            "telemetry.jsonl line 1: not",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_and_nothing_is_written(
    tmp_path: Path, write_run: Callable[..., list[Arm]], break_it: Callable[[Path], object], said: str
) -> None:
    arms = write_run()
    break_it(arms[1].evaluations["tiny"])
    with pytest.raises(DataError) as error:
        write_report(tmp_path / "report", "A run", {}, arms)
    assert said in one_line(error) and str(tmp_path) in one_line(error)
    assert not (tmp_path / "report").exists()


def test_arms_that_cannot_be_compared_are_refused(tmp_path: Path, write_run: Callable[..., list[Arm]]) -> None:
    arms = write_run()
    with pytest.raises(DataError, match="given no arms"):
        read_arms([])
    with pytest.raises(DataError, match="two arms are called 'X-X'"):
        read_arms([arms[0], arms[0]])
    with pytest.raises(DataError, match=f"{tmp_path}/nowhere: no such folder"):
        read_arms([dataclasses.replace(arms[0], evaluations={"tiny": tmp_path / "nowhere"})])
    path = arms[1].evaluations["tiny"] / "summary.json"
    path.write_text(path.read_text().replace('"num_queries": 6', '"num_queries": 7', 1))
    with pytest.raises(DataError, match="tiny: num_queries is 7 for arm 'X-Y' but 6 for 'X-X'"):
        read_arms(arms)


def test_a_report_without_telemetry_ledger_or_bias_file_is_still_a_report(
    tmp_path: Path, write_run: Callable[..., list[Arm]]
) -> None:
    arms = [dataclasses.replace(arm, telemetry=None, ledger=None) for arm in write_run()]
    for arm in arms:
        (arm.evaluations["tiny"] / "per_query_bias.parquet").unlink()
    files = write_report(tmp_path / "report", "A run", {}, arms)
    assert not [path for path in files.figures if path.name.startswith(("loss", "validation", "drawn"))]
    assert "X-X: no telemetry was recorded" in files.summary.read_text(encoding="utf-8")


def test_telemetry_of_a_resumed_and_killed_run(tmp_path: Path) -> None:
    lines = [
        {"event": "step", "step": 1, "loss": 3.0, "kind": "mono"},
        {"event": "step", "step": 2, "loss": 9.0, "kind": "mono"},
        {"event": "something new", "step": 2},
        {"event": "step", "step": 2, "loss": None, "kind": "mono"},
        {"event": "validation", "step": 2, "mono": {"mAP": 0.5}, "rank_distance": 12.0},
    ]
    path = tmp_path / "telemetry.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + '\n{"event": "step", "st', encoding="utf-8")
    telemetry = read_telemetry(path)
    assert [step.step for step in telemetry.steps] == [1, 2]
    assert telemetry.steps[0].loss == 3.0 and math.isnan(telemetry.steps[1].loss)
    assert telemetry.validations[0].settings == {"mono": {"mAP": 0.5}}


def test_queries_that_a_measure_says_nothing_about_count_in_no_mean(
    tmp_path: Path, write_run: Callable[..., list[Arm]]
) -> None:
    (arm, *_) = write_run()
    folder = arm.evaluations["tiny"]
    languages = ["en", "en", "en", "zh"]
    values = [1.0, math.nan, 4.0, math.nan]
    table = pa.table({"query_language": languages, "query_id": list("abcd"), "rank_distance": values})
    pq.write_table(table, folder / "per_query_bias.parquet")
    assert read_arms([arm])[0].bias_by_language["tiny"] == {"en": {"rank_distance": 2.5}, "zh": {}}


def test_what_evaluate_writes_is_what_the_report_reads(tmp_path: Path) -> None:
    languages = ("de", "en", "sw")
    passages = [PassageRecord(f"{language}{n}", language, f"p {n}") for language in languages for n in range(6)]
    queries = [
        QueryRecord(f"q{n}", language, f"q {n}", {f"{other}{n}": 1 for other in languages})
        for language in languages
        for n in range(6)
    ]
    collection = collection_from("real", languages, queries, passages)
    rng = np.random.default_rng(0)
    arms = []
    for name in ("trained", "untrained"):
        query_vectors, passage_vectors = (rng.normal(size=(18, 8)).astype(np.float32) for _ in range(2))
        folder = tmp_path / name
        folder.mkdir()
        evaluate_vectors_to(folder, collection, query_vectors, passage_vectors, resamples=50)
        role = "trained" if name == "trained" else "baseline"
        arms.append(Arm(name=name, role=role, evaluations={"real": folder}))
    (first, _) = read_arms(arms)
    summary = json.loads((tmp_path / "trained" / "summary.json").read_text(encoding="utf-8"))
    assert first.summaries["real"].estimate("mono", "mAP").mean == summary["settings"]["mono"]["mAP"]["mean"]
    assert first.summaries["real"].language_shares.in_pool == summary["language_share@10"]["in_pool"]
    by_language = [means["rank_distance"] for means in first.bias_by_language["real"].values()]
    assert sum(by_language) / 3 == pytest.approx(summary["bias"]["rank_distance"]["mean"])
    files = write_report(tmp_path / "report", "A real evaluation", {}, arms)
    assert any("shares" in path.name for path in files.figures)
