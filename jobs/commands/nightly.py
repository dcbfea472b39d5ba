"""`mixlingual nightly`: a run every night, judged against the last good one."""

import argparse
from datetime import date
from pathlib import Path
from typing import Any

from jobs.commands.parser import Commands, add_command


def add(commands: Commands) -> None:
    """Add the command of this module."""
    what = "run, compare with the last good night, publish a verdict; safe to start twice, goes on where it was"
    command = add_command(commands, "nightly", _nightly, what)
    command.add_argument("--config", type=Path, required=True, metavar="FILE", help="YAML file of the nightly")
    command.add_argument("--root", metavar="URI", help="folder or URI to keep everything under")
    command.add_argument("--date", type=_date, metavar="YYYY-MM-DD", help="night to work on; default: tonight")
    command.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="wait for another start that is at work"
    )
    command.add_argument("overrides", nargs="*", metavar="a.b=c", help="fields to change; run.a.b=c for the run's")


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no date; write it as 2026-11-20") from None


def _nightly(options: argparse.Namespace) -> dict[str, Any]:
    from jobs.nightly.config import load_nightly
    from jobs.nightly.night import run_night
    from jobs.nightly.words import terminal

    done = run_night(load_nightly(options.config, options.overrides), options.root, options.date, options.wait)
    if done.night is None:
        return {"state": "busy", "note": done.note, "text": done.note, "exit_code": done.exit_code}
    night = done.night
    return {
        "state": "over",
        "verdict": done.note,
        **night.model_dump(mode="json", exclude={"run": {"arms"}}),
        "text": f"{terminal(night)}\n\nverdict: {done.note}",
        "exit_code": done.exit_code,
    }
