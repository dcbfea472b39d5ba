"""The command line: `mixlingual <command> --config FILE [a.b=c ...]`. Imports what a command needs when it runs."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from cluster.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE, ConfigError, MixlingualError
from cluster.logs import mask_secrets

if TYPE_CHECKING:
    from jobs.config import RunConfig

_EPILOG = "exit codes: 0 done, 1 the work failed, 2 bad usage, configuration or data, 3 a regression was found"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Results go to stdout, everything else to stderr."""
    options = _options(arguments)
    try:
        from cluster.logs import set_up_logs

        set_up_logs(options.verbose)
        result = options.command(_config(options), options)
        _show(result, options.json)
        return EXIT_OK
    except MixlingualError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted; start the same command again to go on")
        return EXIT_FAILED
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain once more when it flushes what is left at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except OSError as error:  # a full disk, a folder without permission
        if options.verbose:
            raise
        _complain(f"{error} ({type(error).__name__}); --verbose shows where")
        return EXIT_FAILED


def _complain(problem: str) -> None:
    print(f"mixlingual: {mask_secrets(' '.join(problem.split()))}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line, as every other error."""

    def error(self, message: str) -> NoReturn:
        _complain(f"{message}; see {self.prog} --help")
        sys.exit(EXIT_USAGE)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    unknown = [argument for argument in rest if argument.startswith("-")]
    if unknown:
        parser.error(f"unknown option {unknown[0]}")
    options.overrides += rest  # argparse takes only those in one place
    return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="mixlingual",
        description="Train multilingual dense retrievers with hybrid batches, and judge them in all three settings.",
        epilog=_EPILOG,
    )
    commands = parser.add_subparsers(metavar="command", required=True)
    for name, function, what in (
        ("run", _run, "prepare, train, evaluate and report; goes on where an earlier run stopped"),
        ("check", _check, "look for everything that can be wrong before anything starts"),
        ("prepare", _prepare, "data sets -> groups"),
        ("train", _train, "groups -> encoders"),
        ("encode", _encode, "encoders and collections -> vectors"),
        ("evaluate", _evaluate, "vectors -> measures in all settings"),
        ("report", _report, "measures -> one page"),
    ):
        command = commands.add_parser(name, help=what, description=what, epilog=_EPILOG)
        command.set_defaults(command=function)
        command.add_argument("--config", type=Path, required=True, metavar="FILE", help="YAML file of the run")
        command.add_argument("--root", metavar="URI", help="folder or URI to keep everything under")
        command.add_argument("--json", action="store_true", help="print the result as one JSON object")
        command.add_argument("--verbose", action="store_true", help="say more about what happens")
        if name in ("train", "encode", "evaluate"):
            command.add_argument("--arm", action="append", metavar="NAME", help="only this arm (repeatable)")
        if name in ("encode", "evaluate"):
            command.add_argument("--on", action="append", metavar="NAME", help="only this collection (repeatable)")
        command.add_argument("overrides", nargs="*", metavar="a.b=c", help="fields of the configuration to change")
    return parser


def _config(options: argparse.Namespace) -> "RunConfig":
    from cluster.config import load_config
    from jobs.config import RunConfig

    return load_config(RunConfig, options.config, options.overrides)


def _show(result: dict[str, Any], as_json: bool) -> None:
    """Print a command's result: its `text` for people, or everything else as JSON."""
    text = result.pop("text")
    print(json.dumps(result, ensure_ascii=False) if as_json else text, flush=True)


def _run(config: "RunConfig", options: argparse.Namespace) -> dict[str, Any]:
    from jobs.run import run

    done = run(config, options.root)
    return {
        "run": done.result_set.name,
        "report": str(done.report),
        "seconds": round(done.seconds, 1),
        "evaluations": done.evaluations,
        "text": f"{done.table}\n\nreport: {done.report}  ({done.seconds:.0f} s)",
    }


def _check(config: "RunConfig", options: argparse.Namespace) -> dict[str, Any]:
    from jobs.check import check

    lines = check(config, options.root)
    return {"valid": True, "checked": lines, "text": "\n".join(lines)}


def _prepare(config: "RunConfig", options: argparse.Namespace) -> dict[str, Any]:
    groups = _stages(config, options).groups
    return _named([groups], text=_prepared_text(groups))


def _prepared_text(groups: Any) -> str:
    from retrieval.groups import open_groups

    sources = open_groups(groups).sources
    lines = [f"{source.name}: {source.num_groups} groups in {', '.join(source.languages)}" for source in sources]
    return "\n".join([str(groups.folder), *lines])


def _train(config: "RunConfig", options: argparse.Namespace) -> dict[str, Any]:
    from jobs.run import train_arms
    from trainer.worker import ENCODER_FOLDER

    arms = _chosen(options.arm, list(config.all_arms), "--arm")
    trained = train_arms(_stages(config, options), arms or list(config.all_arms))
    return _named(trained, text="\n".join(str(result.folder / ENCODER_FOLDER) for result in trained))


def _encode(config: "RunConfig", options: argparse.Namespace) -> dict[str, Any]:
    arms = _chosen(options.arm, [*config.all_arms, "untrained"], "--arm") or list(config.all_arms)
    names = _collections(config, options)
    stages = _stages(config, options)
    return _named([stages.vectors(arm, name) for arm in arms for name in names])


def _evaluate(config: "RunConfig", options: argparse.Namespace) -> dict[str, Any]:
    arms = _chosen(options.arm, [*config.all_arms, "BM25", "untrained"], "--arm")
    names = _collections(config, options)
    stages = _stages(config, options)
    return _named([stages.evaluation(arm, name) for arm in arms or stages.retrievers() for name in names])


def _report(config: "RunConfig", options: argparse.Namespace) -> dict[str, Any]:
    from jobs.run import report

    done = report(_stages(config, options))
    return _named([done], text=str(done.path("index.html")))


def _stages(config: "RunConfig", options: argparse.Namespace) -> Any:
    from jobs.check import check
    from jobs.stages import Stages

    check(config, options.root)
    return Stages(config, options.root)


def _collections(config: "RunConfig", options: argparse.Namespace) -> list[str]:
    """The collections asked for; without any, all of the configuration."""
    from jobs.check import require_evaluation

    require_evaluation(config.data)
    return _chosen(options.on, list(config.data.evaluation), "--on") or list(config.data.evaluation)


def _chosen(wanted: Sequence[str] | None, known: Sequence[str], option: str) -> list[str]:
    """What a repeatable option names, each once.

    Raises:
        ConfigError: it names something that is not there.
    """
    for name in wanted or ():
        if name not in known:
            raise ConfigError(f"{option}: there is no '{name}'; there are {', '.join(known)}")
    return list(dict.fromkeys(wanted or ()))


def _named(results: Sequence[Any], text: str | None = None) -> dict[str, Any]:
    folders = [str(result.folder) for result in results]
    return {
        "result_sets": [result.name for result in results],
        "folders": folders,
        "text": text or "\n".join(folders),
    }


Command = Callable[["RunConfig", argparse.Namespace], dict[str, Any]]

if __name__ == "__main__":
    sys.exit(main())
