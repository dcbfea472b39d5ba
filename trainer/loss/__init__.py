"""Vectors of a global batch -> contrastive loss -> gradients, alike for any number of workers.

contrastive   InfoNCE over the texts of all ranks, several positives, false negatives masked
gather        rows of all ranks to every rank, and sums of gradients back
gradcache     vectors now, gradients through them later: in one graph, or micro batch by micro batch
"""

from pydantic import Field

from cluster.config import Config


class LossConfig(Config):
    """The contrastive loss of a global batch."""

    temperature: float = Field(default=0.05, gt=0)
    """Cosines are divided by it: lower tells near passages apart more sharply."""

    symmetric: bool = False
    """Also let each positive passage find its query among all queries, and average both directions."""

    mask_same_group: bool = True
    """Passages of the query's own group, in any language, are no negatives: they say the same."""

    mask_same_passage: bool = True
    """Passages with the id of the query's own passage are no negatives: several questions share a paragraph."""
