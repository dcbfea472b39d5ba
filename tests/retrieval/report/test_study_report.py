"""The report of a study, written from planted studies: its sentences, figures and tables against what was planted."""

import csv
import io
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from planted_panels.panels import alphas, arm, lattice
from planted_panels.studies import KEYS, LANGUAGES, PlantedStudy, pair_value, planted_study

from cluster.errors import DataError
from retrieval.analysis.study import StudyAnalysis
from retrieval.analysis.two_studies import mix_key
from retrieval.report.measures import number
from retrieval.report.study import write_study_report
from retrieval.report.study.claims import Claim, claims
from retrieval.report.study.drawing import on_plane
from retrieval.report.study.naming import arm_name, fine, headline_keys, names_of, share_text, size

Reports = Callable[[str], tuple[PlantedStudy, Path]]
ALL = ("alpha", "simplex", "sizes", "stopped", "one-seed", "odd")


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def text_of(page: Path) -> str:
    body = page.read_text(encoding="utf-8").partition("<body>")[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", re.sub(r"<(script|svg|style).*?</\1>", "", body, flags=re.S)))


@pytest.mark.parametrize("name", ALL)
def test_everything_is_one_page_and_files_beside_it(study_reports: Reports, name: str) -> None:
    _, folder = study_reports(name)
    for page in (folder / "index.html", folder / "costs" / "index.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r'(?:href|src)="(?:[a-z]+:)?//', text) and "url(http" not in text
        links = re.findall(r'href="((?:figures|costs|\.\.)[^"]+)"', text)
        assert links and all((page.parent / link).is_file() for link in links)
        ids = re.findall(r' id="([^"]+)"', text)
        assert len(ids) == len(set(ids))
        for reference in re.findall(r'(?:aria-labelledby|href)="#?([^"]+)"', text):
            assert all(one in ids or "/" in one or one.startswith("data:") for one in reference.split()), reference
    figures = {path.stem for path in folder.rglob("*.svg")}
    assert figures and figures == {path.stem for path in folder.rglob("figures/*.csv")}
    for path in folder.rglob("*.svg"):
        root = ElementTree.parse(path).getroot()
        assert root.find("{http://www.w3.org/2000/svg}title") is not None
        assert root.findtext("{http://www.w3.org/2000/svg}desc")


@pytest.mark.parametrize("name", ["simplex", "stopped"])
def test_the_same_study_gives_the_same_bytes_whatever_it_took(
    study_reports: Reports, tmp_path: Path, name: str
) -> None:
    study, folder = study_reports(name)
    slower = study.costs.set_column(
        study.costs.column_names.index("train_seconds"),
        "train_seconds",
        pa.array(np.arange(100.0, 100.0 + study.costs.num_rows)),
    )
    arguments = study.arguments(costs={"queries_per_second": True}) | {"costs": slower}
    trials = study.trials.set_column(
        study.trials.column_names.index("cost:queries_per_second"),
        "cost:queries_per_second",
        pa.array(np.arange(float(study.trials.num_rows))),
    )
    arguments |= {
        "trials": trials,
        "analysis": PlantedStudy(trials, study.values, study.pairs, slower, study.truth).analysis(),
    }
    write_study_report(tmp_path, f"Study {name}", {"name": name, "seeds": [0, 1]}, **arguments)
    files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert files == {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    differ = {file for file in files if (folder / file).read_bytes() != (tmp_path / file).read_bytes()}
    assert differ and all(file.parts[0] == "costs" for file in differ)


def test_the_summary_names_the_planted_best_mixes(study_reports: Reports) -> None:
    study, folder = study_reports("alpha")
    text = text_of(folder / "index.html")
    assert "11 mixes of mono and cross · 3 seeds · 33 trials · 40 queries" in text
    best = {key: (min if key[0] == "bias" else max)(truth, key=truth.__getitem__) for key, truth in study.truth.items()}
    assert best["mono", "mAP"] == "mono 1" and best["multi", "mAP"] == "mono 1/2, cross 1/2"
    assert "For monolingual mAP: X-X has the best mean" in text
    assert "For cross-lingual mAP: X-Y has the best mean" in text
    (multi,) = (one for one in study.analysis().measures if one.setting == "multi")
    assert best["multi", "mAP"] in multi.flat_region
    assert "no mix is among the candidates for the best in all of" in text
    summary = (folder / "summary.md").read_text(encoding="utf-8")
    assert "For monolingual mAP: X-X has the best mean" in summary and "| X-X | mono | **" in summary


def test_means_of_the_table_are_those_of_the_values(study_reports: Reports) -> None:
    study, folder = study_reports("alpha")
    table = {row["mix"]: row for row in rows(folder / "tables" / "p1-means.csv")}
    values = study.values.to_pandas()
    chosen = values[(values.setting == "multi") & (values.trial.str.startswith("t05"))]
    name = "mean over seeds and queries multilingual mAP"
    assert float(table["mono 1/2 + cross 1/2"][name]) == pytest.approx(chosen.value.mean())
    low, high = (float(table["mono 1/2 + cross 1/2"][f"{name} {end}"]) for end in ("low", "high"))
    assert low < study.truth["multi", "mAP"]["mono 1/2, cross 1/2"] < high


def test_alpha_curves_are_drawn_where_their_numbers_say(study_reports: Reports) -> None:
    """Discs in the SVG and the rows of the CSV lie on the same straight lines, and hollow discs are outside the flat region."""
    study, folder = study_reports("alpha")
    found = rows(folder / "figures" / "p1-surface-multi-map.csv")
    mixes = [row for row in found if row["what"] == "mix"]
    assert [float(row["mono"]) for row in mixes] == pytest.approx(np.linspace(0, 1, 11))
    svg = (folder / "figures" / "p1-surface-multi-map.svg").read_text(encoding="utf-8")
    uses = re.findall(r'<use href="#[^"]*" x="([\d.]+)" y="([\d.]+)" style="fill:(#\w+);stroke:#1d2125', svg)
    discs = [(float(x), float(y), fill) for x, y, fill in uses]
    assert len(discs) == 11
    x, y = np.array([one[:2] for one in discs]).T
    assert np.corrcoef(x, [float(row["mono"]) for row in mixes])[0, 1] == pytest.approx(1, abs=1e-6)
    assert np.corrcoef(y, [float(row["value"]) for row in mixes])[0, 1] == pytest.approx(-1, abs=1e-6)
    assert [fill == "#1d2125" for *_, fill in discs] == [row["in flat region"] == "yes" for row in mixes]
    curve = [row for row in found if row["what"] == "curve"]
    (multi,) = (one for one in study.analysis().measures if one.setting == "multi")
    assert multi.mixture is not None and len(curve) == 201
    middle = min(curve, key=lambda row: abs(float(row["mono"]) - 0.5))
    surface = multi.mixture.surface
    place = np.argmin(np.abs(surface.shares[:, multi.mixture.kinds.index("mono")] - float(middle["mono"])))
    assert float(middle["value"]) == pytest.approx(surface.values[place])
    (top,) = (row for row in found if row["what"] == "best of curve")
    assert float(top["mono"]) == pytest.approx(multi.mixture.best["mono"]) and abs(float(top["mono"]) - 0.5) < 0.1
    seeds = [float(row["value"]) for row in found if row["what"] == "seed" and row["mix"] == "X-X"]
    assert np.mean(seeds) == pytest.approx(float(mixes[-1]["value"]))


def test_places_in_the_triangle_by_hand() -> None:
    middle = on_plane(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1 / 3, 1 / 3, 1 / 3]]))
    np.testing.assert_allclose(middle, [[0, 0], [1, 0], [0.5, np.sqrt(3) / 2], [0.5, np.sqrt(3) / 6]], atol=1e-12)


