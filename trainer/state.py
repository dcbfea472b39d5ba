"""The whole training state by parameter name: what a checkpoint holds, for any world size and ZeRO stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.errors import DataError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class FullState:
    """Weights and AdamW's state, unsharded, float32, on the CPU."""

    weights: "Mapping[str, torch.Tensor]"
    """Parameters and persistent buffers under the encoder's own names."""

    first_moments: "Mapping[str, torch.Tensor]"
    """AdamW's running mean of gradients, for each trained parameter."""

    second_moments: "Mapping[str, torch.Tensor]"
    """AdamW's running mean of squared gradients."""

    optimizer_steps: int
    """Updates AdamW has made; its bias correction depends on it. Skipped steps do not count."""


def persistent_buffers(encoder: "torch.nn.Module") -> "dict[str, torch.Tensor]":
    """Buffers that are saved with an encoder, by name."""
    saved = encoder.state_dict().keys()
    return {name: buffer for name, buffer in encoder.named_buffers() if name in saved}


def load_weights(encoder: "torch.nn.Module", weights: "Mapping[str, torch.Tensor]") -> None:
    """Copy a state's weights into an encoder.

    Raises:
        DataError: names or shapes differ; the first that does is named.
    """
    expected = {name: parameter.data for name, parameter in encoder.named_parameters()} | persistent_buffers(encoder)
    advice = "resume with the encoder of the run that wrote it"
    if strays := sorted(expected.keys() ^ weights.keys()):
        side = "the checkpoint" if strays[0] in weights else "the encoder"
        raise DataError(f"checkpoint: '{strays[0]}' is only in {side} ({len(strays)} such names); {advice}")
    for name, tensor in expected.items():
        found, wanted = tuple(weights[name].shape), tuple(tensor.shape)
        if found != wanted:
            raise DataError(f"checkpoint: '{name}' has shape {found}, the encoder's has {wanted}; {advice}")
        tensor.copy_(weights[name])
