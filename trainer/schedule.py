"""Step number -> learning rate."""

import math
from typing import Literal

from pydantic import Field

from cluster.config import Config


class ScheduleConfig(Config):
    """How the learning rate rises and falls over a run."""

    warmup: float = Field(default=0.1, ge=0, le=1)
    """Share of all steps over which the rate rises in a straight line to its peak."""

    decay: Literal["linear", "cosine", "constant"] = "linear"
    """How it falls afterwards. Cosine: Loshchilov and Hutter 2017, arXiv 1608.03983, one period, no restarts."""

    final: float = Field(default=0.0, ge=0, le=1)
    """Rate at the end of the decay, as a share of the peak; the last step stands one step before that end."""


def warmup_steps(steps: int, config: ScheduleConfig) -> int:
    """Steps over which the rate rises."""
    return round(config.warmup * steps)


def learning_rate(step: int, steps: int, peak: float, config: ScheduleConfig) -> float:
    """Learning rate of one step: a pure function, so that a resumed run continues the same curve.

    With w = round(warmup x steps) steps of warm-up, step s (from 0) has the rate peak x (s + 1) / w while s < w. After
    that, with t = (s - w) / (steps - w) running from 0 to just below 1, the rate is peak x (final + (1 - final) x f(t))
    with f(t) = 1 - t (linear), (1 + cos(pi t)) / 2 (cosine) or 1 (constant). No step has the rate 0 unless the peak is.

    Args:
        step: from 0 to steps - 1; a step beyond the end keeps the rate of the last.
        steps: all steps of the run.
        peak: the highest rate.
    """
    step = min(step, steps - 1)
    rising = warmup_steps(steps, config)
    if step < rising:
        return peak * (step + 1) / rising
    progress = (step - rising) / (steps - rising)
    fall = {"linear": 1 - progress, "cosine": (1 + math.cos(math.pi * progress)) / 2, "constant": 1.0}[config.decay]
    return peak * (config.final + (1 - config.final) * fall)
