"""How evenly a retriever serves language pairs, from the mean of each pair."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

WORST_PAIRS = 5


def robustness(
    query_languages: Sequence[str], pool_languages: Sequence[str], values: Sequence[float]
) -> dict[str, Any]:
    """Spread of a measure over language pairs.

    Args:
        query_languages: language of the queries of each pair.
        pool_languages: language of its passages.
        values: mean of the measure over the queries of the pair; higher is better.

    Returns:
        `std_over_pairs`: standard deviation over all pairs (they are the whole population, so divided by their number);
        `worst_pairs`: the 5 lowest, lowest first, equal ones in the order given;
        `lowest_decile`: mean of the lowest tenth of the pairs (their number rounded up), a tail mean that one odd pair
        cannot dominate as it does the minimum.
    """
    value = np.asarray(values, np.float64)
    order = np.argsort(value, kind="stable")
    return {
        "std_over_pairs": float(value.std()),
        "worst_pairs": [
            {
                "query_language": query_languages[pair],
                "pool_language": pool_languages[pair],
                "value": float(value[pair]),
            }
            for pair in order[:WORST_PAIRS]
        ],
        "lowest_decile": float(value[order[: math.ceil(len(value) / 10)]].mean()),
    }
