"""Vectors of a step's texts now, gradients through them later.

The loss needs the vectors of the whole global batch at once; the encoder's activations need not be there at once. So
the loss is taken on vectors cut off from their graph, and its gradient with respect to each vector is pushed through
the encoder afterwards, as the gradient of sum(vector x gradient): the chain rule, in two steps. Done micro batch by
micro batch, with a second forward pass for each, this is gradient caching (Gao et al. 2021, arXiv 2101.06983): the
activations of one micro batch at a time, for about a third more arithmetic.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

Encode = Callable[[Sequence[int]], torch.Tensor]
"""Numbers of micro batches -> their vectors (texts of these micro batches, D), in order. Called twice with the same
numbers it gives the same vectors, dropout included."""

Backward = Callable[[torch.Tensor, bool], None]
"""Runs backward from a scalar; the flag marks the last one of the step."""


class VectorPass:
    """One step's way through the encoder: forward on construction, `backward` once the loss is known.

    Without caching all micro batches go through in one graph that stays until `backward`; with caching, each is
    encoded without a graph first, and again with one inside `backward`.
    """

    def __init__(self, encode: Encode, rows: Sequence[np.ndarray], caching: bool) -> None:
        """Encode everything.

        Args:
            encode: see `Encode`.
            rows: text numbers of each micro batch; together every text once.
            caching: keep no graph. A single micro batch is encoded once all the same: a second pass saves nothing.
        """
        self._encode = encode
        numbers = range(len(rows))
        self._rounds: list[list[int]] = [[number] for number in numbers] if caching else [list(numbers)]
        self._kept: torch.Tensor | None = None
        if len(self._rounds) == 1:
            self._kept = encode(self._rounds[0])
            encoded = self._kept.detach()
        else:
            with torch.no_grad():
                encoded = torch.cat([encode(numbers) for numbers in self._rounds])
        self._order = [torch.from_numpy(np.concatenate([rows[n] for n in numbers])) for numbers in self._rounds]
        self.vectors = torch.empty_like(encoded)
        """(N, D) in the order of the texts, without graph."""
        self.vectors[torch.cat(self._order)] = encoded

    def backward(self, gradient: torch.Tensor, backward: Backward) -> None:
        """Push the gradient of the loss with respect to `vectors`, (N, D), through the encoder."""
        for number, (micro_batches, order) in enumerate(zip(self._rounds, self._order, strict=True)):
            vectors = self._kept if self._kept is not None else self._encode(micro_batches)
            backward((vectors * gradient[order]).sum(), number == len(self._rounds) - 1)
        self._kept = None
