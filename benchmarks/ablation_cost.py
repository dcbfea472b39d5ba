"""What a study costs against as many runs: `python benchmarks/ablation_cost.py [--config FILE] [a.b=c ...]`.

Three ways to the same encoders, each from nothing: a `mixlingual run` for every mix, all over one root so that they
share what runs share; the study; and the study with ASHA. Wall seconds, and CPU seconds of all processes (sampled, so
the last quarter second of each is missing). One seed. Keep the machine quiet. Then, for each setting, which mix the
study finds best, which mixes it cannot tell from that, and which is the best of those that ASHA left. `--no-runs`
leaves out the runs.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from cluster.config import load_config, to_plain
from jobs.ablation.result import ANALYSIS
from jobs.ablation.study import StudyConfig, trials

CONFIG = Path(__file__).parents[1] / "jobs" / "configs" / "studies" / "atlas-alpha.yaml"
ASHA = "scheduler={scheduler: asha, measure: mean.mAP, grace_steps: %d, reduction: 3}"


def measured(command: list[str]) -> tuple[float, float, dict[str, Any]]:
    """Wall seconds, CPU seconds and result of a command that prints JSON."""
    started, cpu = time.monotonic(), dict[tuple[int, float], float]()
    with tempfile.TemporaryFile("w+") as output:
        process = psutil.Popen([sys.executable, "-m", "jobs.cli", *command, "--json"], stdout=output)
        known: dict[int, psutil.Process] = {}
        while process.poll() is None:
            for one in [process, *process.children(recursive=True)]:
                known.setdefault(one.pid, one)
            for one in known.values():
                try:
                    times = one.cpu_times()
                    cpu[one.pid, one.create_time()] = times.user + times.system
                except psutil.Error:
                    continue
            time.sleep(0.25)
        output.seek(0)
        result = json.loads(output.read().splitlines()[-1])
    assert process.returncode == 0, command
    return time.monotonic() - started, sum(cpu.values()), result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--no-runs", action="store_true")
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    study = load_config(StudyConfig, options.config, [*options.overrides, "seeds=[0]"])
    grace = study.run.training.validation.every
    rows, found = [], {}
    with tempfile.TemporaryDirectory() as place:
        runs = []
        for number, trial in enumerate([] if options.no_runs else trials(study)):
            config = Path(place) / f"{number}.json"
            config.write_text(json.dumps(to_plain(trial.config)), encoding="utf-8")  # JSON is YAML
            runs.append(measured(["run", "--config", str(config), "--root", f"{place}/runs"]))
            print(f"run {trial.label}: {runs[-1][0]:.0f} s, {runs[-1][1]:.0f} CPU s", flush=True)
        if runs:
            rows.append(("runs", sum(run[0] for run in runs), sum(run[1] for run in runs), None))
        command = ["ablate", "--config", str(options.config), *options.overrides, "seeds=[0]"]
        for name, more in (("study", []), ("study with ASHA", [ASHA % grace])):
            wall, cpu, result = measured([*command, *more, "--root", f"{place}/{name}"])
            rows.append((name, wall, cpu, result))
            found[name] = _best(Path(place) / name / result["study"])
    for name, wall, cpu, result in rows:
        stopped = f", {len(result['stopped'])} stopped" if result else ""
        print(f"{name}: {wall:.0f} s ({wall / rows[0][1]:.2f}), {cpu:.0f} CPU s ({cpu / rows[0][2]:.2f}){stopped}")
    for setting, (best, alike) in found["study"].items():
        of_asha = found["study with ASHA"][setting][0]
        told = "the same" if of_asha == best else "not told apart" if of_asha in alike else "WORSE"
        print(f"{setting}: best {best}; not told from it: {'; '.join(alike)}; best that ASHA left: {of_asha} ({told})")
    print(json.dumps({"question": "what a study costs", "seconds": {row[0]: row[1] for row in rows}, "best": found}))


def _best(folder: Path) -> dict[str, tuple[str, list[str]]]:
    """Setting -> the mix with the best mAP, and those that are not told from the best."""
    analysis = json.loads((folder / ANALYSIS).read_text(encoding="utf-8"))
    return {
        one["setting"]: (one["best"], one["flat_region"]) for one in analysis["measures"] if one["measure"] == "mAP"
    }


if __name__ == "__main__":
    main()
