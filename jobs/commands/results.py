"""`mixlingual results`: what stands in a root."""

import argparse
from typing import TYPE_CHECKING, Any

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
    compare = add_command(family, "compare", _compare, "two of them by paired tests, setting by setting")
    compare.add_argument("first", help=_NAME)
    compare.add_argument("second", help=_NAME)
    compare.add_argument("--measure", action="append", metavar="NAME", help="default: mAP (repeatable)")
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

    store = _store(options)
    measures = options.measure or ["mAP"]
    return comparing(store, find(store, options.first), find(store, options.second), list(dict.fromkeys(measures)))


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
