"""When an encoder is said to have collapsed."""

import logging

import pytest

from trainer.collapse import CollapseWatch


def test_it_is_said_once_and_not_before_the_rate_has_risen(caplog: pytest.LogCaptureFixture) -> None:
    watch = CollapseWatch(warmup=20)
    with caplog.at_level(logging.WARNING, "mixlingual"):
        for step in range(29):
            watch.saw(step, 1.0)
        assert not caplog.messages
        for step in range(29, 200):
            watch.saw(step, 1.0)
    (told,) = caplog.messages
    assert told.startswith("step 29: all vectors have been alike for 30 steps (their mean is 1.00000 long")


def test_steps_that_differ_begin_the_count_again(caplog: pytest.LogCaptureFixture) -> None:
    watch = CollapseWatch(warmup=0)
    with caplog.at_level(logging.WARNING, "mixlingual"):
        for step in range(400):
            watch.saw(step, float("nan") if step % 27 == 0 else 0.99 if step % 9 == 0 else 1.0)
    assert not caplog.messages
