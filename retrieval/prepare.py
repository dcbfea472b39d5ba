"""Data sets in, prepared groups out: cleaned, free of repeats and leaks, shuffled, one source per language coverage.

    take in    clean each group, look for leaks, keep its texts in a scratch file
    arrange    repeats, shared passages, coverages that are too small, order
    write      one source after the other, and groups.json

The result set is named by a fingerprint of the configuration and of the input files' content: preparing the same
again finds it there and does nothing.
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from cluster.config import Config, to_plain
from cluster.errors import DataError
from cluster.fingerprint import fingerprint
from cluster.logs import get_logger, progress
from cluster.storage import ResultSet, Store, open_result_set, result_set_exists, write_result_set
from retrieval.cleaning import Dropped, clean_group
from retrieval.datasets import (
    AnyDataset,
    content_fingerprints,
    dataset_label,
    in_all_languages,
    plain_without_path,
    read_groups,
)
from retrieval.formats.record import is_text
from retrieval.groups import GROUPS_FILE, VERSION
from retrieval.images import IMAGE
from retrieval.languages import Languages
from retrieval.preparation.arrange import Arrangement, PassageIds, PlannedSource, arrange
from retrieval.preparation.intake import Intake, Spool
from retrieval.preparation.leakage import find_leak, protect, refuse_leak
from retrieval.preparation.shards import write_shards
from retrieval.records import Group

RECIPE = 1
"""Raised whenever prepare would make other groups of the same inputs: it is part of the fingerprint."""

_MAX_NAME = 60
log = get_logger("prepare")


class PrepareConfig(Config):
    """Which data sets become groups, and how they lie on disk."""

    sources: tuple[AnyDataset, ...] = Field(min_length=1)
    """Data sets to train on (or to validate on)."""

    languages: Languages | None = None
    """Keep only these languages; all where not given."""

    evaluation: tuple[AnyDataset, ...] = ()
    """Data sets whose ids and passages no source may hold."""

    on_leak: Literal["refuse", "drop"] = "refuse"
    """What to do with a group that an evaluation set forbids: end with an error, or leave it out and report it."""

    min_groups: int = Field(default=256, ge=1)
    """Coverages with fewer groups are merged into others by dropping languages, or left out."""

    # Left out where it is not given: groups prepared before there was such a limit keep their names.
    max_groups: int | None = Field(default=None, ge=1, exclude_if=lambda limit: limit is None)
    """Take only this many groups, always the same ones, and all of those that a smaller limit takes."""

    row_group_rows: int = Field(default=256, ge=1)
    """Rows of a Parquet row group, the unit in which training reads."""

    shard_rows: int = Field(default=65536, ge=1)
    """Rows of a Parquet file; a multiple of row_group_rows."""

    seed: int = 0
    """Another seed gives another order of the groups, never other groups."""

    @model_validator(mode="after")
    def _check_rows(self) -> "PrepareConfig":
        if self.shard_rows % self.row_group_rows:
            nearest = max(1, round(self.shard_rows / self.row_group_rows)) * self.row_group_rows
            raise ValueError(
                f"shard_rows ({self.shard_rows}) must be a multiple of row_group_rows ({self.row_group_rows}); "
                f"for example {nearest}"
            )
        return self


def prepare(config: PrepareConfig, store: Store, force: bool = False) -> ResultSet:
    """Write the configured groups into `store` as `groups/<fingerprint>`, or find them there.

    Args:
        force: write them again even where they stand; readers keep the old set until the new one is whole.

    Raises:
        DataError: an input cannot be read, a language is in no source, two groups share an id, a source leaks, or
            nothing is left. One line that names the file, data set or group. Nothing is left behind.
    """
    name = prepared_name(config)
    if not force and result_set_exists(store, name):
        log.info("%s: already prepared", name)
        return open_result_set(store, name)
    with store.staging_folder() as scratch, contextlib.closing(Spool(scratch / "groups.jsons")) as spool:
        dropped = Dropped()
        intake = _take_in(config, spool, dropped)
        arrangement = arrange(intake, config.min_groups, dropped, config.max_groups)
        about = {"config": to_plain(config), "recipe": RECIPE, "num_groups": arrangement.num_groups}
        with write_result_set(store, name, about, replace=force) as folder:
            _write(config, folder, arrangement, spool, dropped)
    log.info("%s: %d groups in %d sources", name, arrangement.num_groups, len(arrangement.sources))
    return open_result_set(store, name)


def prepared_name(config: PrepareConfig) -> str:
    """The name of the result set: `groups/` and a fingerprint of the recipe, the configuration and the inputs' content.

    Where the inputs lie is no part of it. Reads every input file once.
    """
    fields = {name: value for name, value in to_plain(config).items() if name not in ("sources", "evaluation")}
    sources = [[plain_without_path(source), content_fingerprints(source)] for source in config.sources]
    evaluation = [
        [plain_without_path(data_set), content_fingerprints(in_all_languages(data_set))]
        for data_set in config.evaluation
    ]
    return f"groups/{fingerprint([VERSION, RECIPE, fields, sources, evaluation])}"


def _take_in(config: PrepareConfig, spool: Spool, dropped: Dropped) -> Intake:
    """Read, clean and check all groups."""
    protected = [protect(data_set) for data_set in config.evaluation]
    intake = Intake(spool, config.seed)
    present: set[str] = set()
    for source in config.sources:
        label = dataset_label(source)
        for group in progress(read_groups(source), f"reading {label}", unit="groups"):
            check_id(group, label)
            present |= group.pairs.keys()
            cleaned = clean_group(group, config.languages, dropped)
            if cleaned is None:
                continue
            leak = find_leak(cleaned, protected)
            if leak is None:
                intake.add(cleaned, label)
            elif config.on_leak == "refuse":
                raise refuse_leak(group, label, leak)
            else:
                dropped.add("groups_leaking", f"{group.id} {leak}")
    _check_languages(config.languages, present)
    if not len(spool):
        raise DataError(f"prepare: the sources leave no group ({dropped.account()})")
    return intake


def _check_languages(wanted: Sequence[str] | None, present: set[str]) -> None:
    missing = [language for language in wanted or () if language not in present]
    if missing:
        raise DataError(f"prepare: no source has language '{missing[0]}'; they have {', '.join(sorted(present))}")


def check_id(group: Group, label: str) -> None:
    """Refuse a group whose ids no file can hold.

    Raises:
        DataError: an id is no text.
    """
    if not is_text(f"{group.id}{group.passage_id}"):
        raise DataError(f"{label}: id {group.id!a} holds half a surrogate pair; ids must be valid text")


def _write(config: PrepareConfig, folder: Path, arrangement: Arrangement, spool: Spool, dropped: Dropped) -> None:
    sources = []
    for name, source in _named(arrangement.sources).items():
        groups = _rows(name, source, spool, arrangement.passage_ids)
        shards = write_shards(
            folder,
            name,
            groups,
            source.languages,
            source.has_negatives,
            config.row_group_rows,
            config.shard_rows,
            source.has_images,
        )
        fields = {
            "name": name,
            "dataset": source.dataset,
            "languages": list(source.languages),
            "num_groups": len(source.groups),
            "has_negatives": source.has_negatives,
            "shards": shards,
        }
        sources.append(fields | ({"has_images": True} if source.has_images else {}))
    document = {
        "version": VERSION,
        "row_group_rows": config.row_group_rows,
        "sources": sources,
        "dropped": dict(sorted(dropped.counts.items())),
        "examples": dict(sorted(dropped.examples.items())),
    }
    (folder / GROUPS_FILE).write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")


def _rows(name: str, source: PlannedSource, spool: Spool, passage_ids: PassageIds) -> Iterator[Group]:
    for number in progress(source.groups, f"writing {name}", total=len(source.groups), unit="groups"):
        group = spool.read(int(number))
        yield dataclasses.replace(group, passage_id=passage_ids.of(int(number), group))


def _named(sources: Sequence[PlannedSource]) -> dict[str, PlannedSource]:
    """Sources by name: the data set's label, with the languages where it has several coverages."""
    labels = [source.dataset for source in sources]
    named = {}
    for source in sources:
        name = source.dataset
        if labels.count(source.dataset) > 1:
            with_images = [IMAGE] if source.has_images else []
            name = f"{source.dataset}.{'.'.join([*source.languages, *with_images])}"
        if len(name) > _MAX_NAME:
            name = f"{source.dataset}.{len(source.languages)}-languages-{fingerprint(source.languages)[:8]}"
        named[name] = source
    return named
