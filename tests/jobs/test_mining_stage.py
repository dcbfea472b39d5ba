"""Mined negatives in a run: mined once, out of the training groups alone, and trained on under a name of their own."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from end_to_end.small_job import job_fields

from cluster.config import build_config, with_overrides
from cluster.errors import ConfigError
from jobs.config import RunConfig
from jobs.stages import Stages
from retrieval.encode import encode_texts
from retrieval.encoder.folder import load_encoder
from retrieval.groups import open_groups
from retrieval.mining.corpus import corpus_of
from trainer.worker import ENCODER_FOLDER

MINED = ("mining={arm: untrained, per_language: 2, depth: 200, ceiling: 1}", "training.feed.hard_negatives=2")


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> dict:
    return job_fields(tmp_path_factory.mktemp("job"))


def stages_of(fields: dict, *overrides: str) -> Stages:
    return Stages(build_config(RunConfig, with_overrides(fields, list(overrides))))


def test_negatives_are_the_best_that_do_not_answer(fields: dict) -> None:
    stages = stages_of(fields, *MINED)
    mined = open_groups(stages.training_groups)
    corpus = corpus_of(open_groups(stages.groups).iter_groups(), mined.languages)
    encoder, tokens = load_encoder(stages.start.folder / ENCODER_FOLDER)
    groups = list(mined.iter_groups())
    assert [one.id for one in groups] == [one.id for one in open_groups(stages.groups).iter_groups()]
    for group in groups[::17]:
        answers = corpus.answers(group)
        for number, language in enumerate(mined.languages):
            if language not in group.pairs:
                continue
            passages = encode_texts(
                encoder, tokens, corpus.texts[number], "passage", [language] * len(corpus.texts[number])
            )
            asked = sorted(group.pairs)
            queries = encode_texts(encoder, tokens, [group.pairs[code].query for code in asked], "query", asked)
            scores = queries @ passages.T
            own = corpus.row(number, group.pairs[language].passage) - corpus.bounds[number]
            allowed = (scores <= scores[:, own : own + 1] + 1e-6).all(0)
            allowed[
                [row - corpus.bounds[number] for row in answers if 0 <= row - corpus.bounds[number] < len(allowed)]
            ] = False
            best = np.sort(np.where(allowed, scores.max(0), -np.inf))[::-1]
            found = [scores[:, corpus.texts[number].index(text)].max() for text in group.pairs[language].negatives]
            assert len(found) == min(2, allowed.sum())
            np.testing.assert_allclose(found, best[: len(found)], atol=2e-6)


def test_mined_groups_are_found_again_and_give_encoders_another_name(fields: dict) -> None:
    plain, mined = stages_of(fields), stages_of(fields, *MINED)
    assert plain.training_groups.name == plain.groups.name
    assert mined.training_groups.name == stages_of(fields, *MINED).training_groups.name != plain.groups.name
    assert mined.trained_name("hybrid") != plain.trained_name("hybrid")
    assert mined.start.name == plain.start.name
    more = stages_of(fields, *MINED, "mining.per_language=3")
    assert more.training_groups.name != mined.training_groups.name
    assert len(list((Path(fields["root"]) / "vectors").iterdir())) == 1, "passages are encoded once for both"
    document = json.loads(mined.training_groups.path("groups.json").read_text(encoding="utf-8"))
    assert document["mined"]["negatives"] > 0


@pytest.mark.ray
def test_several_shards_mine_the_same(fields: dict) -> None:
    one, two = stages_of(fields, *MINED), stages_of(fields, *MINED, "search.shards=2", "mining.depth=199")
    for first, second in zip(
        open_groups(one.training_groups).iter_groups(), open_groups(two.training_groups).iter_groups(), strict=True
    ):
        assert first.pairs == second.pairs


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["mining={arm: none}", "training.feed.hard_negatives=1"],
            "mining.arm: there is no 'none'; there are X-X, hybrid",
        ),
        (["mining={arm: hybrid}"], "training.feed.hard_negatives is 0"),
        (["mining={arm: hybrid, ceiling: 0}", "training.feed.hard_negatives=1"], "mining.ceiling"),
    ],
)
def test_mining_that_cannot_be_is_one_line(fields: dict, overrides: list[str], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        stages_of(fields, *overrides)


@pytest.mark.ray
def test_a_run_mines_with_an_arm_and_trains_on_what_it_mined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from jobs.cli import main

    path = tmp_path / "run.yaml"
    fields = job_fields(tmp_path) | {"arms": {"hybrid": {"mono": 0.5, "cross": 0.5}}}
    path.write_text(yaml.safe_dump(fields, allow_unicode=True), encoding="utf-8")
    options = [
        "--config",
        str(path),
        "--json",
        "mining={arm: hybrid}",
        "training.feed.hard_negatives=1",
        "training.steps=4",
    ]
    assert main(["train", *options]) == 0
    trained = json.loads(capsys.readouterr().out)["folders"]
    assert len(trained) == 1
    about = json.loads((Path(trained[0]) / "manifest.json").read_text(encoding="utf-8"))["about"]
    encoders = [
        folder for folder in (tmp_path / "root" / "encoders").iterdir() if (folder / "telemetry.jsonl").exists()
    ]
    assert len(encoders) == 2, "the one that mined, and the one trained on what it mined"
    mined = open_groups(tmp_path / "root" / about["groups"])
    assert all(source.has_negatives for source in mined.sources)
