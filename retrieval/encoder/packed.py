"""Texts packed one behind another, without padding, through a transformer's own weights: encoding on CPUs.

Written out for the layers that BERT and RoBERTa share (LaBSE and XLM-R have them); other models are encoded by their
own forward. The vectors are those of the model's own forward but for rounding. What it saves beside the padding: oneDNN
multiplies matrices faster than torch's `linear`, which copies the bias first, and applies the GELU on the way; and no
tensor leaves the processor's cache, or is new memory from the system, as those of large batches are.

Shape letters: T tokens of all texts of a batch, n texts of one length, L that length, H heads, h width of a head,
D width of a token's state.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from retrieval.encoder.dual import DualEncoder
from retrieval.encoder.pooling import pool

MAX_TOKENS = 4096
"""Of a batch on a CPU: beyond it memory costs more than is gained by fewer calls."""

MIN_TOKENS = 2048
"""With fewer tokens in all, laying out the weights is not worth it."""

_KNOWN = {"BertModel", "CamembertModel", "RobertaModel", "XLMRobertaModel"}
_LONG = 256
"""From this length on torch's fused attention is the better one: its memory does not grow with L x L."""


class _Run(NamedTuple):
    """Texts of one length, side by side."""

    tokens: slice
    texts: int
    length: int


