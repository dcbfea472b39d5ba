"""Tables -> panels: arranged by arm, seed and unit, complete, and with the macro mean as their mean."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import DataError
from retrieval.analysis.observations import influence, mean_costs, panel_of, query_values
from retrieval.measures.statistics import bootstrap_intervals, design_of, macro_mean


def tables(cells: list[tuple[str, str, int]], units: int = 3) -> tuple[pa.Table, pa.Table]:
    """Trials (name, share of mono, seed), whose value on unit n is seed + n / 10."""
    trials = [
        {
            "trial": name,
            "seed": seed,
            "mix:mono": mono,
            "mix:cross": "1/2" if mono == "1/2" else "0",
            "cost:seconds": seed + 1.0,
        }
        for name, mono, seed in cells
    ]
    values = [
        {"trial": name, "setting": "mono", "measure": "mAP", "unit": f"q{n}", "value": seed + n / 10}
        for name, _, seed in cells
        for n in reversed(range(units))
    ]
    return pa.Table.from_pylist(trials), pa.Table.from_pylist(values)


def test_a_panel_by_hand() -> None:
    trials, values = tables([("b1", "1/2", 1), ("a0", "1", 0), ("b0", "1/2", 0), ("a1", "1", 1)])
    panel = panel_of(trials, values, "mono", "mAP")
    assert [arm.label for arm in panel.arms] == ["mono 1/2, cross 1/2", "mono 1"]
    assert (panel.seeds, panel.units, panel.left_out) == ((0, 1), ("q0", "q1", "q2"), ())
    assert panel.trials == (("b0", "b1"), ("a0", "a1"))
    np.testing.assert_allclose(panel.values[1], [[0, 0.1, 0.2], [1, 1.1, 1.2]])
    assert mean_costs(trials, panel) == {"seconds": [1.5, 1.5]}


def test_the_largest_complete_part_is_kept_and_the_rest_named() -> None:
    cells = [("a0", "1", 0), ("a1", "1", 1), ("b0", "1/2", 0), ("b1", "1/2", 1), ("a2", "1", 2)]
    panel = panel_of(*tables(cells), "mono", "mAP")
    assert panel.seeds == (0, 1) and len(panel.arms) == 2 and panel.left_out == ("a2",)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t, v: (t, v.slice(1)), "trial a0 has no finite mAP in setting 'mono' for unit 'q2'"),
        (lambda t, v: (t, pa.concat_tables([v, v.slice(0, 1)])), "stands twice"),
        (lambda t, v: (t.slice(1), v), "trial a0 is not in the table"),
        (lambda t, v: (t, v.slice(0, 0)), "none of mAP"),
    ],
)
def test_what_does_not_fit_is_refused(change: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        panel_of(*change(*tables([("a0", "1", 0), ("a1", "1", 1)])), "mono", "mAP")


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), number=st.integers(1, 40))
def test_influences_average_to_the_macro_mean(seed: int, number: int) -> None:
    rng = np.random.default_rng(seed)
    design = design_of(rng.integers(0, 4, number), rng.integers(0, 9, number))
    value_n = rng.normal(size=number)
    assert influence(value_n, design).mean() == pytest.approx(macro_mean(value_n, design))


def test_resampling_influences_is_resampling_queries_where_coverage_differs() -> None:
    """Strata with different ids, and levels far apart: the interval of the resampled macro mean, and of its linear form."""
    rng = np.random.default_rng(0)
    id_n = np.concatenate([np.arange(200), np.arange(100, 260), np.arange(0, 260, 2)])
    stratum_n = np.repeat([0, 1, 2], [200, 160, 130])
    value_n = rng.normal(size=260)[id_n] + rng.normal(size=490) + 10 * stratum_n
    design = design_of(stratum_n, id_n)
    exact = bootstrap_intervals(value_n[:, None], design, resamples=4000)[0]
    alone = design_of(np.zeros(260, np.int64), np.arange(260))
    linear = bootstrap_intervals(influence(value_n, design)[:, None], alone, resamples=4000)[0]
    np.testing.assert_allclose(linear, exact, atol=0.05 * (exact[1] - exact[0]))


def test_values_of_an_evaluation() -> None:
    per_query = pa.table({
        "setting": ["mono"] * 4, "query_language": ["de", "en", "de", "en"], "pool_language": ["de", "en", "de", "en"],
        "query_id": ["x", "x", "y", "y"], "num_relevant": [1] * 4, "mAP": [0.0, 0.5, 1.0, 0.7],
    })  # fmt: skip
    rows = query_values(per_query, ["mAP"], "mono").to_pylist()
    assert [(row["unit"], row["measure"], row["setting"]) for row in rows] == [
        ("x", "mAP", "mono"),
        ("y", "mAP", "mono"),
    ]
    np.testing.assert_allclose([row["value"] for row in rows], [0.25, 0.85])