def test_the_map_of_the_simplex_has_the_trials_and_the_planted_top(study_reports: Reports) -> None:
    study, folder = study_reports("simplex")
    found = rows(folder / "figures" / "p1-surface-multi-map.csv")
    mixes = [row for row in found if row["what"] == "mix"]
    surface = np.array(
        [
            [float(row[name]) for name in ("mono", "cross", "multi", "value")]
            for row in found
            if row["what"] == "surface"
        ]
    )
    assert len(mixes) == 15 and np.allclose(surface[:, :3].sum(axis=1), 1)
    (top,) = (row for row in found if row["what"] == "best of surface")
    assert float(top["value"]) == pytest.approx(surface[:, 3].max())
    truth = study.truth["multi", "mAP"]
    for row in mixes:
        shares = {kind: Fraction(row[kind]).limit_denominator(4) for kind in ("mono", "cross", "multi")}
        (label,) = (one for one in truth if one == arm(**shares).label)
        assert float(row["low"]) - 0.02 < truth[label] < float(row["high"]) + 0.02
    svg = (folder / "figures" / "p1-surface-multi-map.svg").read_text(encoding="utf-8")
    for row in mixes:
        assert f">{number(float(row['value']))}</text>" in svg
    corners = re.findall(r">(mono|cross|multi)</text>", svg)
    assert corners == ["mono", "cross", "multi"]


