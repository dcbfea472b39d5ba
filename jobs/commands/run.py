"""The commands of a run configuration: run, check, and each stage of a run on its own."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import ConfigError
from jobs.commands.parser import Commands, add_command

if TYPE_CHECKING:
    from jobs.config import RunConfig

Handler = Callable[["RunConfig", argparse.Namespace], dict[str, Any]]


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    for name, handler, what in (
        ("run", _with_config(_run), "prepare, train, evaluate and report; goes on where an earlier run stopped"),
        ("check", _check, "look for everything that can be wrong before anything starts"),
        ("prepare", _with_config(_prepare), "data sets -> groups"),
        ("train", _with_config(_train), "groups -> encoders"),
        ("encode", _with_config(_encode), "encoders and collections -> vectors"),
        ("evaluate", _with_config(_evaluate), "vectors -> measures in all settings"),
        ("report", _with_config(_report), "measures -> one page"),
    ):
        command = add_command(commands, name, handler, what)
        command.set_defaults(of_a_run=True)
        file = "YAML file of the run or study" if name == "check" else "YAML file of the run"
        command.add_argument("--config", type=Path, required=True, metavar="FILE", help=file)
        command.add_argument("--root", metavar="URI", help="folder or URI to keep everything under")
        if name == "prepare":
            command.add_argument("--download", action="store_true", help="fetch published data sets that are not there")
            terms = "with --download: you have read and accept the terms of the data sets that have some"
            command.add_argument("--accept-terms", action="store_true", help=terms)
        if name in ("train", "encode", "evaluate"):
            command.add_argument("--arm", action="append", metavar="NAME", help="only this arm (repeatable)")
        if name == "evaluate":
            what = "rank all passages (exact, the default), or search an index (faiss): docs/search.md"
            command.add_argument("--engine", choices=("exact", "faiss"), help=what)
        if name in ("encode", "evaluate"):
            command.add_argument("--on", action="append", metavar="NAME", help="only this collection (repeatable)")
        command.add_argument("overrides", nargs="*", metavar="a.b=c", help="fields of the configuration to change")


def _with_config(handler: Handler) -> Callable[[argparse.Namespace], dict[str, Any]]:
    def handle(options: argparse.Namespace) -> dict[str, Any]:
        from cluster.config import load_config
        from jobs.config import RunConfig

        return handler(load_config(RunConfig, options.config, options.overrides), options)

    return handle


def _run(config: "RunConfig", options: argparse.Namespace) -> dict[str, Any]:
    from jobs.run import run

    done = run(config, options.root)
    copy = _copy_here(done.result_set, done.report)
    return {
        "run": done.result_set.name,
        "report": done.report,
        "seconds": round(done.seconds, 1),
        "evaluations": done.evaluations,
        "text": f"{done.table}\n\nreport: {done.report}  ({done.seconds:.0f} s){copy}",
    }


def _copy_here(done: Any, place: str) -> str:
    """A line about this machine's copy of a report that stands elsewhere."""
    from jobs.run import PAGE

    copy = str(done.path(PAGE))
    return "" if copy == place else f"\na copy on this machine: {copy}"


def _check(options: argparse.Namespace) -> dict[str, Any]:
    from jobs.ablation.check import check_study
    from jobs.ablation.study import StudyConfig, load_run_or_study
    from jobs.check import check

    config = load_run_or_study(options.config, options.overrides)
    lines = check_study(config, options.root) if isinstance(config, StudyConfig) else check(config, options.root)
    return {"valid": True, "checked": lines, "text": "\n".join(lines)}


def _prepare(config: "RunConfig", options: argparse.Namespace) -> dict[str, Any]:
    from jobs.counts import count_collections, count_groups, counts_text

    if options.accept_terms and not options.download:
        raise ConfigError("--accept-terms: says nothing without --download")
    fetched = _download(config, options) if options.download else []
    stages = _stages(config, options, train=bool(config.data.train))
    prepared = [stages.groups] if config.data.train else []
    counts = [*(count_groups(prepared[0]) if prepared else ()), *count_collections(stages)]
    lines = [f"fetched into {folder}" for folder in fetched] + [str(groups.folder) for groups in prepared]
    named = _named(prepared, text="\n".join([*lines, *map(counts_text, counts)]))
    return named | {"fetched": list(map(str, fetched)), "data_sets": [asdict(one) for one in counts]}


def _download(config: "RunConfig", options: argparse.Namespace) -> list[Path]:
    from retrieval.download import download_missing

    return download_missing(config.data.all_data_sets, accept_terms=options.accept_terms)


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
    if options.engine:
        evaluation = config.evaluation.model_copy(update={"engine": options.engine})
        config = config.model_copy(update={"evaluation": evaluation})
    arms = _chosen(options.arm, [*config.all_arms, "BM25", "untrained"], "--arm")
    names = _collections(config, options)
    stages = _stages(config, options)
    judged = [stages.judging.judged(arm, name) for arm in arms or stages.retrievers() for name in names]
    return _named([result for results in judged for result in results])


def _report(config: "RunConfig", options: argparse.Namespace) -> dict[str, Any]:
    from jobs.run import report, report_place

    stages = _stages(config, options)
    done = report(stages)
    place = report_place(stages.store, done)
    return _named([done], text=f"{place}{_copy_here(done, place)}")


def _stages(config: "RunConfig", options: argparse.Namespace, train: bool = True) -> Any:
    from jobs.check import check
    from jobs.stages import Stages

    check(config, options.root, train)
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
