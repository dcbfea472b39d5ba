"""What all commands share: one parser each, errors in one line."""

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from cluster.errors import EXIT_USAGE
from cluster.logs import mask_secrets, one_line

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction["Parser"]
else:
    Commands = Any

EPILOG = "exit codes: 0 done, 1 the work failed, 2 bad usage, configuration or data, 3 a regression was found"
Handler = Callable[[argparse.Namespace], dict[str, Any]]
"""Options -> what the command came to: `text` for people, everything else for `--json`; `exit_code` if it is not 0."""


def complain(problem: str) -> None:
    """Say what is wrong, in one line on standard error."""
    print(f"mixlingual: {one_line(mask_secrets(problem))}", file=sys.stderr)


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line, as every other error."""

    def error(self, message: str) -> NoReturn:
        complain(f"{message}; see {self.prog} --help")
        sys.exit(EXIT_USAGE)


def add_command(commands: Commands, name: str, handler: Handler, what: str) -> argparse.ArgumentParser:
    """Add a command with the options that all of them have."""
    command = commands.add_parser(name, help=what, description=what, epilog=EPILOG)
    command.set_defaults(handler=handler)
    command.add_argument("--json", action="store_true", help="print the result as one JSON object")
    command.add_argument("--verbose", action="store_true", help="say more about what happens")
    return command
