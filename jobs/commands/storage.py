"""What lies under a root: what killed writers left, and result sets to look at here."""

import argparse
from pathlib import Path
from typing import Any

from jobs.commands.parser import Commands, Parser, add_command

_DAY_HOURS = 24.0


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    what = "what lies under a root"
    storage = commands.add_parser("storage", help=f"{what}: gc, fetch", description=what)
    parts = storage.add_subparsers(metavar="action", required=True, parser_class=Parser)
    collect = add_command(parts, "gc", _gc, "remove what killed writers left; nothing that a reader could see")
    fetch = add_command(parts, "fetch", _fetch, "copy a result set, a report for instance, to a folder here")
    for command in (collect, fetch):
        command.add_argument("--root", required=True, metavar="URI", help="folder or URI")
    collect.add_argument(
        "--hours", type=_hours, default=_DAY_HOURS, metavar="N", help="untouched for that long (default: 24)"
    )
    collect.add_argument("--dry-run", action="store_true", help="say what would go, and remove nothing")
    fetch.add_argument("name", metavar="NAME", help="such as runs/0123456789abcdef")
    fetch.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="a folder that is not there yet")


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = -1.0
    if not 0 <= hours < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of hours")
    return hours


def _gc(options: argparse.Namespace) -> dict[str, Any]:
    from cluster.storage import open_store

    store = open_store(options.root)
    removed = store.collect_garbage(options.hours * 3600, dry_run=options.dry_run)
    verb = "would remove" if options.dry_run else "removed"
    lines = [f"{verb} {place}" for place in removed]
    lines.append(f"{verb} {len(removed)} leftover(s) older than {options.hours:g} h under {store.uri}")
    return {"removed": removed, "dry_run": options.dry_run, "text": "\n".join(lines)}


def _fetch(options: argparse.Namespace) -> dict[str, Any]:
    import shutil

    from cluster.errors import ConfigError
    from cluster.storage import open_result_set, open_store

    if options.to.exists():
        raise ConfigError(f"--to {options.to}: is there already; name a folder that is not")
    found = open_result_set(open_store(options.root), options.name)
    shutil.copytree(found.folder, options.to)
    files = sorted(found.files)
    return {"name": found.name, "folder": str(options.to), "files": files, "text": f"{options.to}: {len(files)} files"}
