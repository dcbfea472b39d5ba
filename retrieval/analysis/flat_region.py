"""Which arms can be the best: the flat region around the arm with the best mean."""

import numpy as np

from retrieval.analysis.observations import Panel
from retrieval.analysis.spread import components
from retrieval.measures.statistics import LEVEL


def flat_region(panel: Panel, draw_MB: np.ndarray, level: float = LEVEL) -> list[int]:
    """Numbers of the arms that are not distinguishable from the best; the truly best is among them with probability
    `level`.

    Subset selection (Gupta, Technometrics 7, 1965), equivalently the arms whose upper limit of multiple comparisons
    with the best is above 0 (Hsu, Ann. Statist. 9, 1981). Arm m stays in if for no other arm j

        (mean of j - mean of m) / standard error of the difference > c_m,

    c_m the `level` quantile, over the joint draws, of the largest such ratio if all arms were equal to m. Unlike tests
    against the arm that came out best, this holds whichever arm came out best.

    Args:
        panel: the values.
        draw_MB: `joint_draws` of the panel.
        level: of confidence.
    """
    sign = 1.0 if panel.higher_is_better else -1.0
    mean_M, apart_MB = sign * panel.means, sign * (draw_MB - panel.means[:, None])
    error_MM = difference_errors(panel)
    inside = []
    for number in range(len(panel.arms)):
        others = np.arange(len(panel.arms)) != number
        error_O = error_MM[number, others]
        differs = error_O > 0
        behind_O = mean_M[others] - mean_M[number]
        if not differs.all() and behind_O[~differs].max() > 0:
            continue  # an arm that is better on every unit alike
        if not differs.any():
            inside.append(number)
            continue
        chance_OB = (apart_MB[others] - apart_MB[number])[differs] / error_O[differs, None]
        limit = np.quantile(chance_OB.max(axis=0), level)
        if (behind_O[differs] / error_O[differs]).max() <= limit:
            inside.append(number)
    return inside


def difference_errors(panel: Panel) -> np.ndarray:
    """Standard error of the difference of every two arms over units and seeds, (M, M); see `contrasts.contrast`."""
    num_units = panel.values.shape[2]
    apart_MI = panel.values.mean(axis=1)
    apart_MI = apart_MI - apart_MI.mean(axis=1, keepdims=True)
    squares = [np.sum((apart_MI - apart_I) ** 2, axis=1) for apart_I in apart_MI]
    over_units_MM = np.stack(squares) / (max(num_units - 1, 1) * num_units)
    over_seeds = 2 * components(panel).arm_seed_alone / len(panel.seeds)
    return np.sqrt(over_units_MM + over_seeds * (1 - np.eye(len(panel.arms))))
