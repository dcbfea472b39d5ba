"""Fresh encoders: the same everywhere for the same texts and seed, and independent of everything else."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cluster.errors import DataError
from retrieval.encoder.config import EncoderConfig, FreshConfig
from retrieval.encoder.dual import DualEncoder
from retrieval.encoder.folder import build_encoder
from retrieval.encoder.fresh import sample_texts
from retrieval.records import Group, Pair

FRESH = FreshConfig(layers=2, hidden=32, heads=2, intermediate=48, vocabulary=400, seed=5)
CONFIG = EncoderConfig(fresh=FRESH, projection=16)
M2M100 = EncoderConfig(fresh=FRESH.model_copy(update={"architecture": "m2m100"}), projection=16)


def weights_name(encoder: DualEncoder) -> str:
    digest = hashlib.sha256()
    for name, tensor in encoder.state_dict().items():
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("config", [CONFIG, M2M100], ids=["xlm_roberta", "m2m100"])
def test_another_process_builds_the_same_encoder(tmp_path: Path, config: EncoderConfig, texts: list[str]) -> None:
    encoder, tokens = build_encoder(config, texts * 3)
    script = (
        "import json, sys\n"
        "from retrieval.encoder.folder import build_encoder, save_encoder\n"
        "from retrieval.encoder.config import EncoderConfig\n"
        "texts, fields, folder = json.load(sys.stdin)\n"
        "save_encoder(folder, *build_encoder(EncoderConfig(**fields), texts))\n"
    )
    subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps([texts * 3, config.model_dump(), str(tmp_path)]),
        env={**os.environ, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "2", "TOKENIZERS_PARALLELISM": "true"},
        text=True,
        check=True,
    )
    from retrieval.encoder.folder import load_encoder

    other, other_tokens = load_encoder(tmp_path)
    assert other_tokens.fingerprint == tokens.fingerprint
    assert weights_name(other) == weights_name(encoder)
    assert type(other.backbone) is type(encoder.backbone)


def test_a_fresh_m2m100_reads_the_language_of_each_text(texts: list[str]) -> None:
    encoder, tokens = build_encoder(M2M100.model_copy(update={"dropout": 0.25, "attention": "eager"}), texts)
    backbone = encoder.backbone.config
    assert type(encoder.backbone).__name__ == "M2M100Encoder" and tokens.marks_languages
    assert (backbone.encoder_layers, backbone.d_model, backbone.encoder_ffn_dim) == (2, 32, 48)
    assert (backbone.dropout, backbone.attention_dropout, backbone.encoder_layerdrop) == (0.25, 0.25, 0.0)
    assert backbone.vocab_size == tokens.vocabulary_size > 100  # 100 of them are languages
    german, english = tokens.encode(["Wo?", "Wo?"], "query", ["de", "eng_Latn"])
    assert german[0] != english[0] and german[1:].tolist() == english[1:].tolist()
    vectors = encoder(**{key: torch.from_numpy(ids) for key, ids in tokens.pad([german, german, english]).items()})
    torch.testing.assert_close(vectors[0], vectors[1])
    assert not torch.allclose(vectors[0], vectors[2])


def test_weights_follow_the_seed_and_leave_the_global_state_alone(texts: list[str]) -> None:
    torch.manual_seed(1)
    first, _ = build_encoder(CONFIG, texts)
    after_building = torch.rand(3)
    torch.manual_seed(1)
    torch.testing.assert_close(torch.rand(3), after_building)
    again, _ = build_encoder(CONFIG, texts)
    assert weights_name(again) == weights_name(first)
    other_seed = CONFIG.model_copy(update={"fresh": FRESH.model_copy(update={"seed": 6})})
    assert weights_name(build_encoder(other_seed, texts)[0]) != weights_name(first)


def test_the_encoder_has_the_shape_asked_for(texts: list[str]) -> None:
    config = CONFIG.model_copy(update={"dropout": 0.25, "max_passage_tokens": 600, "attention": "eager"})
    encoder, tokens = build_encoder(config, texts)
    backbone = encoder.backbone.config
    assert (backbone.num_hidden_layers, backbone.hidden_size, backbone.intermediate_size) == (2, 32, 48)
    assert (backbone.hidden_dropout_prob, backbone.attention_probs_dropout_prob) == (0.25, 0.25)
    assert backbone.vocab_size == tokens.vocabulary_size <= 400
    assert backbone._attn_implementation == "eager"
    assert encoder.dimension == 16 and not encoder.training
    ids = tokens(["word " * 2000], "passage")
    assert ids["input_ids"].shape == (1, 600)
    encoder(**{name: torch.from_numpy(array) for name, array in ids.items()})  # 600 positions are there


def test_checkpointing_changes_no_gradient(texts: list[str]) -> None:
    gradients = []
    for checkpointing in (False, True):
        config = CONFIG.model_copy(update={"dropout": 0.0, "gradient_checkpointing": checkpointing})
        encoder, tokens = build_encoder(config, texts)
        encoder.train()
        assert any(getattr(part, "gradient_checkpointing", False) for part in encoder.modules()) is checkpointing
        vectors = encoder(**{name: torch.from_numpy(array) for name, array in tokens(texts, "query").items()})
        (vectors @ vectors.T).square().sum().backward()
        gradients.append({name: parameter.grad for name, parameter in encoder.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


@pytest.mark.parametrize("texts_given", [[], ["", "  "]])
def test_no_text_and_too_small_a_vocabulary_are_one_line_errors(texts_given: list[str]) -> None:
    with pytest.raises(DataError, match="no texts to train the tokenizer on"):
        build_encoder(CONFIG, texts_given)
    many = "".join(chr(0x4E00 + number) for number in range(300))
    tight = FRESH.model_copy(update={"vocabulary": 100})
    with pytest.raises(DataError, match=r"fresh\.vocabulary 100") as caught:
        build_encoder(EncoderConfig(fresh=tight), [many])
    assert "\n" not in str(caught.value)


def groups() -> Iterator[Group]:
    for number in range(100):
        passage = f"A paragraph that two questions share, number {number // 2}."
        pairs = {"en": Pair(f"Question {number}?", passage), "de": Pair(f"Frage {number}?", f"Absatz {number}.")}
        yield Group(f"x/{number}", pairs if number % 10 else {"en": pairs["en"], "th": Pair(f"ถาม {number}", "ตอบ")})


def test_samples_hold_as_much_of_each_language_and_no_text_twice() -> None:
    sample = list(sample_texts(groups(), characters=300))
    assert len(set(sample)) == len(sample)
    english = sum(len(text) for text in sample if text.startswith(("Question", "A ")))
    german = sum(len(text) for text in sample if text.startswith(("Frage", "Absatz")))
    thai = sum(len(text) for text in sample if text.startswith(("ถาม", "ตอบ")))
    assert 300 <= english < 350 and 300 <= german < 320
    assert thai == len("ตอบ") + sum(len(f"ถาม {number}") for number in range(0, 100, 10))  # all there is
