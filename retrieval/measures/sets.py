"""Which measures an evaluation takes: all of them, or those that the best k of a ranking tell."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from cluster.errors import ConfigError
from retrieval.measures.bias import PooledRanking, bias_measures
from retrieval.measures.peer import DEPTH
from retrieval.measures.ranking import MEASURES, Rankings, reciprocal_rank_within

LEAST_DEPTH = 100
"""Of the deepest measure, R@100."""
_WHOLE = ("rank_distance", "language_preference")
"""Measures of bias that need the rank of every relevant passage."""


@dataclass(frozen=True)
class MeasureSet:
    """Measures by their name in tables."""

    ranking: Mapping[str, Callable[[Rankings], np.ndarray]]
    bias: Callable[[PooledRanking], dict[str, np.ndarray]]


WHOLE_RANKING = MeasureSet(MEASURES, bias_measures)


def within(depth: int) -> MeasureSet:
    """Measures that need no rank beyond `depth`, where what is not found ranks last; MRR is cut off there and says so.

    Raises:
        ConfigError: less deep than the measures look.
    """
    if depth < LEAST_DEPTH:
        raise ConfigError(f"evaluation.depth: {depth} is less than the {LEAST_DEPTH} ranks that R@{LEAST_DEPTH} needs")
    ranking = {name: measure for name, measure in MEASURES.items() if "@" in name}
    ranking[f"MRR@{depth}"] = partial(reciprocal_rank_within, k=depth)
    return MeasureSet(ranking, partial(_bias_within, depth))


def _bias_within(depth: int, pooled: PooledRanking) -> dict[str, np.ndarray]:
    values = bias_measures(pooled)
    too_deep = [name for name in values if name.startswith("peer_") and depth < DEPTH]
    return {name: value for name, value in values.items() if name not in (*_WHOLE, *too_deep)}
