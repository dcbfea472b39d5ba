"""Texts packed one behind another, with hardly any padding, through a transformer's own weights: for CPUs.

Written out for the layers that BERT and RoBERTa share (LaBSE and XLM-R have them); other models go through their own
forward. The vectors, and the gradients, are those of the model's own forward but for rounding; dropout has the same
probabilities and other draws. What it saves beside the padding: without gradients oneDNN multiplies by matrices that
were laid out once, and faster than torch's `linear`, which copies the bias first, and applies the GELU on the way; no
tensor leaves the processor's cache, or is new memory from the system, as those of large batches are; and dropout
(`retrieval/encoder/dropout.py`) costs a fraction.

Shape letters: T tokens of all texts of a batch, n texts of a bucket, L their length with padding, H heads, h width of a
head, D width of a token's state.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from retrieval.encoder.buckets import Bucket, cut_into_buckets
from retrieval.encoder.dropout import add_dropped, drop
from retrieval.encoder.dual import DualEncoder
from retrieval.encoder.pooling import pool

MAX_TOKENS = 4096
"""Of a batch on a CPU: beyond it memory costs more than is gained by fewer calls."""

MIN_TOKENS = 2048
"""With fewer tokens in all, laying out the weights is not worth it."""

_ROWS_MULTIPLE = 64
"""The rows of all products are filled up to one: for every new number of rows oneDNN writes, and keeps, programs."""

_KNOWN = {"BertModel", "CamembertModel", "RobertaModel", "XLMRobertaModel"}
_LONG = 256
"""From this length on torch's fused attention is the better one: its memory does not grow with L x L."""


