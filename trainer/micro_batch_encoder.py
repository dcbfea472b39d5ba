"""What DeepSpeed drives: an encoder that takes micro batches, each through its tower, packed or padded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from retrieval.encoder.packed import PackedEncoder, is_packable
from trainer.engine_config import EngineConfig
from trainer.micro_batches import pad


@dataclass(frozen=True)
class MicroBatch:
    """What goes through a tower at once."""

    inputs: Sequence[np.ndarray]
    """N token lists, or N images (H, W, 3)."""

    texts: bool
    """Whether they are token lists."""

    seed: int
    """Of its dropout."""

    kept: int
    """Vectors that are wanted: the first ones, none of a blank image."""


class MicroBatchEncoder(torch.nn.Module):
    """Encodes several micro batches in one forward call: one graph for DeepSpeed, one dropout seed for each."""

    def __init__(self, encoder: torch.nn.Module, pad_id: int, config: EngineConfig, device: torch.device) -> None:
        super().__init__()
        self.encoder: Any = encoder
        self._pad_id, self._device = pad_id, device
        self._dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
        # Under ZeRO-3 a weight is only there while its own module runs.
        self.packs = device.type == "cpu" and config.zero_stage < 3 and is_packable(encoder)
        """Whether texts go through packed: how they are cut makes no difference to their padding then."""

    def forward(self, micro_batches: Sequence[MicroBatch]) -> torch.Tensor:
        packed = self._packed() if self.packs else None
        vectors = []
        for one in micro_batches:
            torch.manual_seed(one.seed)
            vectors.append(self._encode(one, packed)[: one.kept])
        return torch.cat(vectors)

    def _packed(self) -> PackedEncoder:
        with torch.autocast("cpu", enabled=False):
            return PackedEncoder(self.encoder, self._dtype)

    def _encode(self, one: MicroBatch, packed: PackedEncoder | None) -> torch.Tensor:
        if one.texts and packed is not None:
            with torch.autocast("cpu", enabled=False):
                return packed(one.inputs)
        arrays = pad(one.inputs, self._pad_id) if one.texts else (np.stack(one.inputs),)
        tower = self.encoder if one.texts else self.encoder.image
        vectors: torch.Tensor = tower(*(torch.from_numpy(array).to(self._device) for array in arrays))
        return vectors
