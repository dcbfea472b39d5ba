"""An index over a collection of a run: build it, ask it, time it."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.commands.parser import Commands, Parser, add_command

if TYPE_CHECKING:
    from jobs.stages import Stages

_SHOWN_CHARACTERS = 100


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    what = "top-k search in a collection, over a Ray cluster"
    index = commands.add_parser("index", help=f"{what}: build, search, bench", description=what)
    parts = index.add_subparsers(metavar="action", required=True, parser_class=Parser)
    build = add_command(parts, "build", _build, "an encoder and a collection -> index files")
    search = add_command(parts, "search", _search, "a question -> the best passages")
    bench = add_command(parts, "bench", _bench, "queries per second and the time of one query")
    for command in (build, search, bench):
        command.add_argument("--config", type=Path, required=True, metavar="FILE", help="YAML file of the run")
        command.add_argument("--root", metavar="URI", help="folder or URI to keep everything under")
        command.add_argument("--arm", metavar="NAME", help="whose encoder; the first arm if not given")
        command.add_argument("--on", metavar="NAME", help="which collection; the first if not given")
    for command in (search, bench):
        command.add_argument("-k", type=int, default=10, metavar="K", help="passages per query (default: 10)")
    search.add_argument("--question", required=True, metavar="TEXT")
    search.add_argument("--language", required=True, metavar="CODE", help="language of the question")
    search.add_argument("--languages", metavar="CODE,CODE", help="search only passages in these; all if not given")
    for command in (build, search, bench):
        command.add_argument("overrides", nargs="*", metavar="a.b=c", help="fields of the configuration to change")


def _build(options: argparse.Namespace) -> dict[str, Any]:
    from jobs.searching import searching

    stages, arm, name = _asked(options)
    with searching(stages, arm, name) as service:
        spec = service.spec
    kind = stages.config.index.factory or stages.config.index.kind
    text = f"{spec.name}: {kind}, {spec.num_shards} shard(s) over {name} by {arm}"
    return {"index": spec.name, "kind": kind, "shards": spec.num_shards, "vectors": spec.vectors, "text": text}


def _search(options: argparse.Namespace) -> dict[str, Any]:
    from jobs.searching import find, searching

    stages, arm, name = _asked(options)
    languages = options.languages.split(",") if options.languages else None
    with searching(stages, arm, name) as service:
        hits = find(stages, service, arm, name, (options.question, options.language), options.k, languages)
    lines = [f"{hit.rank:>4}  {hit.score:.4f}  {hit.language:<4} {hit.id}  {_short(hit.text)}" for hit in hits]
    return {"hits": [asdict(hit) for hit in hits], "text": "\n".join(lines) or "nothing found"}


def _bench(options: argparse.Namespace) -> dict[str, Any]:
    from jobs.searching import bench, searching

    stages, arm, name = _asked(options)
    with searching(stages, arm, name) as service:
        figures = bench(stages, service, arm, name, options.k)
    text = (
        f"{figures['queries_per_second']:,.0f} queries/s in batches of {stages.config.search.batch}; one query: "
        f"p50 {figures['p50_ms']:.1f} ms, p95 {figures['p95_ms']:.1f} ms, p99 {figures['p99_ms']:.1f} ms"
    )
    return figures | {"text": text}


def _asked(options: argparse.Namespace) -> "tuple[Stages, str, str]":
    """The stages of the configuration, and the arm and collection that were named or come first."""
    from cluster.config import load_config
    from cluster.errors import ConfigError
    from jobs.check import check, require_evaluation
    from jobs.config import RunConfig
    from jobs.stages import UNTRAINED, Stages

    config = load_config(RunConfig, options.config, options.overrides)
    check(config, options.root)
    require_evaluation(config.data)
    arms, names = [*config.all_arms, UNTRAINED], list(config.data.evaluation)
    arm, name = options.arm or arms[0], options.on or names[0]
    for option, value, known in (("--arm", arm, arms), ("--on", name, names)):
        if value not in known:
            raise ConfigError(f"{option}: there is no '{value}'; there are {', '.join(known)}")
    return Stages(config, options.root), arm, name


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _SHOWN_CHARACTERS else f"{one_line[:_SHOWN_CHARACTERS]}…"