class _Linear:
    """A linear layer, with the exact GELU behind it if wanted."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype, gelu: bool = False) -> None:
        self.weight, self.bias, self.gelu = weight.to(dtype), bias.to(dtype), gelu
        self._fused = None if torch.is_grad_enabled() else _fused_linear()  # it has no derivative
        if self._fused is not None:
            self.weight = _laid_out(self.weight)

    def __call__(self, state_TD: torch.Tensor) -> torch.Tensor:
        state_TD = state_TD.to(self.bias.dtype)
        if self._fused is not None:
            activation, which = ("gelu", "none") if self.gelu else ("none", "")
            return self._fused(state_TD, self.weight, self.bias, activation, [], which)
        state_TD = functional.linear(state_TD, self.weight, self.bias)
        return functional.gelu(state_TD) if self.gelu else state_TD


class _Layer:
    """One layer of the transformer. Sums along its residual path stay in float32."""

    def __init__(self, layer: Any, dtype: torch.dtype, training: bool) -> None:
        attention = layer.attention.self
        self.attention_dropout: float = attention.dropout.p if training else 0.0
        self.merge_dropout: float = layer.attention.output.dropout.p if training else 0.0
        self.down_dropout: float = layer.output.dropout.p if training else 0.0
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

    def __call__(self, state_TD: torch.Tensor, buckets: Sequence[Bucket]) -> torch.Tensor:
        state_TD = self.merge_norm(
            add_dropped(state_TD, self.merge(self._attend(state_TD, buckets)), self.merge_dropout)
        )
        return self.down_norm(add_dropped(state_TD, self.down(self.up(state_TD)), self.down_dropout))

    def _attend(self, state_TD: torch.Tensor, buckets: Sequence[Bucket]) -> torch.Tensor:
        projected_TD = self.project(state_TD)
        *parts, rest_TD = _split(projected_TD, buckets)
        attended = [
            _attention(part_TD.view(*bucket.mask.shape, 3, self.heads, -1), bucket, self.attention_dropout)
            for bucket, part_TD in zip(buckets, parts, strict=True)
        ]
        return torch.cat([*attended, rest_TD.new_zeros(len(rest_TD), rest_TD.shape[1] // 3)])


class PackedEncoder:
    """Token ids in, unit vectors out, as `DualEncoder`, for texts packed with hardly any padding."""

    def __init__(self, encoder: DualEncoder, dtype: torch.dtype) -> None:
        """Lay out the weights. With gradients enabled, those of what this makes reach the encoder's weights.

        Args:
            encoder: one for which `is_packable` holds. Its weights as they are now are used from here on, and dropout
                if it is being trained.
            dtype: of matrix products, float32 or bfloat16.
        """
        self._encoder = encoder
        self._embeddings: Any = encoder.backbone.embeddings
        self._dropout: float = self._embeddings.dropout.p if encoder.training else 0.0
        self._layers = [_Layer(layer, dtype, encoder.training) for layer in encoder.backbone.encoder.layer]

    def __call__(self, ids: Sequence[np.ndarray]) -> torch.Tensor:
        """Vectors of texts.

        Args:
            ids: int64 token ids of each text; texts of like lengths should be neighbours.

        Returns:
            float32 (N, D), each of length 1.
        """
        buckets = cut_into_buckets([len(text) for text in ids])
        state_TD = self._embed(ids, buckets)
        for layer in self._layers:
            state_TD = layer(state_TD, buckets)
        *parts, _ = _split(state_TD, buckets)
        pooled = [
            pool(part_TD.view(*bucket.mask.shape, -1), bucket.mask, self._encoder.pooling)
            for bucket, part_TD in zip(buckets, parts, strict=True)
        ]
        return self._encoder.head(torch.cat(pooled))

    def _embed(self, ids: Sequence[np.ndarray], buckets: Sequence[Bucket]) -> torch.Tensor:
        parts = self._embeddings
        real_T = np.concatenate([bucket.mask.numpy().reshape(-1) for bucket in buckets])
        real_T = np.pad(real_T, (0, -len(real_T) % _ROWS_MULTIPLE))
        id_T, position_T = np.zeros((2, len(real_T)), np.int64)
        id_T[real_T] = np.concatenate(ids)
        position_T[real_T] = np.concatenate([self._positions(text) for text in ids])
        state_TD = parts.word_embeddings(torch.from_numpy(id_T)) + parts.token_type_embeddings.weight[0]
        state_TD = state_TD + parts.position_embeddings(torch.from_numpy(position_T))
        return drop(parts.LayerNorm(state_TD), self._dropout)

    def _positions(self, ids: np.ndarray) -> np.ndarray:
        padding = getattr(self._embeddings, "padding_idx", None)
        if padding is None:
            return np.arange(len(ids))
        # The RoBERTa family counts from the padding id + 1, and passes over padding tokens, which a text may spell out.
        real = ids != padding
        return np.cumsum(real) * real + padding


def is_packable(encoder: nn.Module) -> bool:
    """Whether `PackedEncoder` knows the layers of an encoder, and can get at its weights."""
    if not isinstance(encoder, DualEncoder):
        return False
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


def _laid_out(weight: torch.Tensor) -> torch.Tensor:
    """A matrix of weights in the order in which oneDNN reads it; as it is where that is not to be had."""
    lay_out = getattr(torch.ops.mkldnn, "_reorder_linear_weight", None)
    return weight if lay_out is None else lay_out(weight, MAX_TOKENS)


def _of(linear: nn.Linear, dtype: torch.dtype, gelu: bool = False) -> _Linear:
    return _Linear(linear.weight, linear.bias, dtype, gelu)


def _split(rows_TD: torch.Tensor, buckets: Sequence[Bucket]) -> tuple[torch.Tensor, ...]:
    """The rows of each bucket, and those behind them that only fill up."""
    sizes = [bucket.mask.numel() for bucket in buckets]
    return rows_TD.split([*sizes, len(rows_TD) - sum(sizes)])


def _attention(projected_nL3Hh: torch.Tensor, bucket: Bucket, dropout: float) -> torch.Tensor:
    """softmax(q k^T) v of a bucket's texts, the factor already in q; (n L, H h)."""
    texts, length, _, heads, width = projected_nL3Hh.shape
    # oneDNN writes programs for each shape of products in bfloat16. In bulk shapes come again; those of training do
    # not, with twice as many products backwards, and are exacter in float32.
    dtype = torch.float32 if torch.is_grad_enabled() else projected_nL3Hh.dtype
    parts_3nHLh = projected_nL3Hh.permute(2, 0, 3, 1, 4).to(dtype, memory_format=torch.contiguous_format)
    if length >= _LONG:
        query, key, value = parts_3nHLh.unbind()
        bias = None if bucket.bias is None else bucket.bias.to(dtype)
        attended_nHLh = functional.scaled_dot_product_attention(query, key, value, bias, dropout, scale=1.0)
    else:
        query, key, value = parts_3nHLh.reshape(3, texts * heads, length, width).unbind()
        score_nHLL = torch.bmm(query, key.transpose(1, 2)).view(texts, heads, length, length)
        if bucket.bias is not None:
            score_nHLL = score_nHLL + bucket.bias
        weight = torch.softmax(score_nHLL, -1, dtype=torch.float32).view(texts * heads, length, length)
        attended_nHLh = torch.bmm(drop(weight, dropout).to(dtype), value).view(texts, heads, length, width)
    attended_nLHh = attended_nHLh.transpose(1, 2).to(projected_nL3Hh.dtype, memory_format=torch.contiguous_format)
    return attended_nLHh.reshape(texts * length, heads * width)
