"""Weights and AdamW moments by parameter name, wherever the ZeRO stage keeps their pieces."""

from typing import Any

import torch

from cluster.errors import DataError
from trainer.loss.gather import sum_over_ranks
from trainer.optimizer import MOMENTS
from trainer.ranks import rank
from trainer.state import FullState


class Shards:
    """Reads and writes the float32 state of a module that DeepSpeed has taken over. Collective, but for `set_moments`.

    DeepSpeed's own functions for it (`safe_get_full_optimizer_state` and its like) are not enough in 0.19.8: with two
    parameter groups they lose the moments of the second at stages 1 and 2, and at stage 3 they cannot set a weight that
    the ranks do not divide evenly.
    """

    def __init__(self, names: dict[torch.nn.Parameter, str], adamw: torch.optim.AdamW, zero_stage: int) -> None:
        self._names, self._adamw, self._zero_stage = names, adamw, zero_stage

    def full_state(self, buffers: dict[str, torch.Tensor]) -> FullState | None:
        """Put everything together, with persistent buffers, as copies on the CPU of rank 0; None on other ranks."""
        tensors: dict[str | None, dict[str, torch.Tensor]] = {key: {} for key in (None, *MOMENTS)}
        for parameter, name in self._names.items():
            for key in (None, *MOMENTS) if parameter.requires_grad else (None,):
                whole = self._whole(parameter, key)
                if rank() == 0:
                    tensors[key][name] = whole.to("cpu", torch.float32, copy=True)
        if rank() != 0:
            return None
        steps = {int(state["step"]) for state in self._adamw.state.values()}
        assert len(steps) == 1, f"AdamW counts {sorted(steps)} steps for its parameters"
        return FullState(
            weights=tensors[None] | {name: buffer.to("cpu", copy=True) for name, buffer in buffers.items()},
            first_moments=tensors[MOMENTS[0]],
            second_moments=tensors[MOMENTS[1]],
            optimizer_steps=steps.pop(),
        )

    def set_moments(self, state: FullState | None) -> None:
        """Continue AdamW from a state; from none, start its count of steps at 0.

        Raises:
            DataError: a parameter is trained now that was not when the state was saved.
        """
        for parameter, name in self._names.items():
            if state is not None and parameter.requires_grad:
                if name not in state.first_moments or name not in state.second_moments:
                    raise DataError(f"checkpoint: '{name}' was not trained by the run that wrote it; freeze it again")
                for key, moments in zip(MOMENTS, (state.first_moments, state.second_moments), strict=True):
                    piece, start = self._piece(parameter, key)
                    piece.copy_(moments[name].flatten()[start : start + len(piece)])
        for adamw_state in self._adamw.state.values():
            adamw_state["step"].fill_(0 if state is None else state.optimizer_steps)

    def _whole(self, parameter: Any, key: str | None) -> torch.Tensor:
        piece, start = self._piece(parameter, key)
        shape = parameter.ds_shape if self._zero_stage == 3 else parameter.shape
        if len(piece) == shape.numel() and not self._is_cut(parameter):
            return piece.view(shape)
        whole = torch.zeros(shape.numel(), dtype=piece.dtype, device=parameter.device)
        whole[start : start + len(piece)] = piece
        return sum_over_ranks(whole).view(shape)

    def _is_cut(self, parameter: torch.nn.Parameter) -> bool:
        """Whether ranks hold different pieces of it, rather than all the whole."""
        return self._zero_stage == 3 or (self._zero_stage > 0 and parameter.requires_grad)

    def _piece(self, parameter: Any, key: str | None) -> tuple[torch.Tensor, int]:
        """This rank's piece of a weight (no key) or moment, flat, a view of what AdamW uses, and where it starts."""
        if not self._is_cut(parameter):
            return (parameter if key is None else self._adamw.state[parameter][key]).detach().view(-1), 0
        if self._zero_stage == 3:
            piece = parameter.ds_tensor
            if parameter.requires_grad:
                piece = parameter._z3_optimizer.get_local_fp32_param(parameter, key)
            start = rank() * len(piece)
            return piece.detach()[: max(0, parameter.ds_numel - start)], start  # what is beyond only fills up
        mapping = parameter._hp_mapping
        if mapping is None:  # all of it is with other ranks
            return torch.empty(0, device=parameter.device), 0
        (flat,) = self._adamw.param_groups[mapping.param_group_index]["params"]
        place = mapping.hp_fragment_address
        tensor = flat if key is None else self._adamw.state[flat][key]
        return tensor.detach()[place.start : place.start + place.numel], mapping.lp_fragment_address.start
