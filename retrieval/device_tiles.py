"""Vectors in, ranks of the relevant passages out, as `tiles`, but counted by torch on a device: a GPU, where one is.

The scores of a tile of queries stand on the device, never all of them. Every score is placed among the thresholds of
its query (the scores of the relevant passages, sorted) by binary search, and the places are counted: a threshold has
ahead of it what lies in later places. Scores that equal a threshold are few; they are gathered, sorted by row and
searched.

Shape letters: Q queries of the tile, P passages, J relevant pairs of these queries, R relevant passages of the query
that has most, C columns looked at together, K best passages kept.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch

from cluster.errors import ConfigError
from cluster.logs import get_logger
from retrieval.per_query import TileRanks
from retrieval.records import Collection
from retrieval.scores import VectorScores
from retrieval.tiles import BEST_KEPT, judged_in, query_tiles, tile_ranks

Device = Literal["auto", "cpu", "cuda"]
TILE_BYTES = 1 << 30
SCORES_AT_ONCE = 1 << 25
"""Scores that are placed together; what that takes besides is about 20 bytes each."""
_LOW = 0xFFFFFFFF
_MINUS_INFINITY = -2139095041
"""What `_rising` makes of minus infinity."""
_log = get_logger("ranks")


def ranking_device(wanted: Device, passages: np.ndarray) -> str | None:
    """The device that `device_tiles` is to rank on; None where this machine's processors count (`tiles`).

    `auto` takes a GPU that has room for the vectors of the passages (P, D) and for a tile of scores.

    Raises:
        ConfigError: a GPU is wanted and there is none.
    """
    if wanted == "cpu":
        return None
    if not torch.cuda.is_available():
        if wanted == "cuda":
            raise ConfigError("evaluation.device: cuda is asked for and torch finds no GPU here; use auto or cpu")
        return None
    free, _ = torch.cuda.mem_get_info()
    needed = passages.nbytes + TILE_BYTES + 20 * SCORES_AT_ONCE
    if wanted == "auto" and needed > free:
        _log.info("ranks are counted on the CPU: %d MiB are free on the GPU, %d needed", free >> 20, needed >> 20)
        return None
    return "cuda"


def device_tiles(
    collection: Collection, scores: VectorScores, device: str, tile_bytes: int = TILE_BYTES
) -> Iterator[TileRanks]:
    """Score and rank a tile of queries after the other; the ranks of `ranked_tiles`, up to the rounding of scores.

    Args:
        device: as torch names it; `cpu` works too.
        tile_bytes: scores on the device at once, about.
    """
    bounds = collection.language_bounds
    num_passages = len(scores.passages)
    passage_PD = torch.tensor(scores.passages, device=device)
    repeated, original = (torch.tensor(rows, device=device) for rows in (scores.repeated, scores.original))
    height = max(1, min(len(scores.queries), tile_bytes // (4 * num_passages)))
    for first, end in query_tiles(collection, height):
        score_QP = torch.tensor(scores.queries[first:end], device=device) @ passage_PD.T
        if len(repeated):
            score_QP[:, repeated] = score_QP[:, original]
        if collection.own_passage is not None:
            own_Q = collection.own_passage[first:end]
            with_own = np.flatnonzero(own_Q >= 0)
            score_QP[torch.tensor(with_own, device=device), torch.tensor(own_Q[with_own], device=device)] = -torch.inf
        judged, starts = judged_in(collection, first, end)
        row_J = collection.judged_passage[judged]
        own_J, all_J = count_ahead_on(score_QP, starts, row_J, collection.passage_language[row_J], bounds)
        best_QK = best_rows_on(score_QP, min(BEST_KEPT, num_passages))
        yield tile_ranks(collection, first, end, own_J + 1, all_J + 1, best_QK)


def count_ahead_on(
    score_QP: torch.Tensor, starts: np.ndarray, row_J: np.ndarray, language_J: np.ndarray, bounds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Passages ahead of each relevant one, as `ranks.count_ahead` counts them, on the device of the scores.

    Args:
        score_QP: float32 without NaN.
        starts: (Q + 1) the judgements of query q are `starts[q]` up to `starts[q + 1]`.
        row_J: passage row of each.
        language_J: its language.
        bounds: (L + 1) columns of language l are bounds[l] up to bounds[l + 1].

    Returns:
        Passages ahead within the language, and in all columns, both (J) int64.
    """
    device = score_QP.device
    num_queries, num_passages = score_QP.shape
    if not len(row_J):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    query, place, row, language = (
        torch.tensor(array.astype(np.int64), device=device)
        for array in (
            np.repeat(np.arange(num_queries), np.diff(starts)),
            np.arange(len(row_J)) - np.repeat(starts[:-1], np.diff(starts)),
            row_J,
            language_J,
        )
    )
    most = int(np.diff(starts).max())
    threshold_QR = torch.full((num_queries, most), torch.inf, device=device)
    threshold_QR[query, place] = score_QP[query, row]
    sorted_QR = threshold_QR.sort(dim=1).values
    # The place of each threshold is that of the first of those that equal it.
    place_J = torch.searchsorted(sorted_QR, threshold_QR)[query, place]
    width = most + 1
    own_J, all_J = torch.zeros_like(row), torch.zeros_like(row)
    equal_keys = []
    for number in np.flatnonzero(np.diff(bounds)):
        counts = torch.zeros(num_queries * width, dtype=torch.int64, device=device)
        for low, high in _stretches(int(bounds[number]), int(bounds[number + 1]), num_queries):
            score_QC = score_QP[:, low:high].contiguous()
            place_QC = torch.searchsorted(sorted_QR, score_QC)
            cell_QC = place_QC + width * torch.arange(num_queries, device=device)[:, None]
            counts += torch.bincount(cell_QC.reshape(-1), minlength=len(counts))
            equal = (place_QC < most) & (sorted_QR.gather(1, place_QC.clamp(max=most - 1)) == score_QC)
            tied = equal.nonzero()
            equal_keys.append(cell_QC[equal] * num_passages + tied[:, 1] + low)
        ahead_QR = counts.reshape(num_queries, width).flip(1).cumsum(1).flip(1)  # scores in this place and later ones
        ahead_J = ahead_QR[query, place_J + 1]
        all_J += ahead_J
        own_J += torch.where(language == int(number), ahead_J, 0)
    keys, _ = torch.cat(equal_keys).sort()
    base = (query * width + place_J) * num_passages
    low_J = torch.tensor(bounds, device=device)[language]
    before = torch.searchsorted(keys, base + row)
    all_J += before - torch.searchsorted(keys, base)
    own_J += before - torch.searchsorted(keys, base + low_J)
    return own_J.cpu().numpy(), all_J.cpu().numpy()


