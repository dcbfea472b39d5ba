"""Token ids of the training groups in a run: made once for all encoders with one tokenizer, where they pay."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from end_to_end.small_job import job_fields
from object_stores.servers import BUCKET, CREDENTIALS, moto_server

from cluster.config import build_config, with_overrides
from jobs.config import RunConfig, result_deciding
from jobs.stages import Stages
from retrieval.group_tokens import open_group_tokens
from retrieval.groups import open_groups
from trainer.feed.stream import BatchMaker

ALWAYS = "training.feed.token_cache=always"


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> dict:
    return job_fields(tmp_path_factory.mktemp("job"))


def stages_of(fields: dict, *overrides: str) -> Stages:
    return Stages(build_config(RunConfig, with_overrides(fields, list(overrides))))


def cache_name(stages: Stages) -> str:
    assert stages.token_cache is not None
    return stages.token_cache.name


def test_encoders_with_one_tokenizer_share_their_cache_and_keep_their_names(fields: dict) -> None:
    one = stages_of(fields, ALWAYS)
    name = cache_name(one)
    assert name == cache_name(stages_of(fields, ALWAYS, "seed=3", "encoder.fresh.seed=3", "encoder.fresh.layers=2"))
    assert one.start.name != stages_of(fields, ALWAYS, "encoder.fresh.seed=3").start.name
    assert name != cache_name(stages_of(fields, ALWAYS, "encoder.max_passage_tokens=40"))
    assert name != cache_name(stages_of(fields, ALWAYS, "encoder.query_prefix=Ask"))
    assert name != cache_name(stages_of(fields, ALWAYS, "revision=b"))
    choices = [stages_of(fields, f"training.feed.token_cache={choice}") for choice in ("auto", "always", "never")]
    assert len({stages.trained_name("hybrid") for stages in choices}) == 1
    assert all("token_cache" not in result_deciding(stages.config.training)["feed"] for stages in choices)
    assert choices[2].token_cache is None and choices[2].train_spec("hybrid").feed.cache is None


def test_groups_with_mined_negatives_have_a_cache_of_their_own(fields: dict) -> None:
    mined = ("mining={arm: untrained, per_language: 2, depth: 200, ceiling: 1}", "training.feed.hard_negatives=2")
    plain, other = stages_of(fields, ALWAYS), stages_of(fields, ALWAYS, *mined)
    assert cache_name(plain) != cache_name(other)
    spec = other.train_spec("hybrid").feed
    without = dataclasses.replace(spec, cache=None)
    assert spec.cache is not None and spec.cache.sources[0].has_negatives
    for found, expected in zip(
        BatchMaker(spec, 0, 1).make_all([0, 1]), BatchMaker(without, 0, 1).make_all([0, 1]), strict=True
    ):
        assert not found.local.passage_positive.all()
        for one, same in zip(found.local.inputs, expected.local.inputs, strict=True):
            np.testing.assert_array_equal(one, same)


def test_it_is_made_where_the_arms_draw_more_than_there_is_and_found_where_it_is(fields: dict, tmp_path: Path) -> None:
    kept = fields | {"root": str(tmp_path / "root")}
    # 120 groups in 4 languages: 480 pairs. Two arms of 14 steps draw 448 of them, of 15 steps 480.
    few, enough = ("training.steps=14", "training.checkpoint.every=5"), ("training.steps=15",)
    assert stages_of(kept, *few).token_cache is None
    assert not (tmp_path / "root" / "tokens").exists()
    name = cache_name(stages_of(kept, *enough))
    assert cache_name(stages_of(kept, *few)) == name
    assert stages_of(kept, *few).train_spec("X-X").feed.cache is not None


def test_another_machine_fetches_it_from_its_bucket(
    fields: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MIXLINGUAL_STORAGE_CACHE", str(tmp_path / "one"))
    with moto_server() as url:
        stages = stages_of(fields | {"root": f"s3://{BUCKET}/tokens?endpoint={url}"}, ALWAYS)
        spec = stages.train_spec("hybrid").feed
        expected = BatchMaker(spec, 1, 2).make(3).local
        shutil.rmtree(tmp_path / "one")
        monkeypatch.setenv("MIXLINGUAL_STORAGE_CACHE", str(tmp_path / "other"))
        found = BatchMaker(spec, 1, 2).make(3).local
    assert list((tmp_path / "other").rglob("*.ids.npy")) and not (tmp_path / "one").exists()
    for one, same in zip(found.inputs, expected.inputs, strict=True):
        np.testing.assert_array_equal(one, same)


def test_it_holds_what_the_tokenizer_gives(fields: dict) -> None:
    stages = stages_of(fields, ALWAYS)
    spec = stages.train_spec("hybrid").feed
    assert stages.token_cache is not None
    cache, groups = open_group_tokens(stages.token_cache), open_groups(stages.groups)
    source, languages = cache.source(0), groups.sources[0].languages
    for row, group in enumerate(groups.sources[0].iter_groups()):
        texts = [
            text for language in languages for text in (group.pairs[language].query, group.pairs[language].passage)
        ]
        roles = ("query", "passage") * len(languages)
        expected = [spec.tokens.encode([text], role)[0] for text, role in zip(texts, roles, strict=True)]  # type: ignore[arg-type]
        found = source.texts(np.full(len(texts), row), np.arange(len(texts)))
        assert [one.tolist() for one in found] == [one.tolist() for one in expected]
