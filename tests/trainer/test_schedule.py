import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.config import build_config
from cluster.errors import ConfigError
from trainer.schedule import ScheduleConfig, learning_rate


def rates(steps: int, **fields) -> list[float]:
    return [learning_rate(step, steps, 8.0, ScheduleConfig(**fields)) for step in range(steps)]


def test_warm_up_and_linear_decay_by_hand():
    assert rates(10, warmup=0.2) == pytest.approx([4, 8, 8, 7, 6, 5, 4, 3, 2, 1])


def test_cosine_and_constant_by_hand():
    assert rates(4, warmup=0, decay="cosine") == pytest.approx([8, 4 + 2 * 2**0.5, 4, 4 - 2 * 2**0.5])
    assert rates(4, warmup=0.5, decay="constant") == [4, 8, 8, 8]


def test_decay_ends_at_the_final_share():
    assert rates(4, warmup=0, final=0.5) == pytest.approx([8, 7, 6, 5])


@given(
    steps=st.integers(1, 400),
    warmup=st.floats(0, 1),
    final=st.floats(0, 1),
    decay=st.sampled_from(["linear", "cosine", "constant"]),
)
def test_rates_rise_to_the_peak_then_never_rise_again(steps: int, warmup: float, final: float, decay: str):
    found = rates(steps, warmup=warmup, final=final, decay=decay)
    top = max(found)
    assert top == pytest.approx(8) and min(found) > 0
    peak = found.index(top)
    assert found[: peak + 1] == sorted(found[: peak + 1])
    assert found[peak:] == sorted(found[peak:], reverse=True)
    assert min(found[peak:]) >= 8 * final - 1e-9


def test_a_step_beyond_the_end_keeps_the_last_rate():
    config = ScheduleConfig()
    assert learning_rate(99, 10, 1.0, config) == learning_rate(9, 10, 1.0, config)


def test_a_share_above_one_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"schedule: warmup: .*\(found 100\)"):
        build_config(ScheduleConfig, {"warmup": 100}, where="schedule")
