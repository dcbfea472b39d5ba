"""Every reader under hypothesis: whole files are read, damaged ones read or refused by one of our errors in one line."""

import random
from pathlib import Path

import pytest
from fuzz.mutations import mutated
from fuzz.targets import Target, all_targets, execute
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TARGETS = all_targets()
DEAREST = 100
"""Readers that cost more than this have files of their own for atheris, and fewer examples here."""


@pytest.fixture(scope="module", params=list(TARGETS))
def target(request: pytest.FixtureRequest) -> Target:
    return TARGETS[request.param]


@pytest.fixture(scope="module")
def folder(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(target.name)


REFUSED_SEEDS = {"zip", "tar"}
"""Archives with members that would leave their folder are among the seeds."""


def test_whole_files_are_read(target: Target, folder: Path) -> None:
    taken = [execute(target, seed, folder) for seed in target.seeds()]
    assert taken[0] and (all(taken) or target.name in REFUSED_SEEDS)


def test_damaged_files_are_read_or_refused(target: Target, folder: Path) -> None:
    seeds = list(target.seeds())
    examples = 25 if target.cost <= DEAREST else 4

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(seed=st.sampled_from(seeds), dice=st.integers(0, 2**32 - 1))
    def damaged(seed: bytes, dice: int) -> None:
        execute(target, mutated(seed, random.Random(dice)), folder)

    damaged()


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.cost <= DEAREST])
def test_any_bytes_are_read_or_refused(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp(name)

    @settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(data=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode(errors="surrogatepass")))
    def anything(data: bytes) -> None:
        execute(TARGETS[name], data, place)

    anything()
