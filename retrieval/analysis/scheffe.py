"""Scheffé's canonical mixture models: a measure as a polynomial of the shares, without an intercept.

With x_i the shares of K kinds, which add up to 1 (Scheffé, J. R. Statist. Soc. B 20, 1958; Cornell, Experiments with
Mixtures, 3rd edition 2002, chapter 2):

    linear         sum b_i x_i
    quadratic      linear + sum over i < j of b_ij x_i x_j
    special cubic  quadratic + sum over i < j < k of b_ijk x_i x_j x_k
    cubic          special cubic + sum over i < j of d_ij x_i x_j (x_i - x_j)

b_i is the value of kind i alone; b_ij > 0 says that mixing i and j does better than the line between them, by b_ij / 4
half and half. An intercept or squares would be redundant, as the shares add up to 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

MODELS = ("linear", "quadratic", "special cubic", "cubic")


def model_terms(share_PK: np.ndarray, kinds: Sequence[str], model: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Terms of a model at P points, (P, T), and their names (`mono`, `mono*cross`, `mono*cross*(mono-cross)`)."""
    order = MODELS.index(model)
    columns, names = [*share_PK.T], [*kinds]
    numbered = list(enumerate(kinds))
    for size in (2, 3)[:order]:
        for chosen in combinations(numbered, size):
            columns.append(np.prod([share_PK[:, place] for place, _ in chosen], axis=0))
            names.append("*".join(kind for _, kind in chosen))
    if model == "cubic":
        for (one, first), (other, second) in combinations(numbered, 2):
            x, y = share_PK[:, one], share_PK[:, other]
            columns.append(x * y * (x - y))
            names.append(f"{first}*{second}*({first}-{second})")
    return np.stack(columns, axis=1), tuple(names)


@dataclass(frozen=True)
class Fit:
    """A model fitted to M mixes by least squares; what is linear in the observed means is kept as a matrix."""

    model: str
    terms: tuple[str, ...]
    to_coefficients: np.ndarray
    """(T, M): means -> coefficients."""
    to_residuals: np.ndarray
    """(M, M): means -> what the fitted model leaves of them."""
    to_left_out: np.ndarray
    """(M, M): means -> errors of predicting each mix from all others (leave one out; Allen's PRESS residuals)."""

    def cross_validation_error(self, mean_M: np.ndarray) -> np.ndarray:
        """Root mean square of predicting each mix from the others; for (M, B) means (B) errors."""
        return np.sqrt(np.mean((self.to_left_out @ mean_M) ** 2, axis=0))


def fits(share_MK: np.ndarray, kinds: Sequence[str]) -> list[Fit]:
    """The models that these mixes can both determine and check, the simplest first.

    A mix with all its seeds is left out at a time, for the seeds of one mix are no independent check of the surface. A
    model that passes through some mix whatever its value (leverage 1: without that mix it is not determined) is out.
    """
    found: list[Fit] = []
    for model in MODELS:
        term_MT, names = model_terms(share_MK, kinds, model)
        if len(names) >= len(share_MK) or np.linalg.matrix_rank(term_MT) < len(names):
            continue
        if found and names == found[-1].terms:
            continue  # two kinds have no special cubic term
        to_coefficients_TM = np.linalg.pinv(term_MT)
        hat_MM = term_MT @ to_coefficients_TM
        beyond_M = 1 - np.diag(hat_MM)
        if beyond_M.min() < 1e-8:
            continue
        residuals_MM = np.eye(len(share_MK)) - hat_MM
        found.append(Fit(model, names, to_coefficients_TM, residuals_MM, residuals_MM / beyond_M[:, None]))
    return found
