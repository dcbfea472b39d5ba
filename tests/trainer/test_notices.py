"""Word of a resize: the controller waits for the training that can still save, and for nobody else."""

import threading
import time

from trainer.notices import ResizeNotice


def test_nobody_is_waited_for_where_nothing_trains() -> None:
    notice = ResizeNotice()
    notice.give()
    assert notice.wait_until_heeded(0.0) and not notice.is_given()


def test_a_training_is_waited_for_until_it_has_saved_or_ended() -> None:
    for goes_on in (True, False):
        notice = ResizeNotice()
        notice.listen()
        notice.give()
        assert notice.is_given() and not notice.wait_until_heeded(0.01)
        threading.Timer(0.1, notice.heed, [goes_on]).start()
        started = time.monotonic()
        assert notice.wait_until_heeded(60) and time.monotonic() - started < 30
        notice.give()
        assert notice.is_given() is goes_on, "a training that goes on hears of the next one too"


def test_the_next_training_of_a_process_does_not_hear_of_an_old_notice() -> None:
    notice = ResizeNotice()
    notice.listen()
    notice.heed(goes_on=False)
    notice.give()
    notice.listen()
    assert not notice.is_given()
