"""Encoder configurations: what is accepted, and one-line errors for the rest."""

import subprocess
import sys

import pytest

from cluster.config import build_config, to_plain
from cluster.errors import ConfigError
from retrieval.encoder import EncoderConfig


def test_a_configuration_survives_its_plain_form() -> None:
    config = build_config(EncoderConfig, {"fresh": {"layers": 2}, "projection": 16, "pooling": "cls"})
    assert build_config(EncoderConfig, to_plain(config)) == config


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "exactly one of name_or_path"),
        ({"name_or_path": "x", "fresh": {}}, "not both"),
        ({"fresh": {}, "revision": "main"}, "revision belongs to a hub model"),
        ({"fresh": {"hidden": 30, "heads": 4}}, "hidden 30 is not a multiple of heads 4"),
        ({"fresh": {}, "pooling": "max"}, "pooling"),
        ({"fresh": {}, "max_query_tokens": 4}, "max_query_tokens"),
        ({"fresh": {}, "dropout": 1.0}, "dropout"),
        ({"fresh": {"layer": 2}}, "did you mean 'layers'?"),
        ({"name_or_path": "x", "trust_remote_code": True}, "trust_remote_code: unknown key"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(fields: dict, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_config(EncoderConfig, fields, where="run.yaml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_configurations_load_without_torch_and_transformers() -> None:
    code = "import sys, retrieval.encoder; print({'torch', 'transformers', 'tokenizers'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
