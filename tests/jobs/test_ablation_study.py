"""Designs by counting formulas, and a study's trials: exact, each once, with names that stay."""

import json
from fractions import Fraction
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_studies.studies import small_study

from cluster.config import build_config, parse_yaml, to_plain
from cluster.errors import ConfigError
from cluster.storage import open_store
from jobs.ablation import designs
from jobs.ablation.ledger import Entry
from jobs.ablation.result import trial_rows
from jobs.ablation.study import StudyConfig, trials
from jobs.stages import Stages
from retrieval.groups import open_groups

QUICKSTART = Path(__file__).parents[2] / "jobs" / "configs" / "quickstart.yaml"
ALPHA = {"design": "grid", "kinds": ["mono", "cross"], "step": 0.1}


def study(**fields: Any) -> StudyConfig:
    run = parse_yaml(QUICKSTART.read_text(encoding="utf-8"), "quickstart")
    return build_config(StudyConfig, {"name": "alpha", "run": run, "mixes": [ALPHA], "seeds": [0, 1]} | fields)


@given(kinds=st.integers(1, 4), parts=st.integers(1, 7))
def test_lattice_has_as_many_points_as_its_formula_and_each_once(kinds: int, parts: int) -> None:
    points = list(designs.simplex_lattice(kinds, parts))
    assert len(points) == len(set(points)) == comb(parts + kinds - 1, kinds - 1)
    assert all(sum(point) == 1 and all((share * parts).denominator == 1 for share in point) for point in points)


def test_simplex_centroid_by_hand() -> None:
    third, half = Fraction(1, 3), Fraction(1, 2)
    assert list(designs.simplex_centroid(3)) == [
        (1, 0, 0), (0, 1, 0), (0, 0, 1), (half, half, 0), (half, 0, half), (0, half, half), (third, third, third),
    ]  # fmt: skip
    assert len(set(designs.simplex_centroid(4))) == 2**4 - 1
    assert list(designs.corners(3)) == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]


@given(
    shares=st.lists(st.floats(0, 1), min_size=2, max_size=5).filter(lambda shares: sum(shares) > 1e-3),
    denominator=st.integers(1, 1000),
)
def test_rounding_moves_no_share_by_a_whole_part(shares: list[float], denominator: int) -> None:
    point = designs.rounded(shares, denominator)
    assert sum(point) == 1 and min(point) >= 0
    for share, exact in zip(shares, point, strict=True):
        assert abs(float(exact) - share / sum(shares)) < 1 / denominator + 1e-9


@pytest.mark.parametrize("draw", [designs.sobol, lambda q, n, seed, d: designs.dirichlet(q, n, 0.5, seed, d)])
@settings(deadline=None, max_examples=20)
@given(kinds=st.integers(2, 4), number=st.integers(1, 40), seed=st.integers(0, 1000))
def test_more_draws_keep_those_there_were(draw: Any, kinds: int, number: int, seed: int) -> None:
    points = list(draw(kinds, number, seed, 100))
    assert len(points) == number
    assert list(draw(kinds, number + 25, seed, 100))[:number] == points
    assert list(draw(kinds, number, seed, 100)) == points


def test_sobol_on_the_simplex_is_uniform_and_evener_than_dirichlet() -> None:
    """Uniform on three kinds: P(share > 1/2) = 1/4 for each, mean 1/3, variance 1/18."""
    even = np.array([[float(share) for share in point] for point in designs.sobol(3, 512, 0, 10_000)])
    drawn = np.array([[float(share) for share in point] for point in designs.dirichlet(3, 512, 1.0, 0, 10_000)])
    np.testing.assert_allclose(even.mean(0), 1 / 3, atol=0.003)
    np.testing.assert_allclose(even.var(0), 1 / 18, atol=0.002)
    np.testing.assert_allclose((even > 0.5).mean(0), 0.25, atol=0.01)
    assert np.abs(even.mean(0) - 1 / 3).max() < np.abs(drawn.mean(0) - 1 / 3).max()


def test_alpha_study_has_every_mix_with_every_seed() -> None:
    found = trials(study())
    assert [(trial.seed, trial.shares["mono"]) for trial in found] == [
        (seed, Fraction(ten, 10)) for seed in (0, 1) for ten in range(10, -1, -1)
    ]
    for trial in found:
        assert trial.config.seed == trial.config.encoder.fresh.seed == trial.seed  # type: ignore[union-attr]
        assert trial.config.mixing.mix == trial.mix and not trial.config.arms
        assert len(trial.name) == 16 and not trial.changes
    assert len({trial.name for trial in found}) == 22
    assert found[0].row() | {"trial": ""} == {
        "trial": "", "seed": 0, "schedule": "",
        "mix:mono": "1", "mix:cross": "0", "mix:multi": "0", "mix:code_switched": "0",
    }  # fmt: skip


def test_names_stay_when_mixes_seeds_and_values_are_added() -> None:
    before = {trial.name for trial in trials(study())}
    corners = {"design": "corners", "kinds": ["mono", "cross", "multi"]}
    axes = {"training.loss.temperature": [study().run.training.loss.temperature, 0.02]}
    after = trials(study(mixes=[corners, ALPHA], seeds=[2, 0, 1], axes=axes, name="later"))
    assert before < {trial.name for trial in after}
    assert len(after) == 13 * 3 * 2  # mono alone and cross alone are corners and points of the grid


