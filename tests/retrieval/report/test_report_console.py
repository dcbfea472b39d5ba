"""The table on the terminal: aligned whatever the names are made of, and never wider than 120 columns."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.errors import DataError
from retrieval.report import Arm, console_table
from retrieval.report.inputs import read_summary
from retrieval.report.measures import number
from retrieval.report.text import columns


def test_a_row_by_hand(arms: list[Arm]) -> None:
    table = console_table(arms, "xquad_r")
    summary = read_summary(arms[2].evaluations["xquad_r"])
    (row,) = [line for line in table.splitlines() if line.startswith("hybrid")]
    shown = [word.rstrip("*~") for word in row.split("cross 1/2")[1].split()]
    wanted = [summary.settings[s][m].mean for s in ("mono", "cross", "multi") for m in ("mAP", "R@1", "R@10")]
    assert shown == [number(value) for value in [*wanted, summary.bias["rank_distance"]["mean"]]]
    names = [line.split()[0] for line in table.splitlines()[5:10]]
    assert names == ["X-X", "X-Y", "hybrid", "BM25", "untrained"]


@pytest.mark.parametrize(
    "names", [("a", "b"), ("混合訓練モデル・長い名前", "b"), ("a", "e\u0301" * 30), ("\u202eevil", "عربي\n")]
)
def test_columns_stand_under_one_another(
    tmp_path: Path, write_run: Callable[..., list[Arm]], names: tuple[str, str]
) -> None:
    mix = {"mono": "123/1000", "cross": "345/1000", "multi": "532/1000"}
    arms = write_run()
    arms = [
        dataclasses.replace(arms[0], name=names[0], mix=mix),
        dataclasses.replace(arms[1], name=names[1]),
        *arms[2:],
    ]
    lines = console_table(arms, "tiny").splitlines()
    assert max(map(columns, lines)) <= 120
    numbers = lines[5:10]
    assert len({columns(line.rstrip("*~")) for line in numbers}) == 1  # the last column ends in one place
    assert not [character for line in lines for character in line if not character.isprintable()]


def test_the_best_and_what_is_not_distinguishable_are_marked(arms: list[Arm]) -> None:
    lines = console_table(arms, "xquad_r").splitlines()
    assert any("*" in line for line in lines[5:8]) and any("~" in line for line in lines[5:8])
    assert "*" not in lines[9] and "~" not in lines[9]
    assert "not distinguishable" in lines[-1]


def test_an_unknown_collection_names_the_known_ones(arms: list[Arm]) -> None:
    with pytest.raises(DataError, match="'mlqa_r'; there is xquad_r, atlas_test"):
        console_table(arms, "mlqa_r")


def test_an_arm_without_the_collection_has_dashes(arms: list[Arm]) -> None:
    one = dataclasses.replace(arms[0], evaluations={"atlas_test": arms[0].evaluations["atlas_test"]})
    (row,) = [line for line in console_table([one, *arms[1:]], "xquad_r").splitlines() if line.startswith("X-X")]
    assert row.split()[2:] == ["–"] * 10
