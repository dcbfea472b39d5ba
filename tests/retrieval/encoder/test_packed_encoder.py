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
    texts = texts_of([300, 290, 40, 40, 40, 17, 17, 9, 40, 1])
    expected = alone(encoder, texts)
    assert np.abs(expected - expected[0]).max(1)[1:].min() > 1e-2  # the comparison means something
    with torch.no_grad():
        np.testing.assert_allclose(PackedEncoder(encoder, torch.float32)(texts), expected, atol=1e-5)
        half = PackedEncoder(encoder, torch.bfloat16)(texts)
    assert half.dtype == torch.float32
    assert (half.numpy() * expected).sum(1).min() >= 0.999  # weights this far from trained ones amplify rounding


def gradients(encoder: DualEncoder, vectors: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of a sum that weighs every number of every vector otherwise."""
    encoder.zero_grad()
    (vectors * torch.sin(torch.arange(vectors.numel()).view(vectors.shape) + 1.0)).sum().backward()
    return {name: weight.grad for name, weight in encoder.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("kind", ["XLMRoberta", "Roberta", "Camembert", "Bert"])
@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
def test_packed_gradients_are_those_of_the_models_own_forward(kind: str, pooling: PoolingName) -> None:
    encoder = encoder_of(kind, pooling, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()
    texts = texts_of([300, 290, 40, 40, 17, 9, 1])
    own = [encoder(ids, torch.ones_like(ids)) for ids in (torch.from_numpy(text)[None] for text in texts)]
    expected = {name: gradient.clone() for name, gradient in gradients(encoder, torch.cat(own)).items()}
    assert len(expected) > 40
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.bfloat16, 0.25)):
        found = gradients(encoder, PackedEncoder(encoder, dtype)(texts))
        assert found.keys() == expected.keys()
        for name, gradient in expected.items():
            scale = max(float(gradient.norm()), 1e-2 * max(float(other.norm()) for other in expected.values()))
            assert float((found[name] - gradient).norm()) <= tolerance * scale, name


@pytest.mark.parametrize(
    "of", [lambda m: m.embeddings, lambda m: m.encoder.layer[1].attention.self,
           lambda m: m.encoder.layer[1].attention.output, lambda m: m.encoder.layer[1].output],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_acts_where_the_model_has_it_and_only_in_training(of: Callable[[Any], Any], dtype: torch.dtype) -> None:
    encoder = encoder_of("XLMRoberta", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    texts = texts_of([40, 40, 9])

    def vectors(training: bool, seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return PackedEncoder(encoder.train(training), dtype)(texts).detach()

    still = vectors(training=True, seed=0)
    of(encoder.backbone).dropout.p = 0.5
    assert torch.equal(vectors(training=False, seed=0), still)
    dropped = vectors(training=True, seed=0)
    assert float((dropped - still).norm(dim=1).min()) > 1e-2
    assert torch.equal(vectors(training=True, seed=0), dropped)
    assert not torch.equal(vectors(training=True, seed=1), dropped)


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
