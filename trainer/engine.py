"""DeepSpeed behind one class: token ids and pixels in, optimiser steps and full states out. The only door to deepspeed.

How gradients get their scale is told in docs/training.md.

Where the encoder has a tower for images, every pass goes through both towers, with a blank image or an empty text and
a gradient of 0 where it has nothing for one of them: all ranks then go through the same modules in the same order, as
ZeRO-3 needs, and no stage meets a weight without a gradient. (What DeepSpeed makes of one depends on the stage; stage
3 of 0.19.8 adds to what the step before left, unless the first backward pass of a step reaches the weight.)
"""

import logging
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cluster.errors import WorkError
from cluster.logs import get_logger
from retrieval.encoder.packed import MAX_TOKENS
from trainer.batch import LocalBatch, is_image
from trainer.engine_config import EngineConfig
from trainer.loss import LossConfig
from trainer.loss.gather import largest_over_ranks
from trainer.loss.global_loss import GlobalLoss, global_loss
from trainer.loss.gradcache import VectorPass
from trainer.memory import naming_memory
from trainer.micro_batch_encoder import MicroBatch, MicroBatchEncoder
from trainer.micro_batches import cut_by_budget, cut_by_count, cut_evenly
from trainer.optimizer import adamw
from trainer.ranks import default_device, rank, world_size
from trainer.shards import Shards
from trainer.state import FullState, load_weights, persistent_buffers

_MAX_BUCKET = 50_000_000
_logger = get_logger("engine")


def _import_deepspeed() -> Any:
    """Import DeepSpeed quietly and without its compiled parts.

    It would print to stdout, which is for results, and build a shared-memory operator with the C++ compiler (40
    seconds at first use) that training never calls.
    """
    if default_device().type == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed

    deepspeed.ops.__compatible_ops__ = {}
    logger = logging.getLogger("DeepSpeed")
    logger.setLevel(logging.ERROR)
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)
    return deepspeed


deepspeed = _import_deepspeed()
_CUTS = 4
"""Micro batches where the configuration leaves them open, and their number matters."""


@dataclass(frozen=True)
class StepResult:
    """What one training step did."""

    loss: float
    """Mean over the queries of the global batch; the same on all ranks."""

    accuracy: float
    """Share of queries whose positive beat every negative of the global batch; the same on all ranks."""

    grad_norm: float
    """Length of the gradient before clipping; the same on all ranks, NaN where it was never taken."""

    per_query: np.ndarray
    """(b) float32 losses of this rank's queries."""

    likeness: float
    """Length of the mean of this rank's vectors: 1 where all are the same, near 0 where they point everywhere."""

    applied: bool
    """False where the step was left out because a loss or gradient was not finite."""


