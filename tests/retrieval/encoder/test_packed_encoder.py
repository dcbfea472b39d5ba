"""Packed without padding: the vectors of the model's own forward, for the models it knows; others it leaves alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from retrieval.encode import encode_texts
from retrieval.encoder.config import EncoderConfig, FreshConfig, PoolingName
from retrieval.encoder.dual import IDENTITY, Dense, DualEncoder
from retrieval.encoder.folder import build_encoder
from retrieval.encoder.packed import MIN_TOKENS, PackedEncoder, is_packable

PADDING, VOCABULARY = 1, 90
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "intermediate_size": 80, "max_position_embeddings": 320, "pad_token_id": PADDING, "initializer_range": 0.25,
}  # fmt: skip


def encoder_of(kind: str, pooling: PoolingName = "mean", **fields: Any) -> DualEncoder:
    torch.manual_seed(5)
    backbone: nn.Module = getattr(transformers, f"{kind}Model")(
        getattr(transformers, f"{kind}Config")(**SIZES | fields)
    )
    for name, weight in backbone.named_parameters():  # a bias or norm left out must show
        if weight.ndim == 1:
            nn.init.normal_(weight, mean=float("LayerNorm.weight" in name), std=0.2)
    config = EncoderConfig(name_or_path="somewhere", pooling=pooling)
    return DualEncoder(backbone, 48, [Dense(48, 20, bias=False, activation=IDENTITY)], config).eval()


def texts_of(lengths: list[int]) -> list[np.ndarray]:
    rng = np.random.default_rng(6)
    # The padding id among them, as where a text spells it out.
    return [rng.integers(0, VOCABULARY, length) for length in lengths]


def alone(encoder: DualEncoder, texts: list[np.ndarray]) -> np.ndarray:
    """Vectors by the model's own forward, one text at a time."""
    with torch.no_grad():
        return np.concatenate(
            [encoder(ids, torch.ones_like(ids)).numpy() for ids in (torch.from_numpy(text)[None] for text in texts)]
        )


@pytest.mark.parametrize("kind", ["XLMRoberta", "Roberta", "Camembert", "Bert"])
@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
def test_packed_equals_the_models_own_forward(kind: str, pooling: PoolingName) -> None:
    encoder = encoder_of(kind, pooling)
    assert is_packable(encoder)
    texts = texts_of([300, 40, 40, 40, 17, 17, 9, 40, 1])
    expected = alone(encoder, texts)
    assert np.abs(expected - expected[0]).max(1)[1:].min() > 1e-2  # the comparison means something
    with torch.no_grad():
        np.testing.assert_allclose(PackedEncoder(encoder, torch.float32)(texts), expected, atol=1e-5)
        half = PackedEncoder(encoder, torch.bfloat16)(texts)
    assert half.dtype == torch.float32
    assert (half.numpy() * expected).sum(1).min() >= 0.999  # weights this far from trained ones amplify rounding


def test_without_onednns_operation_the_vectors_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, texts = encoder_of("XLMRoberta"), texts_of([40, 40, 9])
    with torch.no_grad():
        fused = PackedEncoder(encoder, torch.bfloat16)(texts)
        monkeypatch.setattr("retrieval.encoder.packed._fused_linear", lambda: None)
        plain = PackedEncoder(encoder, torch.bfloat16)(texts)
    torch.testing.assert_close(fused, plain, atol=2e-2, rtol=0)


@pytest.mark.parametrize(
    "change",
    [
        lambda encoder: setattr(encoder.backbone.config, "hidden_act", "gelu_new"),
        lambda encoder: setattr(encoder.backbone.config, "is_decoder", True),
        lambda encoder: encoder.backbone.to(torch.bfloat16),
        lambda encoder: setattr(encoder.backbone.encoder.layer[1].output, "dense", Dense(80, 48, True, IDENTITY)),
        lambda encoder: setattr(next(encoder.backbone.parameters()), "ds_id", 0),
        lambda encoder: setattr(encoder, "backbone", transformers.ElectraModel(transformers.ElectraConfig(**SIZES))),
    ],
)
def test_what_it_does_not_know_is_not_packed(change: Callable[[DualEncoder], object]) -> None:
    encoder = encoder_of("Bert")
    assert is_packable(encoder)
    change(encoder)
    assert not is_packable(encoder)


@pytest.mark.parametrize("architecture", ["xlm_roberta", "m2m100"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_many_texts_get_the_vectors_of_single_ones_in_any_order(
    texts: list[str], architecture: Any, precision: Any, tmp_path: Path
) -> None:
    fresh = FreshConfig(architecture=architecture, layers=2, hidden=32, heads=4, intermediate=48, vocabulary=400)
    encoder, tokens = build_encoder(EncoderConfig(fresh=fresh, projection=12), texts)
    assert is_packable(encoder) == (architecture == "xlm_roberta")
    many = [f"{text} {number} {text[: 3 * number]}" for number in range(16) for text in texts]
    languages = ["en"] * len(many)
    assert sum(map(len, tokens.encode(many, "passage", languages))) >= MIN_TOKENS
    encoder.train()
    vectors = encode_texts(encoder, tokens, many, "passage", languages, precision=precision)
    assert encoder.training
    backwards = encode_texts(
        encoder, tokens, [*many[::-1], many[3]], "passage", [*languages, "en"], precision=precision
    )
    np.testing.assert_array_equal(backwards, [*vectors[::-1], vectors[3]])
    for row in range(0, len(many), 17):
        one = encode_texts(encoder, tokens, [many[row]], "passage", ["en"])[0]
        assert vectors[row] @ one >= (1 - 1e-6 if precision == "fp32" else 0.9999)
