"""InfoNCE over a global batch, with several positives per query and with false negatives masked.

Shape letters: A anchors, C candidates, b queries of this rank, D numbers in a vector.

For a query i with positives P(i), with s the cosine over the temperature and N(i) the candidates that are neither
positives of i nor masked:

    loss(i) = mean over p in P(i) of -log( exp(s_ip) / (exp(s_ip) + sum over n in N(i) of exp(s_in)) )

and the loss of the batch is the mean of loss(i) over all its queries. With one positive it is InfoNCE (van den Oord et
al. 2018, arXiv 1807.03748, equation 4). With several, each positive competes with the negatives alone. SupCon (Khosla
et al. 2020, arXiv 2004.11362, equation 2) puts the other positives into the denominator as well; we do not, because
parallel passages that are equally good would then push each other down: at best they share the softmax, and the loss
of a query with k positives could not fall below log k.
"""

from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid

from trainer.loss import LossConfig

HARD_NEGATIVE = -1


@dataclass(frozen=True)
class Texts:
    """Vectors with what tells positives from negatives."""

    vectors: torch.Tensor
    """(N, D) of length 1."""

    slot: torch.Tensor
    """(N) int64: a query's number in the global batch; a positive passage has its query's; HARD_NEGATIVE for others."""

    group: torch.Tensor
    """(N) int64, shared by parallel texts."""

    passage_id: torch.Tensor
    """(N) int64, shared by questions on one passage and by that passage in any language."""

    def __getitem__(self, rows: slice | torch.Tensor) -> "Texts":
        return Texts(self.vectors[rows], self.slot[rows], self.group[rows], self.passage_id[rows])


@dataclass(frozen=True)
class QueryLosses:
    """What the loss says of each query of this rank."""

    loss: torch.Tensor
    """(b) loss(i), with gradient."""

    correct: torch.Tensor
    """(b) bool: a positive scores higher than every negative."""


def contrastive_loss(
    queries: Texts, passages: Texts, all_queries: Texts, all_passages: Texts, config: LossConfig
) -> QueryLosses:
    """Losses of this rank's queries against the texts of all ranks.

    Summed over the queries of all ranks and divided by their number they give the loss of the global batch, whatever
    the number of ranks.

    Args:
        queries: (b) of this rank, in slot order.
        passages: of this rank; only its positives serve as anchors, and only when `config.symmetric`.
        all_queries: of all ranks; used only when `config.symmetric`.
        all_passages: of all ranks.
    """
    loss, correct = info_nce(queries, all_passages, config)
    if config.symmetric:
        positives = passages[passages.slot != HARD_NEGATIVE]
        back, _ = info_nce(positives, all_queries, config)
        local_slot = positives.slot - queries.slot[0]
        per_query = torch.bincount(local_slot, minlength=len(loss))
        loss = (loss + torch.zeros_like(loss).index_add(0, local_slot, back / per_query[local_slot])) / 2
    return QueryLosses(loss, correct)


def info_nce(anchors: Texts, candidates: Texts, config: LossConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of each anchor against candidates, and whether its best positive beats every negative: (A), (A) bool.

    Positives of an anchor are the candidates of its slot. Where every other candidate is masked the loss is 0.
    """
    score_AC = anchors.vectors @ candidates.vectors.T / config.temperature
    positive_AC = anchors.slot[:, None] == candidates.slot
    excluded_AC = positive_AC
    if config.mask_same_group:
        excluded_AC = excluded_AC | (anchors.group[:, None] == candidates.group)
    if config.mask_same_passage:
        excluded_AC = excluded_AC | (anchors.passage_id[:, None] == candidates.passage_id)
    negative_AC = score_AC.masked_fill(excluded_AC, float("-inf"))

    anchor, candidate = positive_AC.nonzero(as_tuple=True)
    # -log(e^s / (e^s + sum e^n)) = -log sigmoid(s - logsumexp(n)), exact for large and small values alike.
    loss = -logsigmoid(score_AC[anchor, candidate] - negative_AC.logsumexp(1)[anchor])
    share = positive_AC.sum(1)[anchor]
    loss_A = torch.zeros_like(score_AC[:, 0]).index_add(0, anchor, loss / share)

    best_positive_A = score_AC.detach().masked_fill(~positive_AC, float("-inf")).amax(1)
    return loss_A, best_positive_A > negative_AC.detach().amax(1)
