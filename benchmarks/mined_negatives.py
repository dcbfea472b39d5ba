"""Does training with mined negatives help? `python benchmarks/mined_negatives.py --root FOLDER [a.b=c ...]`.

Ways to train the hybrid mix of `squad-parallel-mixes` on all its groups, with three seeds each, judged on the held-out
articles: as it is; with hard negatives that the encoder of the first way mined (`--negatives`: so many for each query);
and as it is for more steps, so many as take the time of one mined negative. Differences are paired by query and seed,
with 95 % intervals, and Holm's correction over all of them.

Everything is kept under the root, so it may be stopped and started again.
"""

import argparse
import json
import time
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.config import build_config, load_config, to_plain
from cluster.logs import set_up_logs
from jobs.ablation.study import StudyConfig, trials
from jobs.config import RunConfig
from jobs.run import train_arms
from jobs.stages import Stages
from retrieval.analysis.contrasts import Compared, corrected, difference
from retrieval.analysis.observations import panel_of, query_values
from retrieval.analysis.spread import arm_means, joint_draws
from retrieval.evaluate import PER_QUERY, PER_QUERY_BIAS

CONFIG = Path(__file__).parents[1] / "jobs" / "configs" / "studies" / "squad-parallel-mixes.yaml"
MIX = ["mixes=[{design: list, mixes: [{mono: 0.5, cross: 0.5}]}]", "axes={}", "seeds=[0, 1, 2]"]
ARM, PLAIN, LONGER = "mix", "without", "without, more steps"
LONGER_BY = Fraction(7, 4)
"""Texts of a step with one mined negative against one without: a query and two passages against a query and one, and
passages are about three times as long."""
MEASURES = {"mono": ["mAP", "R@1"], "cross": ["mAP", "R@1"], "multi": ["mAP", "R@1"], "bias": ["rank_distance"]}


def ways(base: RunConfig, negatives: Iterable[int]) -> Mapping[str, RunConfig]:
    """Name of each way to train -> its run."""
    plain = to_plain(base)

    def changed(training: dict[str, Any], **fields: Any) -> RunConfig:
        return build_config(RunConfig, plain | {"training": plain["training"] | training} | fields, where="run")

    def mined(number: int) -> RunConfig:
        feed = plain["training"]["feed"] | {"hard_negatives": number}
        return changed({"feed": feed}, mining={"arm": ARM})

    steps = int(base.training.steps * LONGER_BY)
    longer = changed({"steps": steps, "checkpoint": plain["training"]["checkpoint"] | {"every": steps}})
    return {PLAIN: base, **{f"{number} mined": mined(number) for number in negatives}, LONGER: longer}


def judged(config: RunConfig, root: str) -> tuple[pa.Table, float]:
    """Values per query of the encoder that a run trains, and the seconds it took, if it was not there."""
    stages, started = Stages(config, root), time.monotonic()
    train_arms(stages, [ARM])
    seconds = time.monotonic() - started
    (collection,) = config.data.evaluation
    folder = stages.evaluation(ARM, collection).folder
    tables = [
        query_values(pq.read_table(folder / (PER_QUERY_BIAS if setting == "bias" else PER_QUERY)), names, setting)
        for setting, names in MEASURES.items()
    ]
    return pa.concat_tables(tables), seconds


def compared(rows: list[dict[str, Any]], values: pa.Table) -> Iterable[Compared]:
    """Print the means of every measure; differences from the ways without mined negatives."""
    table = pa.Table.from_pylist(rows)
    for setting, names in MEASURES.items():
        for measure in names:
            panel = panel_of(table, values, setting, measure)
            labels = [dict(arm.axes)["way"] for arm in panel.arms]
            for label, one in zip(labels, arm_means(panel, joint_draws(panel)), strict=True):
                seeds = " ".join(f"{value:.4f}" for value in one.by_seed)
                print(f"{setting:<6}{measure:<14}{label:<22}{one.mean:10.4f} [{one.low:.4f}, {one.high:.4f}]  {seeds}")
            for other in sorted({PLAIN, LONGER}.intersection(labels)):
                second = labels.index(other)
                for first, label in enumerate(labels):
                    if label not in (PLAIN, LONGER):
                        found = difference(panel, first, second)
                        yield Compared(setting, measure, label, other, "", found, found.p_value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True)
    parser.add_argument("--negatives", type=int, nargs="*", default=[1, 3])
    parser.add_argument("--no-longer", action="store_true", help="leave out the one with more steps")
    parser.add_argument("overrides", nargs="*", help="of the study, such as run.training.steps=20")
    options = parser.parse_args()
    set_up_logs()
    rows, tables = [], []
    for trial in trials(load_config(StudyConfig, CONFIG, [*MIX, *options.overrides])):
        for way, config in ways(trial.config, options.negatives).items():
            if way == LONGER and options.no_longer:
                continue
            name = f"{way}, seed {trial.seed}"
            values, seconds = judged(config, options.root)
            print(f"{name}: {seconds:.0f} s", flush=True)
            rows.append({"trial": name, "seed": trial.seed, "mix:mono": "1/2", "axis:way": json.dumps(way)})
            tables.append(values.add_column(0, "trial", pa.array([name] * values.num_rows)))
    for one in corrected(list(compared(rows, pa.concat_tables(tables)))):
        found, what = one.result, f"{one.setting} {one.measure}: {one.arm} minus {one.reference}"
        interval = f"{found.estimate:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
        print(f"{what:<52}{interval}  p {one.p_holm:.4f} (Holm), detectable {one.detectable or 0:.4f}")


if __name__ == "__main__":
    main()
