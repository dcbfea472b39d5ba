"""`mixlingual index` over a small collection, against looking at every passage."""

import json
from pathlib import Path

import numpy as np
import pytest
from end_to_end.small_job import write_job

from cluster.config import load_config
from jobs.cli import main
from jobs.config import RunConfig
from jobs.encoding import encode_query, read_collection_vectors
from jobs.stages import Stages
from retrieval.evaluate import read_evaluation
from trainer.worker import ENCODER_FOLDER

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_job(tmp_path_factory.mktemp("job"))


def asked(capsys: pytest.CaptureFixture[str], job: Path, *arguments: str) -> dict:
    assert main(["index", *arguments, "--config", str(job), "--arm", "untrained", "--json", "search.shards=2"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_question_finds_what_comparing_with_every_passage_finds(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = Stages(load_config(RunConfig, job, []))
    collection = stages.collection("test")
    text, language = collection.query_texts[0], collection.languages[collection.query_language[0]]
    question = ["--question", text, "--language", language, "-k", "7"]
    hits = asked(capsys, job, "search", *question)["hits"]

    vector = encode_query(stages.encoder("untrained").folder / ENCODER_FOLDER, text, language, stages.config.evaluation)
    _, passages = read_collection_vectors(stages.vectors("untrained", "test").folder)
    scores = (passages.astype(np.float64) @ vector[0].astype(np.float64)).astype(np.float32)
    best = np.argsort(-scores, kind="stable")[:7]
    assert [hit["id"] for hit in hits] == [collection.passage_ids[row] for row in best]
    assert [hit["rank"] for hit in hits] == list(range(1, 8))
    np.testing.assert_array_equal(np.float32([hit["score"] for hit in hits]), scores[best])

    other = collection.languages[-1]
    inside = asked(capsys, job, "search", *question, "--languages", other)["hits"]
    rows = [
        row
        for row in np.argsort(-scores, kind="stable")
        if collection.passage_language[row] == len(collection.languages) - 1
    ]
    assert [hit["id"] for hit in inside] == [collection.passage_ids[row] for row in rows[:7]]
    assert {hit["language"] for hit in inside} == {other}


def test_an_index_is_built_and_timed(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    built = asked(capsys, job, "build", "index.kind=sq8")
    assert built["kind"] == "sq8" and built["shards"] == 2
    assert len(list((job.parent / "root" / built["index"]).rglob("*.faiss"))) == 3
    figures = asked(capsys, job, "bench", "-k", "3", "index.kind=sq8")
    assert figures["k"] == 3 and 0 < figures["p50_ms"] <= figures["p99_ms"] and figures["recoveries"] == 0


def test_an_evaluation_searches_the_shards(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", "--config", str(job), "--arm", "untrained", "--json"]
    assert main([*command, "--engine", "faiss", "search.shards=2"]) == 0
    found = read_evaluation(Path(json.loads(capsys.readouterr().out)["folders"][0]))
    assert main(command) == 0
    expected = read_evaluation(Path(json.loads(capsys.readouterr().out)["folders"][0]))
    for name in ("R@10", "P@10", "nDCG@10", "S@1"):
        same = found.per_query[name].to_numpy() == expected.per_query[name].to_numpy()
        assert same.mean() > 0.98, name
    assert "mAP" not in found.per_query.column_names and "MRR@100" in found.per_query.column_names


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["build", "--arm", "none"], "--arm: there is no 'none'; there are X-X, hybrid, untrained"),
        (["build", "--on", "none"], "--on: there is no 'none'; there are test"),
        (["build"], "arm X-X is not trained"),
        (["build", "index.kind=ivf", "index.lists=4", "index.probes=9"], "probes 9 exceed lists 4"),
        (
            ["search", "--arm", "untrained", "--question", "a", "--language", "de", "--languages", "xx"],
            "no passages in 'xx'",
        ),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    job: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert main(["index", *arguments, "--config", str(job)]) == 2
    said = capsys.readouterr()
    assert line in said.err and not said.out
