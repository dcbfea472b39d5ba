"""`mixlingual results`: what stands in a root."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import ConfigError
from jobs.commands.parser import Commands, add_command

if TYPE_CHECKING:
    from cluster.storage import Store

_NAME = "a night's date, `last`, or a run's name or its first digits"


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    what = "list, show, compare and prune what stands in a root"
    family = commands.add_parser("results", help=what, description=what).add_subparsers(
        metavar="list|show|compare|prune", required=True
    )
    add_command(family, "list", _list, "runs and nights, with their headline measures")
    show = add_command(family, "show", _show, "everything that is kept of a run or a night")
    show.add_argument("name", help=_NAME)
    compare = add_command(family, "compare", _compare, "two of them by paired tests, or two studies, mix by mix")
    compare.add_argument("first", help=f"{_NAME}; or `studies/` and the first digits of a study's name")
    compare.add_argument("second", help="the same")
    compare.add_argument("--measure", action="append", metavar="NAME", help="of runs: default mAP (repeatable)")
    compare.add_argument("--collection", metavar="NAME", help="of studies: a further collection; default: their first")
    compare.add_argument("--out", metavar="FOLDER", help="of studies: where to write a page of it")
    prune = add_command(
        family, "prune", _prune, "delete old ones, and what only they needed; without --yes only say so"
    )
    prune.add_argument("--keep", type=_count, metavar="N", help="the last N nights, and the last N runs, stay")
    prune.add_argument("--newer-than", type=_count, metavar="DAYS", help="what is younger stays")
    prune.add_argument("--yes", action="store_true", help="delete")
    for command in family.choices.values():
        command.add_argument("--root", required=True, metavar="URI", help="folder or URI that holds the results")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number")
    return int(text)


def _store(options: argparse.Namespace) -> "Store":
    from cluster.storage import open_store

    return open_store(options.root)


def _list(options: argparse.Namespace) -> dict[str, Any]:
    from jobs.results import all_results, listing

    results = all_results(_store(options))
    return {"results": [_plain(result) for result in results], "text": listing(results)}


def _plain(result: Any) -> dict[str, Any]:
    return {
        "name": result.name,
        "date": result.day.isoformat() if result.day else None,
        "outcome": result.night.outcome if result.night else None,
        "run": result.run.model_dump(mode="json"),
    }


def _show(options: argparse.Namespace) -> dict[str, Any]:
    from jobs.results import find, showing

    store = _store(options)
    result = find(store, options.name)
    night = {"night": result.night.model_dump(mode="json", exclude={"run"})} if result.night else {}
    return {**_plain(result), **night, "text": showing(store, result)}


def _compare(options: argparse.Namespace) -> dict[str, Any]:
    from jobs.results import comparing, find
    from jobs.study_comparison import comparing_studies, is_study

    store, named = _store(options), (options.first, options.second)
    if any(map(is_study, named)):
        _refuse(options, "--measure", "a study's measures are those of its configuration")
        if not all(map(is_study, named)):
            raise ConfigError(f"{named[0]} and {named[1]}: compare two studies, or two runs or nights")
        return comparing_studies(store, *named, options.collection, Path(options.out) if options.out else None)
    _refuse(options, "--collection", "runs are compared on all collections they share")
    _refuse(options, "--out", "there is a page for two studies only")
    measures = options.measure or ["mAP"]
    return comparing(store, find(store, options.first), find(store, options.second), list(dict.fromkeys(measures)))


def _refuse(options: argparse.Namespace, option: str, why: str) -> None:
    if getattr(options, option.removeprefix("--")):
        raise ConfigError(f"{option}: {why}; leave it out")


def _prune(options: argparse.Namespace) -> dict[str, Any]:
    from datetime import UTC, datetime

    from jobs.prune import plan_pruning, prune

    run = prune if options.yes else plan_pruning
    done = run(_store(options), options.keep, options.newer_than, datetime.now(UTC).date())
    said = "deleted" if options.yes else "would delete"
    lines = [f"{said} {name}" for name in done.names]
    lines += [f"kept {name}: {why}" for name, why in done.kept_for.items()]
    lines.append(f"{said} {len(done.names)} result sets, {done.bytes / 2**20:.1f} MiB")
    lines += [] if options.yes or not done.names else ["nothing was deleted: add --yes to do it"]
    return {
        "deleted": options.yes,
        "result_sets": list(done.names),
        "bytes": done.bytes,
        "kept": done.kept_for,
        "text": "\n".join(lines),
    }
