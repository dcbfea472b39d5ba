"""What can be set of the optimiser and of how training is spread over workers; apart from the engine to import fast."""

from typing import Literal

from pydantic import Field

from cluster.config import Config


class EngineConfig(Config):
    """DeepSpeed, AdamW, precision, and how much of a batch is in memory at once."""

    zero_stage: int = Field(default=1, ge=0, le=3)
    """What the workers share out among them (ZeRO, arXiv 1910.02054): 0 nothing, 1 AdamW's state, 2 also gradients,
    3 also weights. The result is the same; memory per worker falls with the stage."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: matrix products in bfloat16 (torch autocast); weights, gradients, their sums and AdamW stay float32."""

    learning_rate: float = Field(default=3e-5, ge=0)
    """Peak of the schedule."""

    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's decoupled decay; biases and the weights of norms are left out."""

    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's decay of the running mean of gradients and of their squares."""

    epsilon: float = Field(default=1e-8, gt=0)
    """AdamW's guard against division by zero."""

    max_grad_norm: float = Field(default=1.0, ge=0)
    """Longer gradients (norm over all weights) are scaled down to this length; 0 leaves them."""

    micro_batches: int | None = Field(default=None, ge=1)
    """Into how many micro batches of like length each worker cuts its texts (fewer where there are too few texts).
    More of them mean less padding, since short queries need not be as long as long passages. Where it is not given, 4;
    or 1 where texts are packed, which pads hardly at all (BERT and the RoBERTa family on CPUs, without gradient
    caching)."""

    gradient_caching: bool = False
    """Keep the activations of one micro batch at a time instead of all: a batch beyond memory, a third more work."""

    on_nonfinite: Literal["stop", "skip"] = "stop"
    """When a loss or gradient is NaN or infinite: end the run, or leave that step out on all workers and go on."""
