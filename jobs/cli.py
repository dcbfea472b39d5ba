"""The command line: `mixlingual <command> ...`. Imports what a command needs when it runs."""

import argparse
import contextlib
import importlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from cluster.errors import EXIT_FAILED, EXIT_OK, MixlingualError
from jobs.commands.parser import EPILOG, Commands, Parser, complain

_FAMILIES = ("run", "index", "nightly", "results", "ablate", "submit", "cluster", "storage")
"""Modules of jobs.commands, in the order of the help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Results go to stdout, everything else to stderr."""
    options = parse(arguments)
    try:
        from cluster.logs import set_up_logs

        set_up_logs(options.verbose)
        options.results = sys.stdout
        # Ray prints its raylets' warnings to stdout, which is for results.
        with contextlib.redirect_stdout(sys.stderr):
            result = options.handler(options)
        code = result.pop("exit_code", EXIT_OK)
        _show(result, options.json)
        return code
    except MixlingualError as error:
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        complain("interrupted; start the same command again to go on")
        return EXIT_FAILED
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain once more when it flushes what is left at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except OSError as error:  # a full disk, a folder without permission
        if options.verbose:
            raise
        complain(f"{error} ({type(error).__name__}); --verbose shows where")
        return EXIT_FAILED


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command; what is wrong with them ends the process, in one line and with exit code 2."""
    parser, _ = _parser()
    options, rest = parser.parse_known_args(arguments)
    unknown = [argument for argument in rest if argument.startswith("-") or "overrides" not in options]
    if unknown:
        parser.error(f"unknown option {unknown[0]}")
    if rest:
        options.overrides += rest  # argparse takes only those in one place
    return options


def command_names() -> list[str]:
    """All commands there are."""
    return list(_parser()[1].choices)


def _parser() -> tuple[Parser, Commands]:
    parser = Parser(
        prog="mixlingual",
        description="Train multilingual dense retrievers with hybrid batches, and judge them in all three settings.",
        epilog=EPILOG,
    )
    commands = parser.add_subparsers(metavar="command", required=True)
    for family in _FAMILIES:
        importlib.import_module(f"jobs.commands.{family}").add(commands)
    return parser, commands


def _show(result: dict[str, Any], as_json: bool) -> None:
    """Print a command's result: its `text` for people, or everything else as JSON."""
    text = result.pop("text")
    print(json.dumps(result, ensure_ascii=False) if as_json else text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
