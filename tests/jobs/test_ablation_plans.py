"""Populations, searches and the ledger of a study, as far as they need no cluster."""

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_studies.studies import small_fields, small_study

from cluster.config import to_plain
from cluster.errors import ConfigError
from cluster.storage import open_store
from jobs.ablation.check import check_study
from jobs.ablation.found import known_trials, population_identity, populations, search_identity, write_found
from jobs.ablation.ledger import Ledger
from jobs.ablation.population import shifted
from jobs.ablation.study import trials, with_mix
from jobs.ablation.tuning import figures
from trainer.mixing.config import MixingConfig, SourceShape
from trainer.mixing.plan import Plan
from trainer.mixing.ratios import Knot, RunningTotals

TENTH = Fraction(1, 10)
GRID = [{"design": "grid", "kinds": ["mono", "cross"], "step": 0.5}]
POPULATION = {"scheduler": "population", "interval": 20}


@pytest.mark.parametrize("seed", range(6))
def test_a_mix_that_is_shifted_gives_the_batches_there_were_before(seed: int) -> None:
    """The checkpoint of the parent is that of a run with the child's mix from the start: so must its batches be."""
    draw = random.Random(seed)
    sources = (SourceShape("a", ("de", "el", "en"), 500, 64), SourceShape("b", ("de", "en"), 300, 64))
    first = draw.randint(0, 10)
    second = draw.randint(0, 10 - first)
    mix = (Knot(mono=first * TENTH, cross=second * TENTH, multi=(10 - first - second) * TENTH),)
    for step in (20, 40, 50):
        child = shifted(mix, step, TENTH, ["mono", "cross", "multi"], draw)
        before, after = (Plan(MixingConfig(mix=one, batch=8), sources, seed) for one in (mix, child))
        for number in range(step):
            one, other = before.batch(number), after.batch(number)
            assert one.source == other.source
            for name in ("kind", "row", "query_language", "passage_language"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert child[-1].step == step and child[-1].shares != mix[-1].shares
        totals = RunningTotals([(knot.step, tuple(knot.shares.values())) for knot in child])
        moved = [Fraction(totals.at(k, step + 1) - totals.at(k, step), totals.denominator) for k in range(4)]
        assert moved == list(child[-1].shares.values())
        mix = child


def test_members_of_a_population_differ_in_the_mix_alone() -> None:
    found = populations(trials(small_study(mixes=GRID, seeds=[0, 1], axes={"training.loss.temperature": [0.05, 0.1]})))
    assert [len(members) for members in found] == [3, 3, 3, 3]
    for members in found:
        assert len({(member.seed, repr(member.overrides)) for member in members}) == 1


def test_what_was_found_is_known_again(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    study = small_study(
        mixes=GRID, scheduler=POPULATION, run=_run(training={"validation": {"every": 10, "keep": "last"}})
    )
    (members,) = populations(trials(study))
    assert known_trials(study, store, members) is None
    last = [with_mix(member, shifted(member.mix, 20, TENTH, ["mono", "cross"], random.Random(1))) for member in members]
    write_found(store, population_identity(study.scheduler, members), last)  # type: ignore[arg-type]
    assert known_trials(study, store, members) == last
    searching = small_study(search={"suggestions": 3})
    suggested = [with_mix(trials(searching)[0], last[0].mix)]
    write_found(store, search_identity(searching), suggested)
    assert known_trials(searching, store, trials(searching)) == [*trials(searching), *suggested]


def _run(**parts: dict[str, Any]) -> dict[str, Any]:
    run = small_fields()["run"]
    return run | {name: run.get(name, {}) | fields for name, fields in parts.items()}


def test_a_stopped_trial_is_over_only_for_the_scheduler_that_stopped_it(tmp_path: Path) -> None:
    store, (trial, _) = open_store(tmp_path), trials(small_study())
    asha = Ledger(store, {"scheduler": "asha", "grace_steps": 4})
    asha.write_stopped(trial, 4, [(4, {"multi": {"mAP": 0.25}})])
    entry = asha.entry(trial)
    assert entry is not None and (entry.status, entry.steps, entry.evaluations) == ("stopped", 4, {})
    assert figures(entry.validations[0][1]) == {"multi.mAP": 0.25, "mean.mAP": 0.25}
    assert Ledger(store, None).entry(trial) is None
    assert Ledger(store, {"scheduler": "asha", "grace_steps": 8}).entry(trial) is None


def test_figures_are_named_as_measures_are() -> None:
    record = {"mono": {"mAP": 0.5, "R@1": 0.1}, "multi": {"mAP": 0.3, "R@1": 0.3}, "rank_distance": 12.0, "step": 4}
    assert figures(record) == {
        "mono.mAP": 0.5, "mono.R@1": 0.1, "multi.mAP": 0.3, "multi.R@1": 0.3,
        "mean.mAP": 0.4, "mean.R@1": 0.2, "rank_distance": 12.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"scheduler": {"scheduler": "asha", "grace_steps": 4}, "run": _run(data={"validation": None})}, "validations"),
        ({"scheduler": {"scheduler": "asha", "grace_steps": 0}}, "grace_steps"),
        ({"scheduler": {"scheduler": "asha", "grace_steps": 4, "measure": "mAP"}}, "setting and a measure"),
        ({"scheduler": {"scheduler": "asha", "grace_steps": 4, "measure": "multi.mPA"}}, "unknown measure 'multi.mPA'"),
        ({"analysis": {"measures": ["bias.mAP"], "objectives": []}}, "unknown measure 'bias.mAP'"),
        ({"analysis": {"measures": ["mono.mAP"]}}, "none of the measures"),
        ({"analysis": {"costs": {"queries_per_second": "more"}}}, "evaluation.throughput"),
        ({"axes": {"training.workers": [1, 2]}}, "cannot be an axis"),
        ({"search": {"suggestions": 4}, "axes": {"training.steps": [1, 2]}}, "leave the axes out"),
        ({"search": {"suggestions": 4, "denominator": 1}}, "fewer than 4 suggestions"),
        ({"scheduler": POPULATION, "search": {"suggestions": 4}}, "keep one of the two"),
        ({"scheduler": POPULATION | {"interval": 6}}, "multiple of training.validation.every"),
        ({"scheduler": POPULATION, "run": _run(training={"validation": {"every": 4}})}, "keep: last"),
        ({"scheduler": POPULATION | {"shift": "1/3"}}, "not a multiple of 3"),
        ({"scheduler": POPULATION, "mixes": [{"design": "list", "mixes": [{"mono": 1}]}]}, "two mixes or more"),
        ({"run": _run(data={"evaluation": {}})}, "data.evaluation: empty"),
    ],
)
def test_mistakes_are_refused_in_one_line_before_anything_starts(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        check_study(small_study(**fields))
    assert "\n" not in str(caught.value)


def test_a_mix_that_does_not_fit_is_named_with_its_trial() -> None:
    alone = _run(data={"languages": ["de"]})
    with pytest.raises(ConfigError, match="trial cross 1, seed 0: arm mix: "):
        check_study(small_study(run=alone))


def test_check_says_how_many_trials() -> None:
    lines = check_study(small_study(seeds=[0, 1], search={"suggestions": 5}))
    assert lines[0] == "study small: valid, 4 trials, and up to 5 that are searched for"


def test_settings_survive_being_stored() -> None:
    for fields in (
        {"scheduler": POPULATION},
        {"search": {"suggestions": 4, "objectives": ["mono.mAP", "rank_distance"]}},
    ):
        study = small_study(**fields)
        assert small_study(**to_plain(study)) == study
