"""AdamW as every ZeRO stage uses it."""

import torch

from trainer.engine_config import EngineConfig

MOMENTS = ("exp_avg", "exp_avg_sq")
"""Keys of torch's AdamW state: running means of gradients and of squared gradients."""


def adamw(module: torch.nn.Module, config: EngineConfig, device: torch.device) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) over the trained parameters of a module.

    Decay acts on matrices only: biases and the weights of norms are the parameters with a single axis. The learning
    rate starts at 0; whoever steps sets it.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=0.0,
        betas=config.betas,
        eps=config.epsilon,
        fused=True,
    )
