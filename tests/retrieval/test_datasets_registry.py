"""Data sets by name, alone and as a field of other configurations."""

import re
from pathlib import Path
from typing import Any

import pytest

from cluster.config import Config, build_config, to_plain
from cluster.errors import ConfigError, DataError
from retrieval.datasets import (
    AnyDataset,
    content_fingerprints,
    dataset_label,
    in_all_languages,
    parse_dataset,
    read_collection,
    require_inputs,
)
from retrieval.datasets.generic import GenericConfig
from retrieval.datasets.squad_parallel import SquadParallelConfig

FIXTURES = Path(__file__).parent / "fixtures"


class Outer(Config):
    """A configuration that holds data sets of any kind."""

    train: tuple[AnyDataset, ...]
    validation: AnyDataset | None = None


def test_a_data_set_is_found_by_name_and_stored_whole() -> None:
    fields = {"dataset": "squad_parallel", "languages": ["en", "es"], "split": "test"}
    config = parse_dataset(fields)
    assert isinstance(config, SquadParallelConfig)
    assert config.languages == ("en", "es")
    outer = build_config(Outer, {"train": [fields], "validation": config})
    assert outer.train == (config,)
    assert outer.validation is config
    assert to_plain(outer)["train"][0]["held_out_articles"] == "8"
    assert build_config(Outer, to_plain(outer)) == outer


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ({"split": "test"}, "train.0.dataset: missing; name one of the data sets: "),
        (
            {"dataset": "squad_paralel"},
            "train.0.dataset: unknown data set; did you mean 'squad_parallel'? known: ",
        ),
        ({"dataset": 5}, "train.0.dataset: unknown data set; known: "),
        ("xquad_r", "train.0: must be a mapping such as {dataset: squad_parallel}; known data sets: "),
        (
            {"dataset": "xquad_r", "split": "test"},
            "train.0.split: unknown key; known here: dataset, excerpt, languages",
        ),
        ({"dataset": "xquad_r", "language": ["en"]}, "train.0.language: unknown key; did you mean 'languages'?"),
        (
            {"dataset": "squad_train", "split": "dev"},
            "train.0.split: Input should be 'train', 'validation', 'test' or 'all' (found 'dev')",
        ),
        ({"dataset": "generic", "path": "x", "wide": {"en": {"query": "q"}}}, "train.0.wide.en.passage: missing"),
        ({"dataset": "generic", "path": "x"}, "train.0: give either wide"),
    ],
)
def test_errors_name_the_field_and_what_is_known(train: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"run.yaml: {said}")) as refusal:
        build_config(Outer, {"train": [train]}, where="run.yaml")
    assert "\n" not in str(refusal.value)
    with pytest.raises(ConfigError, match=re.escape("data set: ")):
        parse_dataset(train)


def test_a_configuration_that_is_no_data_sets_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.0: must be a mapping"):
        build_config(Outer, {"train": [Outer(train=())]})


def test_the_label_is_the_name_or_the_users_own() -> None:
    assert dataset_label(SquadParallelConfig()) == "squad_parallel"
    config = build_config(GenericConfig, {"path": "x.jsonl", "name": "help", "long": {}})
    assert dataset_label(config) == "help"


def test_in_all_languages_widens_the_choice() -> None:
    config = SquadParallelConfig(languages=("en",), split="test")
    assert in_all_languages(config) == SquadParallelConfig(split="test")


def test_inputs_that_are_not_there_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    require_inputs(parse_dataset({"dataset": "squad_parallel", "path": FIXTURES / "squad_parallel"}))
    for fields, said in [
        ({"dataset": "squad_train", "path": tmp_path / "gone"}, "gone: no such folder"),
        ({"dataset": "squad_parallel", "path": FIXTURES / "squad_parallel", "languages": ["fr"]}, "no language 'fr'"),
        ({"dataset": "generic", "path": tmp_path / "gone.jsonl", "long": {}}, "gone.jsonl: no such file"),
    ]:
        for check in (require_inputs, content_fingerprints):
            with pytest.raises(DataError, match=re.escape(said)):
                check(parse_dataset(fields))


def test_a_data_set_without_files_is_fingerprinted_by_its_groups() -> None:
    few = content_fingerprints(parse_dataset({"dataset": "atlas", "languages": ["en"], "limit": 3}))
    assert few == content_fingerprints(parse_dataset({"dataset": "atlas", "languages": ["en"], "limit": 3}))
    assert few != content_fingerprints(parse_dataset({"dataset": "atlas", "languages": ["en"], "limit": 4}))


def test_collections_are_in_normal_form_and_refuse_empty_queries(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    fields = {"dataset": "generic", "path": path, "long": {}}
    line = '{"id": %d, "language": "en", "query": "%s", "passage": "%s"}\n'
    path.write_text(line % (1, "Wo  ist\\u0007 Zu\\u0308rich?", "Zu\\u0308rich \\u3000 liegt hier."), encoding="utf-8")
    collection = read_collection(parse_dataset(fields))
    assert collection.query_texts == ["Wo ist Zürich?"]
    assert collection.passage_texts == ["Zürich liegt hier."]
    path.write_text(line % (1, "\\u200b ", "Hier."), encoding="utf-8")
    with pytest.raises(DataError, match="generic: query generic/1 is empty"):
        read_collection(parse_dataset(fields))


def test_files_of_one_name_in_different_folders_all_count_in_the_fingerprint(tmp_path: Path) -> None:
    for language in ("de", "tr"):
        (tmp_path / language).mkdir()
        (tmp_path / language / "test.jsonl").write_text(f'{{"id": "1", "sentences": ["{language}"]}}', encoding="utf-8")
    found = content_fingerprints(parse_dataset({"dataset": "xflickrco", "path": tmp_path, "excerpt": True}))
    assert sorted(found) == ["de/test.jsonl", "tr/test.jsonl"]