def test_other_designs_get_a_row_for_each_mix(study_reports: Reports) -> None:
    """Four kinds, and mixes that change over training, two of them with the same shares; and a second measure."""
    _, folder = study_reports("odd")
    found = rows(folder / "figures" / "p1-surface-multi-map.csv")
    assert [row["mix"] for row in found if row["mix"] == "X-X"] == ["X-X"] and len(found) == 4
    assert any(row["mix"] == "mono 1/2 + cross 1/2, changing (step 0 mono 1, step 9 cross 1)" for row in found)
    means = [float(row["mean"]) for row in found]
    assert means == sorted(means, reverse=True)
    assert (folder / "figures" / "p1-surface-multi-r-at-10.svg").is_file()
    text = text_of(folder / "index.html")
    assert "Other measures" in text and "Fitted surfaces" not in text and "code_switched" in text


def test_pareto_panels_draw_the_front_of_all_objectives(study_reports: Reports) -> None:
    study, folder = study_reports("simplex")
    front = next(one for one in study.analysis().fronts if not one.with_costs)
    found = [rows(path) for path in sorted((folder / "figures").glob("p1-pareto-*.csv"))]
    assert len(found) == 6, "four objectives make six pairs"
    names = [arm_name(a) for a in lattice(4)]
    for table in found:
        assert [row["mix"] for row in table] == names
        assert [row["on front"] == "yes" for row in table] == list(front.on_front)
    by_name = {objective.name: objective.values for objective in front.objectives}
    for table in found:
        for name in list(table[0])[1:3]:
            assert [float(row[name]) for row in table] == pytest.approx(by_name[name])
    assert len(list((folder / "costs" / "figures").glob("*pareto*.csv"))) == 4, "throughput against each of the others"


def test_pair_maps_are_means_over_seeds_and_differences_to_x_x(study_reports: Reports) -> None:
    _, folder = study_reports("alpha")
    (first,) = (folder / "figures").glob("p1-pairs-1.csv")
    values = {(row["query language"], row["passage language"]): float(row["value"]) for row in rows(first)}
    places = {language: number for number, language in enumerate([*LANGUAGES, "all"])}
    assert len(values) == 12
    for (query, passage), value in values.items():
        assert value == pytest.approx(pair_value(0, places[query], places[passage], 1))
    (xy,) = (folder / "figures").glob("p1-pairs-*-x-y.csv")
    assert [float(row["difference"]) for row in rows(xy)] == pytest.approx([0.1] * 12)
    assert len(list((folder / "figures").glob("p1-pairs-*.csv"))) == 11


def test_distributions_of_rank_distance_are_quantiles_of_the_queries(study_reports: Reports) -> None:
    study, folder = study_reports("alpha")
    table = {row["mix"]: row for row in rows(folder / "figures" / "p1-distribution.csv")}
    frame = study.values.to_pandas()
    chosen = frame[(frame.setting == "bias") & frame.trial.str.startswith("t00")].groupby("unit").value.mean()
    for q in (0.05, 0.25, 0.5, 0.75, 0.95):
        assert float(table["X-X"][f"quantile {q:g}"]) == pytest.approx(np.quantile(chosen, q))
    means = [float(row["mean"]) for row in table.values()]
    assert means == sorted(means)


