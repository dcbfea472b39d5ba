"""What can be set of the feed."""

from typing import Literal

from pydantic import Field

from cluster.config import Config


class FeedConfig(Config):
    """How batches are made ahead of training."""

    hard_negatives: int = Field(default=0, ge=0)
    """Hard negatives added per query, at most, from sources that have them."""
    steps_per_task: int = Field(default=8, ge=1)
    """Steps that are made in one go; more of them cost memory and latency at the start, and save overhead."""
    prefetch: int = Field(default=4, ge=1)
    """Batches kept ready on each worker."""
    # Left out where it is `auto`: runs keep the fingerprints they had before there was a cache.
    token_cache: Literal["auto", "always", "never"] = Field(default="auto", exclude_if=lambda choice: choice == "auto")
    """Tokenise all training groups once, ahead of training, and read token ids from there; batches are the same.
    `auto`: where that was done already, or training draws more texts than the groups hold."""
    cpus: float = Field(default=0.5, gt=0)
    """Logical CPUs that each rank's feed asks of Ray."""
