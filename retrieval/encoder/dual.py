"""The tower that queries and passages share: transformer, pooling, dense layers, unit length.

Shape letters: N texts, T token positions, D dimensions.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from retrieval.encoder.config import DEFAULT_POOLING, EncoderConfig, PoolingName
from retrieval.encoder.pooling import pool

if TYPE_CHECKING:
    from retrieval.encoder.vision import ImageTower

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "torch.nn.modules.linear.Identity": nn.Identity,
    "torch.nn.modules.activation.Tanh": nn.Tanh,
    "torch.nn.modules.activation.ReLU": nn.ReLU,
    "torch.nn.modules.activation.GELU": nn.GELU,
    "torch.nn.modules.activation.SiLU": nn.SiLU,
    "torch.nn.modules.activation.Sigmoid": nn.Sigmoid,
}
"""The activations of a dense layer under the names that sentence-transformers writes; looked up, never imported."""

IDENTITY, TANH = list(ACTIVATIONS)[:2]


class Dense(nn.Linear):
    """A linear layer over pooled vectors and its activation.

    It *is* the linear layer, rather than holding one, so that nothing reads its weight outside its own forward: under
    ZeRO-3 the weight exists only there.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool, activation: str) -> None:
        super().__init__(in_features, out_features, bias=bias)
        self.activation_name = activation
        self.activation = ACTIVATIONS[activation]()

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(N, in_features) -> (N, out_features), computed in the weight's type."""
        return self.activation(super().forward(input.to(self.weight.dtype)))


class DualEncoder(nn.Module):
    """Token ids in, unit vectors out; the same weights for queries and passages. Images have a tower of their own."""

    def __init__(
        self,
        backbone: nn.Module,
        width: int,
        dense: Sequence[Dense],
        config: EncoderConfig,
        image: "ImageTower | None" = None,
    ) -> None:
        """
        Args:
            backbone: a transformer whose forward gives `last_hidden_state`.
            width: of its token states.
            dense: layers after pooling, in order.
            config: how to pool, and where all this came from.
            image: the tower for images, if there is one; its vectors are as long as those of texts.
        """
        super().__init__()
        self.backbone: Any = backbone
        self.dense = nn.ModuleList(dense)
        self.config = config
        self.pooling: PoolingName = config.pooling or DEFAULT_POOLING
        self.width: int = width
        self.dimension: int = dense[-1].out_features if dense else width
        """Length of the vectors."""
        self.image: ImageTower | None = image

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **extra: torch.Tensor) -> torch.Tensor:
        """Vectors of padded texts.

        Args:
            input_ids: int64 (N, T), padding at the end.
            attention_mask: int64 (N, T), 1 where a token stands.
            extra: whatever else the transformer takes.

        Returns:
            float32 (N, D), each of length 1.
        """
        output = self.backbone(input_ids=input_ids, attention_mask=attention_mask, **extra)
        return self.head(pool(output.last_hidden_state, attention_mask, self.pooling))

    def head(self, pooled_ND: torch.Tensor) -> torch.Tensor:
        """What follows the pooling: dense layers and unit length; float32 (N, D)."""
        for layer in self.dense:
            pooled_ND = layer(pooled_ND)
        return functional.normalize(pooled_ND.float(), dim=-1)