def test_an_axis_has_curves_slopes_and_a_sentence(study_reports: Reports) -> None:
    """X-X gains .04 per doubling within a language, the others .02: their differences to X-X fall by .02."""
    _, folder = study_reports("sizes")
    text = text_of(folder / "index.html")
    assert "What data.limit changes" in text
    monolingual = re.search(r"Monolingual mAP: with every doubling these differences change: ([^<]*?)\. Cross", text)
    assert monolingual and "X-Y minus X-X −.0" in monolingual[1]
    slopes = {
        (row["mix or difference"], row["measure"]): row for row in rows(folder / "tables" / "axis-data-limit.csv")
    }
    row = slopes["X-Y minus X-X", "monolingual mAP"]
    assert float(row["slope per doubling low"]) <= -0.02 <= float(row["slope per doubling high"])
    assert float(slopes["X-X", "monolingual mAP"]["slope per doubling"]) == pytest.approx(0.04, abs=0.01)
    curve = [row for row in rows(folder / "figures" / "axis-1-data-limit-1-mono-map.csv") if row["mix"] == "X-X"]
    assert [row["data.limit"] for row in curve] == ["500", "1,000", "2,000"]
    best = rows(folder / "tables" / "best.csv")
    assert [row["values of the axes"] for row in best] == [f"data.limit {level}" for level in ("500", "1,000", "2,000")]
    assert all(row["monolingual mAP"].startswith("X-X (") for row in best)
    assert len(rows(folder / "tables" / "claims.csv")) == 12


def test_stopped_trials_are_named_and_count_in_costs_alone(study_reports: Reports) -> None:
    _, folder = study_reports("stopped")
    text = text_of(folder / "index.html")
    assert "15 trials, 2 of them stopped early" in text and "2 of 15 trials were stopped early" in text
    trials = {row["trial"]: row for row in rows(folder / "tables" / "trials.csv")}
    assert trials["t04s2"]["status"] == "stopped" and trials["t04s2"]["multilingual mAP"] == ""
    left_out = [name for name, row in trials.items() if "left out" in row["status"]]
    assert left_out == ["t00s2", "t01s2", "t02s2"], "the other mixes of the third seed"
    costs = rows(folder / "costs" / "figures" / "cost-per-trial.csv")
    assert len(costs) == 15 and sum(float(row["train seconds"]) for row in costs) == pytest.approx(
        15 * 20 + 3 * 10 + 15
    )
    assert "Stopping 2 trials early spared 800 of 7,500 steps" in text_of(folder / "costs" / "index.html")


def test_one_seed_says_so(study_reports: Reports) -> None:
    _, folder = study_reports("one-seed")
    text = text_of(folder / "index.html")
    assert "One seed: the intervals and tests cover the choice of queries only" in text
    assert "with one seed nothing is known" in text and "seed deviation" not in text


def claims_of(study: PlantedStudy) -> list[Claim]:
    analysis: StudyAnalysis = study.analysis()
    keys = headline_keys(analysis)
    return claims([one for one in analysis.measures if (one.setting, one.measure) in keys], {})


def test_the_papers_order_holds_where_it_was_planted_and_fails_where_its_opposite_was() -> None:
    arms = alphas(3)
    assert [claim.verdict for claim in claims_of(planted_study(arms))] == ["holds"] * 4
    study = planted_study(arms)
    swapped = [
        row | {f"mix:{kind}": row[f"mix:{other}"] for kind, other in (("mono", "cross"), ("cross", "mono"))}
        for row in study.trials.to_pylist()
    ]
    turned = claims_of(PlantedStudy(pa.Table.from_pylist(swapped), study.values, study.pairs, study.costs, study.truth))
    assert [claim.verdict for claim in turned][:2] == ["fails", "fails"]
    assert turned[3].verdict == "fails", "hybrid has more rank distance than X-X now"
    negative = study.values.set_column(4, "value", pc.negate(study.values["value"]))
    worse = claims_of(PlantedStudy(study.trials, negative, study.pairs, study.costs, study.truth))
    assert worse[2].verdict == "fails" and "p < .001" in worse[2].evidence


def test_claims_stay_open_where_nothing_was_planted() -> None:
    study = planted_study(alphas(3), random=8)
    flat = study.values.to_pandas()
    flat["value"] = np.random.default_rng(0).normal(0.5, 0.1, len(flat))
    found = claims_of(PlantedStudy(study.trials, pa.Table.from_pandas(flat), study.pairs, study.costs, study.truth))
    assert [claim.verdict for claim in found] == ["open"] * 4
    assert all("behind by at most" in one.evidence or "may be better by" in one.evidence for one in found[:2])


