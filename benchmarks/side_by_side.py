"""What benchmarks share: variants in turns, and the line for scripts."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

Variant = Callable[[], Any]


def seconds(work: Variant) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def in_turns(rounds: int, variants: Mapping[str, Variant]) -> dict[str, list[float]]:
    """Seconds of each variant in each round, all variants in turn; a first round warms up and does not count."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds + 1):
        for name, work in variants.items():
            took = seconds(work)
            found[name] += [took] if number else []
    return found


def medians(found: Mapping[str, list[float]]) -> dict[str, float]:
    """Name -> median."""
    return {name: statistics.median(values) for name, values in found.items()}


def line(question: str, **figures: Any) -> None:
    """The one line of JSON that ends a benchmark."""
    import torch

    machine = {"machine": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__}
    print(json.dumps({"question": question, **figures, **machine}), flush=True)
