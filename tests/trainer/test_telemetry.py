"""Telemetry: lines of plain JSON that survive a checkpoint, and evaluations in brief."""

import base64
import json
import math
import random
import zlib
from pathlib import Path

import numpy as np
import pytest

from retrieval.evaluate import evaluate_vectors
from retrieval.records import Group, Pair, collection_from_groups
from trainer.telemetry import FILE, Telemetry, brief


def test_records_are_lines_of_json_and_go_on_after_a_checkpoint(tmp_path: Path) -> None:
    first = Telemetry()
    first.add("step", 1, loss=2.5, kind="mono", source="größe")
    first.add("validation", 1, multi={"mAP": 0.5}, rank_distance=3.0)
    resumed = Telemetry(json.loads(json.dumps(first.state())))
    resumed.add("step", 2, loss=2.25, kind="cross", source="größe")
    resumed.write(tmp_path / FILE)
    lines = (tmp_path / FILE).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"event": "step", "step": 1, "loss": 2.5, "kind": "mono", "source": "größe"},
        {"event": "validation", "step": 1, "multi": {"mAP": 0.5}, "rank_distance": 3.0},
        {"event": "step", "step": 2, "loss": 2.25, "kind": "cross", "source": "größe"},
    ]
    assert len(list(first.lines())) == 2, "a resumed record does not reach back"


def test_a_long_run_is_kept_small_and_whole(tmp_path: Path) -> None:
    draw = random.Random(0)
    long, expected = Telemetry(), []
    for step in range(1, 5001):
        values = {"loss": draw.random(), "grad_norm": draw.random(), "kind": draw.choice(["mono", "cross", "multi"])}
        long.add("step", step, **values)
        expected.append({"event": "step", "step": step} | values)
        if step % 700 == 0:
            long = Telemetry(json.loads(json.dumps(long.state())))
    long.write(tmp_path / FILE)
    assert list(map(json.loads, (tmp_path / FILE).read_text().splitlines())) == expected
    assert list(map(json.loads, long.lines())) == expected
    assert len(json.dumps(long.state())) < len((tmp_path / FILE).read_bytes()) / 2


def test_a_damaged_or_endless_block_is_refused() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(64 << 20))).decode()
    for block in ("no base64!", "AAAA", bomb, bomb[: len(bomb) // 8 * 4]):
        with pytest.raises(ValueError):
            list(Telemetry([block]).lines())


def test_figures_that_do_not_exist_are_null() -> None:
    telemetry = Telemetry()
    telemetry.add("step", 1, loss=math.nan, grad_norm=math.inf, mono={"mAP": -math.inf, "R@1": 1.0})
    assert json.loads(telemetry.state()[0], parse_constant=pytest.fail) == {
        "event": "step",
        "step": 1,
        "loss": None,
        "grad_norm": None,
        "mono": {"mAP": None, "R@1": 1.0},
    }


def groups(languages: tuple[str, ...]) -> list[Group]:
    return [Group(f"g/{row}", {code: Pair(f"q{row}{code}", f"p{row}{code}") for code in languages}) for row in range(4)]


def test_an_evaluation_in_brief() -> None:
    collection = collection_from_groups("test", groups(("de", "en")), ("de", "en"))
    # A vector per group: every query finds the passages of its group first, German ahead by its row.
    of_group = np.eye(4, dtype=np.float32)[np.tile(np.arange(4), 2)]
    record = brief(evaluate_vectors(collection, of_group, of_group, resamples=2).summary)
    assert record.keys() == {"mono", "cross", "multi", "rank_distance"}
    assert all(record[setting]["mAP"] == 1.0 for setting in ("mono", "cross", "multi"))
    assert record["rank_distance"] == 1.0
    assert json.loads(json.dumps(record)) == record


def test_one_language_has_no_rank_distance() -> None:
    collection = collection_from_groups("test", groups(("en",)), ("en",))
    vectors = np.eye(4, dtype=np.float32)
    record = brief(evaluate_vectors(collection, vectors, vectors, resamples=2).summary)
    assert record.keys() == {"mono", "multi"}