def test_short_names_are_unique_and_exact_where_percentages_are_not() -> None:
    third, odd = Fraction(1, 3), Fraction(331, 1000)
    arms = [arm(mono=third, cross=1 - third), arm(mono=odd, cross=1 - odd), arm(mono=Fraction(1))]
    names = names_of(arms)
    assert names.exact and names.short(arms[0]) == "1/3/2/3" and names.short(arms[2]) == "X-X"
    assert names_of(arms[::2]).short(arms[0]) == "33/67"
    assert mix_key(arms[0]) != mix_key(arms[1])


def test_numbers_as_they_are_written() -> None:
    assert (fine(0.01234), fine(-0.5), fine(12.34), fine(0.0)) == ("+.0123", "−.5000", "+12.3", "+.0000")
    assert (size(-0.01234), share_text(0.456), share_text(1.0)) == (".0123", ".46", "1.00")


def test_names_are_names(study_reports: Reports) -> None:
    _, folder = study_reports("odd")
    for path in (*folder.rglob("*.html"), *folder.rglob("*.svg"), *folder.rglob("*.csv"), folder / "summary.md"):
        text = path.read_text(encoding="utf-8")
        assert "\u202e" not in text
        assert path.suffix not in (".html", ".svg") or "<script>alert" not in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: {"pairs": s.pairs.drop_columns("value")}, "pairs: no column 'value'; has trial"),
        (lambda s: {"costs": s.costs.drop_columns("steps")}, "costs: no column 'steps'"),
        (lambda s: {"trials": s.trials.slice(1)}, "pairs: trial t00s0 is not in the table of trials"),
        (lambda s: {"analysis": StudyAnalysis((), (), ())}, "analysis: it has no measures"),
        (lambda s: {"analysis": planted_study(alphas(4)).analysis()}, "analysis: its arms for mAP in setting 'mono'"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    tmp_path: Path, change: Callable[[PlantedStudy], dict[str, Any]], said: str
) -> None:
    study = planted_study(alphas(3), units=8)
    with pytest.raises(DataError, match=said):
        write_study_report(tmp_path / "report", "x", {}, **study.arguments() | change(study))
    assert not (tmp_path / "report").exists()


def test_a_study_without_costs_or_pairs_has_a_report(tmp_path: Path) -> None:
    study = planted_study(alphas(3), units=8, keys=KEYS[2:3])
    arguments = study.arguments(costs=None) | {"pairs": study.pairs.slice(0, 0), "costs": study.costs.slice(0, 0)}
    write_study_report(tmp_path, "x", {}, **arguments)
    text = text_of(tmp_path / "index.html")
    assert "Pairs of languages" not in text and "Trade-offs" not in text and not (tmp_path / "costs").exists()


def test_trials_of_which_only_costs_are_known_count_as_trials(tmp_path: Path) -> None:
    study = planted_study(alphas(3), units=8, stopped=1)
    stopped = study.costs.filter(pc.equal(study.costs["status"], "stopped"))["trial"].to_pylist()
    rest = study.trials.filter(pc.invert(pc.is_in(study.trials["trial"], pa.array(stopped))))
    write_study_report(tmp_path, "x", {}, **study.arguments() | {"trials": rest})
    assert "9 trials, 1 of them stopped early" in text_of(tmp_path / "index.html")
    costs = rows(tmp_path / "costs" / "figures" / "cost-per-trial.csv")
    assert [row["mix"] for row in costs if row["trial"] in stopped] == ["not in the table of trials"]


def test_mixes_and_levels_stand_in_order_whatever_the_order_of_the_trials(tmp_path: Path) -> None:
    study = planted_study(alphas(3), units=8, axes={"data.limit": [2000, 500, 1000]}, seeds=2)
    write_study_report(tmp_path, "x", {}, **study.arguments())
    assert [row["values of the axes"] for row in rows(tmp_path / "tables" / "best.csv")] == [
        "data.limit 500", "data.limit 1,000", "data.limit 2,000",
    ]  # fmt: skip
    turned = planted_study(alphas(3)[::-1], units=8, seeds=2)
    write_study_report(tmp_path / "turned", "x", {}, **turned.arguments())
    for name in ("p1-means", "p1-front"):
        table = rows(tmp_path / "turned" / "tables" / f"{name}.csv")
        assert [row["mix"] for row in table] == ["X-X", "mono 1/2 + cross 1/2", "X-Y"]