def best_rows_on(score_QP: torch.Tensor, keep: int) -> np.ndarray:
    """Rows of the `keep` best passages of each query, as `best.best_rows`, on the device of the scores."""
    best_QK = torch.empty((len(score_QP), 0), dtype=torch.int64, device=score_QP.device)
    for low, high in _stretches(0, score_QP.shape[1], len(score_QP)):
        # A number for each passage that no other has: it rises with the score and falls with the row.
        row_C = torch.arange(low, high, device=score_QP.device)
        key_QC = (_rising(score_QP[:, low:high]) << 32) | (_LOW - row_C)
        best_QK = torch.cat([best_QK, key_QC], dim=1)
        best_QK = best_QK.topk(min(keep, best_QK.shape[1]), dim=1).values
    row_QK = torch.where((best_QK >> 32) == _MINUS_INFINITY, -1, _LOW - (best_QK & _LOW))
    return row_QK.cpu().numpy()


def _rising(score: torch.Tensor) -> torch.Tensor:
    """The bits of float32 scores as int64 numbers in the order of the scores; the two zeros are one."""
    bits = (score + 0.0).view(torch.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).to(torch.int64)


def _stretches(first: int, end: int, num_queries: int) -> Iterator[tuple[int, int]]:
    """Columns cut so that no more than about SCORES_AT_ONCE scores are looked at together."""
    width = max(1, SCORES_AT_ONCE // num_queries)
    for low in range(first, end, width):
        yield low, min(low + width, end)
