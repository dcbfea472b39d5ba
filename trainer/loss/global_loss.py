"""One rank's vectors -> the loss of the global batch and its gradient with respect to these vectors."""

from dataclasses import dataclass

import numpy as np
import torch

from trainer.batch import LocalBatch
from trainer.loss import LossConfig
from trainer.loss.contrastive import HARD_NEGATIVE, Texts, contrastive_loss
from trainer.loss.gather import gather_rows, row_counts, scatter_sum, sum_over_ranks
from trainer.ranks import rank


@dataclass(frozen=True)
class GlobalLoss:
    """Loss of one global batch, as one rank sees it."""

    loss: float
    """Mean over all queries of the global batch; the same on all ranks."""

    accuracy: float
    """Share of its queries whose positive beats every negative of the global batch; the same on all ranks."""

    per_query: np.ndarray
    """(b) float32 losses of this rank's queries."""

    gradient: torch.Tensor
    """(b + n, D) derivative of `loss` with respect to this rank's vectors, through the losses of all ranks."""


def global_loss(vectors: torch.Tensor, batch: LocalBatch, config: LossConfig) -> GlobalLoss:
    """Take the loss over the vectors of all ranks. Collective.

    Each rank computes the losses of its own queries against all passages, so a passage receives gradients on every
    rank; they are summed and handed back to the rank that encoded it.

    Args:
        vectors: (b + n, D) of this rank's queries, then passages, without graph; any float type.
        batch: the texts they belong to.
    """
    device, b = vectors.device, len(batch.query_ids)
    query_counts = row_counts(b, device)
    counts = row_counts(len(vectors), device)
    facts = _facts(batch, first_slot=sum(query_counts[: rank()])).to(device)
    all_vectors = gather_rows(vectors, counts).requires_grad_()
    all_facts = gather_rows(facts, counts)
    texts = Texts(all_vectors, *all_facts[:, 1:].unbind(1))
    mine = texts[slice(sum(counts[: rank()]), sum(counts[: rank() + 1]))]
    is_query = all_facts[:, 0] == 1

    losses = contrastive_loss(mine[:b], mine[b:], texts[is_query], texts[~is_query], config)
    (losses.loss.sum() / sum(query_counts)).backward()
    assert all_vectors.grad is not None
    gradient = scatter_sum(all_vectors.grad, counts)
    totals = sum_over_ranks(torch.stack([losses.loss.detach().double().sum(), losses.correct.double().sum()]))
    loss, accuracy = (totals / sum(query_counts)).tolist()
    return GlobalLoss(loss, accuracy, losses.loss.detach().float().cpu().numpy(), gradient)


def _facts(batch: LocalBatch, first_slot: int) -> torch.Tensor:
    """(b + n, 4) int64: is a query, slot in the global batch, group, passage id; queries first."""
    b, n = len(batch.query_ids), len(batch.passage_ids)
    answers = np.where(batch.passage_positive, first_slot + batch.passage_slot, HARD_NEGATIVE)
    columns = [
        np.repeat([1, 0], [b, n]),
        np.concatenate([first_slot + np.arange(b), answers]),
        np.concatenate([batch.query_group, batch.passage_group]),
        np.concatenate([batch.query_passage_id, batch.passage_passage_id]),
    ]
    return torch.from_numpy(np.stack(columns, axis=1).astype(np.int64))
