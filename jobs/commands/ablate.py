"""The command that runs a study of mixes."""

import argparse
from pathlib import Path
from typing import Any

from jobs.commands.parser import Commands, add_command


def add(commands: Commands) -> None:
    """Add the command of this module."""
    what = "train and judge every mix of a study, and say which is best; goes on where it stopped"
    command = add_command(commands, "ablate", _ablate, what)
    command.set_defaults(of_a_run=True)
    command.add_argument("--config", type=Path, required=True, metavar="FILE", help="YAML file of the study")
    command.add_argument("--root", metavar="URI", help="folder or URI to keep everything under")
    command.add_argument(
        "--tensorboard", type=Path, metavar="FOLDER", help="where TensorBoard's files go; default: ROOT/.tensorboard"
    )
    command.add_argument("overrides", nargs="*", metavar="a.b=c", help="fields of the configuration to change")


def _ablate(options: argparse.Namespace) -> dict[str, Any]:
    from cluster.config import load_config
    from jobs.ablation.driver import run_study
    from jobs.ablation.study import StudyConfig
    from jobs.ablation.words import study_text

    study = load_config(StudyConfig, options.config, options.overrides)
    done = run_study(study, options.root, options.tensorboard)
    finished = [entry.trial.name for entry in done.entries if entry.status == "finished"]
    return {
        "study": done.result_set.name,
        "report": done.report,
        "seconds": round(done.seconds, 1),
        "finished": finished,
        "stopped": [entry.trial.name for entry in done.entries if entry.status == "stopped"],
        "text": f"{study_text(done)}\n\nreport: {done.report}  ({done.seconds:.0f} s)",
    }