class _Linear:
    """A linear layer, with the exact GELU behind it if wanted."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype, gelu: bool = False) -> None:
        self.weight, self.bias, self.gelu = weight.to(dtype), bias.to(dtype), gelu
        self._fused = _fused_linear()

    def __call__(self, state_TD: torch.Tensor) -> torch.Tensor:
        state_TD = state_TD.to(self.weight.dtype)
        if self._fused is not None:
            activation, which = ("gelu", "none") if self.gelu else ("none", "")
            return self._fused(state_TD, self.weight, self.bias, activation, [], which)
        state_TD = functional.linear(state_TD, self.weight, self.bias)
        return functional.gelu(state_TD) if self.gelu else state_TD


class _Layer:
    """One layer of the transformer. Sums along its residual path stay in float32."""

    def __init__(self, layer: Any, dtype: torch.dtype) -> None:
        attention = layer.attention.self
        self.heads: int = attention.num_attention_heads
        parts = [attention.query, attention.key, attention.value]
        weights, biases = [part.weight for part in parts], [part.bias for part in parts]
        # The scores' factor, taken into the queries.
        weights[0], biases[0] = weights[0] * attention.scaling, biases[0] * attention.scaling
        self.project = _Linear(torch.cat(weights), torch.cat(biases), dtype)
        self.merge = _of(layer.attention.output.dense, dtype)
        self.merge_norm: nn.LayerNorm = layer.attention.output.LayerNorm
        self.up = _of(layer.intermediate.dense, dtype, gelu=True)
        self.down = _of(layer.output.dense, dtype)
        self.down_norm: nn.LayerNorm = layer.output.LayerNorm

    def __call__(self, state_TD: torch.Tensor, runs: Sequence[_Run]) -> torch.Tensor:
        state_TD = self.merge_norm(self.merge(self._attend(state_TD, runs)) + state_TD)
        return self.down_norm(self.down(self.up(state_TD)) + state_TD)

    def _attend(self, state_TD: torch.Tensor, runs: Sequence[_Run]) -> torch.Tensor:
        projected_T3Hh = self.project(state_TD).view(len(state_TD), 3, self.heads, -1)
        attended_THh = torch.empty_like(projected_T3Hh[:, 0])
        for run in runs:
            of_run = projected_T3Hh[run.tokens].view(run.texts, run.length, 3, self.heads, -1)
            into_nHLh = attended_THh[run.tokens].view(run.texts, run.length, self.heads, -1).transpose(1, 2)
            into_nHLh.copy_(_attention(of_run.permute(2, 0, 3, 1, 4)))
        return attended_THh.flatten(1)


class PackedEncoder(nn.Module):
    """Token ids in, unit vectors out, as `DualEncoder`, for texts packed without padding. Evaluation only."""

    def __init__(self, encoder: DualEncoder, dtype: torch.dtype) -> None:
        """
        Args:
            encoder: one for which `is_packable` holds. Its weights as they are now are used from here on.
            dtype: of matrix products, float32 or bfloat16.
        """
        super().__init__()
        self._encoder = [encoder]  # not registered: this is no part of it, nor is it of this
        self._embeddings: Any = encoder.backbone.embeddings
        self._layers = [_Layer(layer, dtype) for layer in encoder.backbone.encoder.layer]

    def forward(self, ids: Sequence[np.ndarray]) -> torch.Tensor:
        """Vectors of texts.

        Args:
            ids: int64 token ids of each text; texts of one length should be neighbours.

        Returns:
            float32 (N, D), each of length 1.
        """
        encoder = self._encoder[0]
        runs = _runs([len(text) for text in ids])
        inputs = {"input_ids": np.concatenate(ids), "position_ids": np.concatenate([self._positions(i) for i in ids])}
        state_TD = self._embeddings(**{name: torch.from_numpy(one)[None] for name, one in inputs.items()})[0]
        for layer in self._layers:
            state_TD = layer(state_TD, runs)
        pooled = []
        for run in runs:
            state_nLD = state_TD[run.tokens].view(run.texts, run.length, -1)
            pooled.append(pool(state_nLD, torch.ones(state_nLD.shape[:2], dtype=torch.int64), encoder.pooling))
        return encoder.head(torch.cat(pooled))

    def _positions(self, ids: np.ndarray) -> np.ndarray:
        padding = getattr(self._embeddings, "padding_idx", None)
        if padding is None:
            return np.arange(len(ids))
        # The RoBERTa family counts from the padding id + 1, and passes over padding tokens, which a text may spell out.
        real = ids != padding
        return np.cumsum(real) * real + padding


def is_packable(encoder: DualEncoder) -> bool:
    """Whether `PackedEncoder` knows the layers of an encoder, and can get at its weights."""
    backbone = encoder.backbone
    kind = type(backbone)
    if kind.__name__ not in _KNOWN or not kind.__module__.startswith("transformers."):
        return False
    config = backbone.config
    linear = (module for module in backbone.modules() if isinstance(module, nn.Linear))
    return (
        config.hidden_act == "gelu"
        and not config.is_decoder
        and all(type(module) is nn.Linear and module.bias is not None for module in linear)
        # Under ZeRO-3 a weight is only there while its module runs.
        and all(
            weight.device.type == "cpu" and weight.dtype == torch.float32 and not hasattr(weight, "ds_id")
            for weight in backbone.parameters()
        )
    )


def _fused_linear() -> Any:
    """oneDNN's linear layer with an activation: what torch.compile calls, and not documented; None where it is gone."""
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def _of(linear: nn.Linear, dtype: torch.dtype, gelu: bool = False) -> _Linear:
    return _Linear(linear.weight, linear.bias, dtype, gelu)


def _runs(lengths: Sequence[int]) -> list[_Run]:
    runs, start = [], 0
    for length, texts in itertools.groupby(lengths):
        count = len(list(texts))
        runs.append(_Run(slice(start, start + count * length), count, length))
        start += count * length
    return runs


def _attention(projected_3nHLh: torch.Tensor) -> torch.Tensor:
    """softmax(q k^T) v of texts of one length, the factor already in q; (n, H, L, h)."""
    texts, heads, length, width = projected_3nHLh.shape[1:]
    if length >= _LONG or projected_3nHLh.dtype == torch.float32:
        query, key, value = projected_3nHLh
        return functional.scaled_dot_product_attention(query, key, value, scale=1.0)
    query, key, value = projected_3nHLh.reshape(3, texts * heads, length, width)
    # In float32 the softmax is not only more exact than in bfloat16 but, on CPUs, faster.
    weight = torch.softmax(torch.bmm(query, key.transpose(1, 2)).float(), -1).to(value.dtype)
    return torch.bmm(weight, value).view(texts, heads, length, width)
