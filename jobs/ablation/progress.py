"""A study's progress for people: a line for each trial that ends, and now and then a table of those under way."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cluster.logs import get_logger

if TYPE_CHECKING:
    from jobs.ablation.session import Session

_POLL_SECONDS = 1.0
_TABLE_SECONDS = 30.0
_logger = get_logger("study")


@contextlib.contextmanager
def following(session: "Session") -> Iterator[None]:
    """Log what the desk knows, for the time of a block."""
    stop = threading.Event()
    thread = threading.Thread(target=_follow, args=(session, stop), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _follow(session: "Session", stop: threading.Event) -> None:
    import ray

    ended: set[str] = set()
    started = last = time.monotonic()
    while True:
        stopping = stop.wait(_POLL_SECONDS)
        with contextlib.suppress(Exception):  # the desk goes with the cluster
            state: dict[str, dict[str, Any]] = ray.get(session.desk.state.remote(), timeout=5)
            of_trials = {name: one for name, one in state.items() if name in session.trials}
            done = [name for name, one in of_trials.items() if one["outcome"] == "finished" and not one["told"]]
            for name in done:
                if name not in ended:
                    ended.add(name)
                    trial, after = session.trials[name], time.monotonic() - started
                    told = len(of_trials)
                    _logger.info(
                        "%d of %d: %s%s (%.0f s)", len(ended), told, trial.label, _figures(of_trials[name]), after
                    )
            if time.monotonic() - last >= _TABLE_SECONDS:
                last = time.monotonic()
                for line in table(session, of_trials):
                    _logger.info("  %s", line)
        if stopping:
            return


def table(session: "Session", state: dict[str, dict[str, Any]]) -> list[str]:
    """Lines: label, step, newest figures of each trial that is under way."""
    steps = session.study.run.training.steps
    return [
        f"{session.trials[name].label}: step {one['step']} of {steps}{_figures(one)}"
        for name, one in state.items()
        if one["state"] == "running"
    ]


def _figures(one: dict[str, Any]) -> str:
    shown = [f"{name} {value:.3f}" for name, value in one["values"].items() if isinstance(value, float)]
    return f", {', '.join(shown)}" if shown else ""