def test_only_what_decides_a_result_is_in_a_name() -> None:
    run = to_plain(study().run)
    same = study(run=run | {"name": "other", "root": "elsewhere", "training": run["training"] | {"workers": 2}})
    assert [trial.name for trial in trials(same)] == [trial.name for trial in trials(study())]
    other = study(run=run | {"training": run["training"] | {"steps": 7}})
    assert not {trial.name for trial in trials(other)} & {trial.name for trial in trials(study())}


def test_axes_are_crossed_and_resolved() -> None:
    axes = {
        "mixing.granularity": ["batch", "slot"],
        "training.engine.learning_rate": [1e-5, 0.002],
        "mixing.batch": [64],
    }
    found = trials(study(axes=axes, seeds=[0]))
    assert len(found) == 11 * 4
    assert {(t.config.mixing.granularity, t.config.training.engine.learning_rate) for t in found} == {
        ("batch", 1e-5), ("batch", 0.002), ("slot", 1e-5), ("slot", 0.002),
    }  # fmt: skip
    assert json.loads(found[0].row()["axis:training.engine.learning_rate"]) == 1e-5


def test_the_base_model_is_an_axis_and_a_fresh_one_gets_the_trials_seed() -> None:
    encoders = [{"fresh": {"layers": 1}}, {"fresh": {"layers": 2, "seed": 9}}, {"name_or_path": "org/base"}]
    found = trials(study(axes={"encoder": encoders}, seeds=[5]))
    assert len(found) == 33
    assert {trial.config.encoder.fresh.seed for trial in found if trial.config.encoder.fresh} == {5}


def test_mixes_that_change_over_training_are_averaged_exactly() -> None:
    changing = [{"step": 0, "mono": 1}, {"step": 250, "cross": 1}]
    (trial,) = trials(study(mixes=[{"design": "list", "mixes": [changing]}], seeds=[0]))
    # Steps 0 to 249 have mono shares 1, 249/250, ..., 1/250; the other 250 have none.
    assert trial.changes and trial.shares["mono"] == Fraction(251, 2) / 500
    assert json.loads(trial.row()["schedule"])[1] == {"step": 250, "cross": "1"}


def test_grid_of_a_region() -> None:
    region = {"design": "grid", "step": "1/8", "least": {"mono": "1/4"}, "most": {"multi": 0.25}}
    shares = [trial.shares for trial in trials(study(mixes=[region], seeds=[0]))]
    expected = [p for p in designs.simplex_lattice(3, 8) if p[0] >= Fraction(1, 4) and p[2] <= Fraction(1, 4)]
    assert [(s["mono"], s["cross"], s["multi"]) for s in shares] == expected


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"mixes": [{"design": "grid", "step": 0.3}]}, "1 over a whole number"),
        ({"mixes": [{"design": "grid", "least": {"mono": 0.7, "cross": 0.7}}]}, "no mix has shares"),
        ({"mixes": [{"design": "lattice", "parts": 1000}]}, "501,501 mixes of 3 kinds"),
        ({"mixes": [{"design": "lattice", "kinds": ["mono", "mono"]}]}, "each once"),
        ({"mixes": [{"design": "lattice", "part": 3}]}, "did you mean 'parts'"),
        ({"seeds": [1, 1]}, "different numbers"),
        ({"axes": {"seed": [1]}}, "use seeds"),
        ({"axes": {"mixing": [{}]}}, "use mixes"),
        ({"axes": {"encoder.fresh.seed": [1]}}, "use seeds"),
        ({"axes": {"training.steps": []}}, "has no values"),
        ({"axes": {"a b": [1]}}, "no path of a field"),
        ({"axes": {"training.loss": [{}], "training.loss.temperature": [1]}}, "the same field"),
    ],
)
def test_mistakes_are_refused_in_one_line(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        study(**fields)
    assert "\n" not in str(caught.value)


def test_a_value_that_does_not_fit_is_named_with_its_axis() -> None:
    with pytest.raises(ConfigError, match=r"study alpha: axes with training.steps=0: training.steps: .*found 0"):
        trials(study(axes={"training.steps": [0]}))


def test_a_study_survives_being_stored() -> None:
    first = study(mixes=[ALPHA, {"design": "sobol", "number": 5}], axes={"training.steps": [10, 20]})
    again = build_config(StudyConfig, to_plain(first))
    assert again == first and [trial.name for trial in trials(again)] == [trial.name for trial in trials(first)]


def test_all_groups_are_a_number_on_the_axis_of_their_number(tmp_path: Path) -> None:
    small = small_study(axes={"data.max_groups": [50, None]})
    store = open_store(str(tmp_path))
    entries = [Entry(trial, "finished", 12, (), {}, {}) for trial in trials(small)]
    levels = trial_rows(store, small, entries)["axis:data.max_groups"].to_pylist()
    whole = Stages(entries[-1].trial.config, store.uri).groups
    (source,) = open_groups(whole).sources
    assert source.num_groups > 150
    assert sorted(levels, key=int) == ["50", "50", f"{source.num_groups}", f"{source.num_groups}"]
    plain = small_study(axes={"training.loss.temperature": [0.05, 0.1]})
    rows = trial_rows(store, plain, [Entry(trial, "finished", 12, (), {}, {}) for trial in trials(plain)])
    assert "axis:data.max_groups" not in rows.column_names
