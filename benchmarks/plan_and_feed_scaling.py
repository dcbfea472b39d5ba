"""Questions: what does a step of the plan cost at any step number and how much memory, and how much do many ranks read?

plan    microseconds of processor time per step, along 2,000 steps from 0, from 10^6 and from 10^12, after the jump
        there; and what the plan holds in memory then. Limit: none may depend on the step number.
feed    every rank of a cluster walks one epoch and keeps the row groups that its feed keeps (an exact copy of the
        feed's cache, without the data): row groups fetched by all ranks, over those that there are. Limit: 1.
"""

import argparse
import gc
import json
import os
import platform
import sys
import time
import types
from collections import OrderedDict
from collections.abc import Iterator

import numpy as np

from cluster.config import build_config
from trainer.feed.fetch import cached_row_groups, cached_rows
from trainer.mixing.config import MixingConfig, SourceShape
from trainer.mixing.plan import Plan

LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
MIXES = {
    "half mono, half cross": {"mono": 0.5, "cross": 0.5},
    "three kinds by slot": {"mono": "1/3", "cross": "1/3", "multi": "1/3"},
    "a ramp over 10,000 steps": [{"step": 0, "mono": 1}, {"step": 10_000, "mono": 0.5, "cross": 0.5}],
}
ROW_GROUP_ROWS = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--groups", type=int, default=1_000_000, help="of the source that ranks read")
    options = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    plan = list(_plan(options.steps))
    feed = list(_feed(options.groups))
    print(json.dumps({"question": "cost of a step of the plan; data read by many ranks", "plan": plan, "feed": feed,
                      "machine": machine}))  # fmt: skip


def _plan(steps: int) -> Iterator[dict[str, object]]:
    print(f"{'plan, 128 slots of 3 sources':28} {'first step':>14} {'us/step':>8} {'jump s':>7} {'KiB':>7}")
    sources = tuple(SourceShape(f"s{n}", LANGUAGES[n:], 10_000 << n, ROW_GROUP_ROWS) for n in range(3))
    for name, mix in MIXES.items():
        for first in (0, 10**6, 10**12):
            granularity = "slot" if "slot" in name else "batch"
            config = build_config(MixingConfig, {"mix": mix, "batch": 128, "granularity": granularity})
            plan = Plan(config, sources, 0)
            started = time.process_time()
            plan.batch(first)
            jump = time.process_time() - started
            started = time.process_time()
            for step in range(first, first + steps):
                plan.batch(step)
            micros = 1e6 * (time.process_time() - started) / steps
            held = _kib(plan)
            print(f"{name:28} {first:14,} {micros:8.0f} {jump:7.2f} {held:7.0f}")
            yield {
                "mix": name,
                "first": first,
                "us_per_step": round(micros, 1),
                "jump_s": round(jump, 3),
                "kib": round(held),
            }


def _kib(plan: Plan) -> float:
    """What all objects take that the plan leads to."""
    seen: dict[int, int] = {}
    pending: list[object] = [plan]
    while pending:
        one = pending.pop()
        if id(one) in seen or isinstance(one, (type, types.ModuleType, types.FunctionType, types.MethodType)):
            continue
        seen[id(one)] = sys.getsizeof(one)
        pending += gc.get_referents(one)
    return sum(seen.values()) / 1024


def _feed(groups: int) -> Iterator[dict[str, object]]:
    print(f"\n{'feed, one epoch':28} {'batch':>7} {'ranks':>6} {'window':>8} {'read / data':>12}")
    for ranks, batch, window in (
        (1, 128, 16_384),
        (8, 1024, 16_384),
        (64, 1024, 16_384),
        (64, 8192, 16_384),
        (64, 6400, 16_384),  # shares that are no whole row groups
        (64, 6400, 163_840),
        (256, 32_768, 327_680),
    ):
        share = _read(groups, ranks, batch, window)
        print(f"{f'{groups:,} groups':28} {batch:7,} {ranks:6} {window:8,} {share:12.3f}")
        yield {"groups": groups, "ranks": ranks, "batch": batch, "window_rows": window, "read": round(share, 4)}


def _read(groups: int, ranks: int, batch: int, window: int) -> float:
    """Row groups that all ranks fetch in one epoch, over the row groups that they need."""
    config = build_config(MixingConfig, {"mix": {"mono": 1}, "batch": batch, "window_rows": window})
    plan = Plan(config, (SourceShape("s", LANGUAGES, groups, ROW_GROUP_ROWS),), 0)
    most = cached_row_groups(cached_rows(plan.config.window_rows, ROW_GROUP_ROWS, ranks), ROW_GROUP_ROWS)
    kept: list[OrderedDict[int, None]] = [OrderedDict() for _ in range(ranks)]
    fetched = 0
    steps = groups // batch
    for step in range(steps):
        of_slot = (plan.batch(step).row // ROW_GROUP_ROWS).reshape(ranks, -1)
        for mine, row_groups in zip(kept, of_slot, strict=True):
            for row_group in np.unique(row_groups).tolist():
                if row_group in mine:
                    mine.move_to_end(row_group)
                    continue
                mine[row_group] = None
                fetched += 1
                if len(mine) > most:
                    mine.popitem(last=False)
    return fetched / (steps * batch / ROW_GROUP_ROWS)


if __name__ == "__main__":
    main()
