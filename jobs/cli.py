"""The command line: `mixlingual <command> --config FILE [a.b=c ...]`. Imports what a command needs when it runs."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import EXIT_FAILED, EXIT_OK, MixlingualError

if TYPE_CHECKING:
    from jobs.config import RunConfig

_EPILOG = "exit codes: 0 done, 1 the work failed, 2 bad usage, configuration or data, 3 a regression was found"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Results go to stdout, everything else to stderr."""
    options = _parser().parse_args(arguments)
    try:
        from cluster.logs import set_up_logs

        set_up_logs(options.verbose)
        result = options.command(_config(options), options)
        _show(result, options.json)
        return EXIT_OK
    except MixlingualError as error:
        print(f"mixlingual: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("mixlingual: interrupted; start the same command again to go on", file=sys.stderr)
        return EXIT_FAILED
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
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
    text = result.pop("text", None)
    if as_json:
        print(json.dumps(result, ensure_ascii=False))
    elif text:
        print(text)


def _run(config: "RunConfig", options: argparse.Namespace) -> dict[str, Any]:
    from jobs.run import run

    done = run(config, options.root)
    summary = (
        json.loads(done.result_set.path("summary.json").read_text()) if "summary.json" in done.result_set.files else {}
    )
    return {
        "run": done.result_set.name,
        "report": str(done.report),
        "seconds": round(done.seconds, 1),
        "summary": summary,
        "text": f"{done.table}\n\nreport: {done.report}  ({done.seconds:.0f} s)",
    }


def _check(config: "RunConfig", options: argparse.Namespace) -> dict[str, Any]:
    from jobs.run import check

    lines = check(config)
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

    trained = train_arms(_stages(config, options), options.arm or list(config.all_arms))
    return _named(trained, text="\n".join(str(result.folder / ENCODER_FOLDER) for result in trained))


def _encode(config: "RunConfig", options: argparse.Namespace) -> dict[str, Any]:
    stages = _stages(config, options)
    arms = options.arm or list(config.all_arms)
    return _named([stages.vectors(arm, name) for arm in arms for name in options.on or config.data.evaluation])


def _evaluate(config: "RunConfig", options: argparse.Namespace) -> dict[str, Any]:
    stages = _stages(config, options)
    arms = options.arm or stages.retrievers()
    return _named([stages.evaluation(arm, name) for arm in arms for name in options.on or config.data.evaluation])


def _report(config: "RunConfig", options: argparse.Namespace) -> dict[str, Any]:
    from jobs.run import report

    done = report(_stages(config, options))
    return _named([done], text=str(done.path("index.html")))


def _stages(config: "RunConfig", options: argparse.Namespace) -> Any:
    from jobs.run import check
    from jobs.stages import Stages

    check(config)
    return Stages(config, options.root)


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
