"""Trials that a study found while it ran, kept as `found/<fingerprint>`: what is over is not gone through again."""

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from cluster.config import to_plain
from cluster.documents import parse_json
from cluster.fingerprint import fingerprint
from cluster.storage import Store, open_result_set, result_set_exists, write_result_set
from jobs.ablation.settings import PopulationConfig
from jobs.ablation.study import StudyConfig, Trial, each_once, trials_of
from trainer.mixing.config import MixingConfig

FOUND = "found"
VERSION = 1
_FILE = "found.json"


def populations(planned: Sequence[Trial]) -> list[list[Trial]]:
    """Trials that differ in nothing but the mix."""

    def same(trial: Trial) -> tuple[int, str]:
        return trial.seed, repr(trial.overrides)

    return [list(members) for _, members in groupby(sorted(planned, key=same), key=same)]


def population_identity(config: PopulationConfig, members: Sequence[Trial]) -> dict[str, Any]:
    """What decides what becomes of a population."""
    return {"version": VERSION, "population": to_plain(config), "members": [member.name for member in members]}


def search_identity(study: StudyConfig) -> dict[str, Any]:
    """What decides what a search suggests."""
    assert study.search is not None
    (any_trial,) = trials_of(study, [MixingConfig().mix], study.seeds[:1])
    scheduler = to_plain(study.scheduler) if study.scheduler else None
    what = {"search": to_plain(study.search), "scheduler": scheduler, "seeds": study.seeds, "trial": any_trial.name}
    return {"version": VERSION} | what


def known_trials(study: StudyConfig, store: Store, planned: Sequence[Trial]) -> list[Trial] | None:
    """All trials of a study; None where it has still to find some."""
    if isinstance(study.scheduler, PopulationConfig):
        found = [
            read_found(store, population_identity(study.scheduler, members), study) for members in populations(planned)
        ]
        return None if None in found else [trial for trials in found if trials for trial in trials]
    if study.search is not None:
        suggested = read_found(store, search_identity(study), study)
        return None if suggested is None else each_once([*planned, *suggested])
    return [*planned]


def read_found(store: Store, identity: dict[str, Any], study: StudyConfig) -> list[Trial] | None:
    """The trials that were found; None where they are not known yet."""
    name = f"{FOUND}/{fingerprint(identity)}"
    if not result_set_exists(store, name):
        return None
    rows = parse_json(open_result_set(store, name).path(_FILE).read_text(encoding="utf-8"))
    return [_trial(study, row) for row in rows]


def _trial(study: StudyConfig, row: dict[str, Any]) -> Trial:
    mix = MixingConfig.model_validate({"mix": row["mix"]}).mix
    return next(trial for trial in trials_of(study, [mix], [row["seed"]]) if trial.overrides == row["axes"])


def write_found(store: Store, identity: dict[str, Any], trials: Sequence[Trial]) -> None:
    """Keep what was found."""
    rows = [
        {"mix": to_plain(trial.config.mixing)["mix"], "seed": trial.seed, "axes": trial.overrides} for trial in trials
    ]
    about = {"stage": "found", **identity, "trials": [f"trials/{trial.name}" for trial in trials]}
    with write_result_set(store, f"{FOUND}/{fingerprint(identity)}", about) as folder:
        (folder / _FILE).write_text(json.dumps(rows, indent=1), encoding="utf-8")