class Engine:
    """One rank's part in training an encoder. All methods but `close` are collective: every rank calls them alike."""

    def __init__(
        self,
        encoder: torch.nn.Module,
        pad_id: int,
        config: EngineConfig,
        loss: LossConfig,
        seed: int = 0,
        state: FullState | None = None,
    ) -> None:
        """Hand an encoder to DeepSpeed, inside a process group.

        Args:
            encoder: called with ids and mask, both (N, L) int64, gives vectors (N, D) of length 1; so does its `image`,
                where it has one, called with uint8 pixels (N, H, W, 3). The same weights on all ranks. DeepSpeed takes
                it over: use it through the engine from here on.
            pad_id: token id that fills up shorter texts.
            seed: of dropout; with step, rank and micro batch it decides every mask, so a resumed run repeats them.
            state: continue from here (saved at any world size and ZeRO stage), instead of from the encoder's weights.

        Raises:
            DataError: `state` does not fit the encoder.
        """
        self.device = default_device()
        self.config, self.loss_config, self.seed = config, loss, seed
        self.skipped_steps = 0
        """Steps left out by this engine because something was not finite."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if state is not None:
            load_weights(encoder, state.weights)
        tower = getattr(encoder, "image", None)
        self._blank: np.ndarray | None = None if tower is None else tower.pixels.blank
        self._tokens_per_image: int = 0 if tower is None else tower.tokens_per_image
        self._towers = (True,) if tower is None else (True, False)
        """Whether for texts, of each tower."""
        module = MicroBatchEncoder(encoder.to(self.device, torch.float32), pad_id, config, self.device)
        self._cuts = config.micro_batches or (1 if module.packs and not config.gradient_caching else _CUTS)
        optimizer = adamw(module, config, self.device)
        os.environ.setdefault("LOCAL_RANK", "0")  # DeepSpeed refuses to start without
        self._engine, *_ = deepspeed.initialize(
            model=module,
            optimizer=optimizer,
            config=_deepspeed_config(config, sum(p.numel() for p in encoder.parameters())),
        )
        names = {parameter: name for name, parameter in self._engine.module.encoder.named_parameters()}
        self._shards = Shards(names, optimizer, config.zero_stage)
        self._make_moments()
        self._shards.set_moments(state)

    def train_step(self, batch: LocalBatch, learning_rate: float) -> StepResult:
        """Make one optimiser step on a global batch of which this rank holds `batch`.

        Raises:
            WorkError: the loss or the gradient is not finite (and `on_nonfinite` is stop), weights are as before; or
                memory does not suffice.
        """
        self._engine.train()
        inputs = batch.inputs
        of_texts, of_images = self._cut(batch)
        rows = [*of_texts, *of_images]

        def encode(numbers: Sequence[int]) -> torch.Tensor:
            of_tower = {number: number < len(of_texts) for number in numbers}
            micro_batches = [
                self._micro_batch([inputs[row] for row in rows[number]], batch.step, number, texts)
                for number, texts in of_tower.items()
            ]
            absent = [texts for texts in self._towers if texts not in of_tower.values()]
            return self._engine([*micro_batches, *(self._micro_batch([], 0, 0, texts) for texts in absent)])

        with naming_memory(batch.describe()):
            forward = VectorPass(encode, rows, self.config.gradient_caching)
            likeness = float(forward.vectors.float().mean(0).norm())
            outcome = global_loss(forward.vectors, batch, self.loss_config)
            if not math.isfinite(outcome.loss):
                return self._leave_out(batch, "loss", outcome, math.nan, likeness)
            forward.backward(outcome.gradient, self._backward)
        for group in self._engine.optimizer.param_groups:
            group["lr"] = learning_rate
        grad_norm, applied = self._update()
        if not applied:
            return self._leave_out(batch, "gradient norm", outcome, grad_norm, likeness)
        return StepResult(outcome.loss, outcome.accuracy, grad_norm, outcome.per_query, likeness, applied=True)

    @torch.no_grad()
    def encode(self, inputs: Sequence[np.ndarray], max_tokens: int = 16_384) -> np.ndarray:
        """Vectors (N, D) float32 of token lists and images, without dropout.

        Ranks may bring different inputs and numbers of them.

        Args:
            inputs: N >= 1 token lists or images.
            max_tokens: padded tokens encoded at once, at most; an image is as many as its patches.
        """
        self._engine.eval()
        if self.device.type == "cpu":
            max_tokens = min(max_tokens, MAX_TOKENS)
        length = np.array([self._tokens_per_image if is_image(one) else len(one) for one in inputs])
        images = np.array([is_image(one) for one in inputs])
        parts, order = [], []
        for texts in (True, False):
            of_kind = np.flatnonzero(images != texts)
            rows = [of_kind[chosen] for chosen in cut_by_budget(length[of_kind], max_tokens)]
            # A ZeRO-3 forward pass gathers weights from all ranks: one with fewer micro batches joins in, with nothing.
            for number in range(largest_over_ranks(len(rows), self.device)):
                chosen = [inputs[row] for row in rows[number]] if number < len(rows) else []
                parts.append(self._engine([self._micro_batch(chosen, 0, number, texts)]))
            order += rows
        encoded = torch.cat(parts).float().cpu().numpy()
        vectors = np.empty_like(encoded)
        vectors[np.concatenate(order)] = encoded
        return vectors

    def full_state(self) -> FullState | None:
        """Gather weights and optimiser state from all ranks, as copies on the CPU; rank 0 gets them, others None."""
        return self._shards.full_state(persistent_buffers(self._engine.module.encoder))

    def close(self) -> None:
        """Let go of DeepSpeed's hooks and buffers. The process group stays for whoever started it."""
        self._engine.destroy()

    def _cut(self, batch: LocalBatch) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Rows of a batch's inputs for each micro batch of texts and each of images: as many on every rank."""
        images = np.array([is_image(one) for one in batch.inputs])
        length = np.array([len(one) for one in batch.inputs])
        texts, images = np.flatnonzero(~images), np.flatnonzero(images)
        if self._blank is None:
            # Ranks hold equally many queries, so they agree on this number, and each query brings a passage at least.
            count = min(self._cuts, 2 * len(batch.query_ids))
            return cut_by_count(length, count), []
        # Beside an image there is one text at least; of images ranks may hold different numbers.
        count = min(self._cuts, len(batch.query_ids))
        image_count = min(self._cuts, largest_over_ranks(len(images), self.device))
        of_texts = [texts[rows] for rows in cut_by_count(length[texts], count)]
        return of_texts, [images[rows] for rows in cut_evenly(len(images), image_count)] if image_count else []

    def _micro_batch(self, inputs: Sequence[np.ndarray], step: int, number: int, texts: bool) -> MicroBatch:
        """Texts or images; for none of them, one to go through in their place and to be forgotten."""
        seed = int(np.random.SeedSequence([self.seed, step, rank(), number]).generate_state(1, np.uint64)[0])
        blank = np.zeros(1, dtype=np.int64) if texts else self._blank
        assert blank is not None, "images for an encoder without a tower for them"
        return MicroBatch(inputs or [blank], texts, seed, kept=len(inputs))

    def _backward(self, surrogate: torch.Tensor, last: bool) -> None:
        # DeepSpeed reduces (stages 0 and 1) or finishes (2 and 3) gradients in the backward it knows to be the last of
        # a step, and takes their mean over ranks where the loss of the global batch wants the sum.
        self._engine.set_gradient_accumulation_boundary(last)
        self._engine.backward(surrogate * world_size())

    def _update(self) -> tuple[float, bool]:
        """Clip and step; gives the norm of the gradient, and whether it was finite and the step was made."""
        if self.config.zero_stage > 0:  # DeepSpeed leaves out a step whose norm is not finite, on all ranks alike
            self._engine.step()
            return float(self._engine.get_global_grad_norm()), self._engine.was_step_applied()
        gradients = [p.grad for p in self._engine.module.parameters() if p.grad is not None]
        grad_norm = float(torch.nn.utils.get_total_norm(gradients))
        if math.isfinite(grad_norm):
            self._engine.step()
        else:
            self._engine.zero_grad()
        return grad_norm, math.isfinite(grad_norm)

    def _leave_out(
        self, batch: LocalBatch, what: str, outcome: GlobalLoss, grad_norm: float, likeness: float
    ) -> StepResult:
        found = outcome.loss if what == "loss" else grad_norm
        if self.config.on_nonfinite == "stop":
            raise WorkError(
                f"{batch.describe()}: the {what} is {found}; lower engine.learning_rate, look at these texts, or set "
                "engine.on_nonfinite to skip"
            )
        self.skipped_steps += 1
        _logger.warning("%s left out: the %s is %s", batch.describe(), what, found)
        return StepResult(outcome.loss, outcome.accuracy, grad_norm, outcome.per_query, likeness, applied=False)

    def _make_moments(self) -> None:
        """Have AdamW allocate its state, in DeepSpeed's layout, by a step that changes nothing.

        AdamW makes its moments at its first step. With a gradient of 0 and a rate of 0 they come out as 0 and no weight
        moves; from here on they can be read and set alike whether a run is new or resumed.
        """
        self._engine.train()
        nothing = self._engine([self._micro_batch([], 0, 0, texts) for texts in self._towers]).sum()
        self._backward(nothing, last=True)
        self._update()


def _deepspeed_config(config: EngineConfig, num_weights: int) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": 1,  # only its own throughput figures read this
        "gradient_accumulation_steps": 1,  # the boundary is set by hand, and nothing is divided
        "gradient_clipping": config.max_grad_norm,  # always said: left out, DeepSpeed clips to 1.0
        # DeepSpeed allocates the bucket in full; its default is 2 GB.
        "zero_optimization": {"stage": config.zero_stage, "reduce_bucket_size": min(num_weights, _MAX_BUCKET)},
    }
    if config.precision == "bf16":
        # No module listed as safe for it: gradients would otherwise be summed over ranks in bfloat16.
        fields["torch_autocast"] = {"enabled": True, "dtype": "bfloat16", "lower_precision_safe_modules": []}
    return fields
