"""What benchmarks share: variants in turns, and the line for scripts."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

Variant = Callable[[], Any]
T = TypeVar("T")


def seconds(work: Variant) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def figures_in_turns(rounds: int, variants: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """What each variant returns in each round, all variants in turn; a first round warms up and does not count."""
    found: dict[str, list[T]] = {name: [] for name in variants}
    for number in range(rounds + 1):
        for name, work in variants.items():
            figure = work()
            found[name] += [figure] if number else []
    return found


def in_turns(rounds: int, variants: Mapping[str, Variant]) -> dict[str, list[float]]:
    """Seconds of each variant in each round."""
    return figures_in_turns(rounds, {name: partial(seconds, work) for name, work in variants.items()})


def medians(found: Mapping[str, list[float]]) -> dict[str, float]:
    """Name -> median."""
    return {name: statistics.median(values) for name, values in found.items()}


def line(question: str, **figures: Any) -> None:
    """The one line of JSON that ends a benchmark."""
    import torch

    machine = {"machine": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__}
    print(json.dumps({"question": question, **figures, **machine}), flush=True)
