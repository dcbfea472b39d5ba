"""The encoder is chosen by validation, and the batch must suit every number of workers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.config import build_config
from cluster.errors import ConfigError
from retrieval.measures.ranking import MEASURES
from trainer.config import TrainingConfig, ValidationConfig
from trainer.validate import Selection, chosen_value

RECORD = {
    "mono": {"mAP": 0.9, "R@1": 0.8},
    "cross": {"mAP": 0.5, "R@1": 0.4},
    "multi": {"mAP": 0.1, "R@1": 0.0},
    "rank_distance": 12.5,
}


@pytest.mark.parametrize(
    ("measure", "value"),
    [("mono.mAP", 0.9), ("cross.R@1", 0.4), ("multi.R@1", 0.0), ("mean.mAP", 0.5), ("mean.R@1", 0.4)],
)
def test_the_figure_that_selects(measure: str, value: float) -> None:
    assert chosen_value(RECORD, measure) == pytest.approx(value)


def test_the_mean_is_over_the_settings_there_are() -> None:
    assert chosen_value({"mono": {"mAP": 0.2}, "multi": {"mAP": 0.4}}, "mean.mAP") == pytest.approx(0.3)


@pytest.mark.parametrize("measure", ["multi.map", "mean.nDCG@10", "cross.mAP"])
def test_a_figure_that_was_not_measured_is_named(measure: str) -> None:
    record = {name: RECORD[name] for name in ("mono", "multi", "rank_distance")}
    with pytest.raises(ConfigError, match=rf"'{measure}' is not measured .* known: mono\.R@1, mono\.mAP, multi\.R@1"):
        chosen_value(record, measure)


@pytest.mark.parametrize(
    ("measure", "works"),
    [("multi.mAP", True), ("mean.nDCG@10", True), ("mAP", False), ("multi.", False), ("all.mAP", False)],
)
def test_the_form_of_the_measure_is_checked_with_the_configuration(measure: str, works: bool) -> None:
    if works:
        assert build_config(ValidationConfig, {"measure": measure}).measure.partition(".")[2] in MEASURES
    else:
        with pytest.raises(ConfigError, match="measure: must be a setting and a measure, such as"):
            build_config(ValidationConfig, {"measure": measure})


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(0, 4))
def test_the_best_validation_is_kept_and_patience_counts_from_it(values: list[int], patience: int) -> None:
    config = ValidationConfig(patience=patience)
    selection = Selection()
    assert not selection.exhausted(config)
    stopped_at = None
    for number, value in enumerate(values):
        selection = selection.after(value / 4, step=(number + 1) * 10)
        if stopped_at is None and selection.exhausted(config):
            stopped_at = number
    best = values.index(max(values))  # the first of equals
    assert (selection.best, selection.best_step) == (values[best] / 4, (best + 1) * 10)
    assert selection.without_best == len(values) - 1 - best
    # By hand: training stops at the first validation that is `patience` later than the best one up to it.
    late = [n for n in range(len(values)) if n - values.index(max(values[: n + 1])) >= patience]
    assert stopped_at == (late[0] if patience and late else None)


@pytest.mark.parametrize(
    ("batch", "workers", "fewest", "said"),
    [
        (96, 5, None, "96 is not divisible by 5 workers (training.workers); use 95 or 100"),
        (3, 5, None, "3 is not divisible by 5 workers (training.workers); use 5"),
        (16, 4, 2, "16 is not divisible by 3 workers (training.min_workers is 2 and training.workers 4"),
        (16, 4, 2, "use 12 or 24"),
    ],
)
def test_a_batch_that_some_number_of_workers_does_not_divide(
    batch: int, workers: int, fewest: int | None, said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        TrainingConfig(workers=workers, min_workers=fewest).check_batch(batch)
    assert str(error.value).startswith("mixing.batch: ") and said in str(error.value)


@settings(deadline=None)
@given(st.integers(2, 60), st.integers(1, 6), st.integers(0, 3))
def test_a_batch_passes_if_every_number_of_workers_divides_it(batch: int, fewest: int, more: int) -> None:
    config = TrainingConfig(workers=fewest + more, min_workers=fewest)
    if all(batch % workers == 0 for workers in range(fewest, fewest + more + 1)):
        config.check_batch(batch)
    else:
        with pytest.raises(ConfigError) as error:
            config.check_batch(batch)
        for usable in str(error.value).rpartition("use ")[2].split(" or "):
            config.check_batch(int(usable))


def test_fewest_workers_are_not_more_than_most() -> None:
    with pytest.raises(ConfigError, match="min_workers 4 exceeds workers 2"):
        build_config(TrainingConfig, {"workers": 2, "min_workers": 4})
