"""Old results taken away, and with them what only they needed.

A result set names others in what its writer said about it (a night its run, a run its evaluations and encoders, an
encoder its groups, vectors their encoder). What is reached from a kept result stays; so does everything that no deleted
result led to, for it may belong to a run that is not over. Results go before what they need, each by its commit object
first, so nothing is ever seen half deleted. What is condemned is noted beforehand: a killed prune is finished by the
next.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from cluster.documents import parse_json
from cluster.errors import ConfigError
from cluster.logs import get_logger
from cluster.storage import Store
from cluster.storage.lease import hold_lease
from jobs.catalogue import manifest, nights, result_sets, runs
from jobs.nightly.verdict import is_good
from jobs.records import NIGHTLY_LEASE, NIGHTS, Night, night_name
from jobs.trend import write_index

NOTE = ".prune"
_DELETED_IN_ORDER = (
    *("nightly", "runs", "evaluations", "throughput", "indexes", "vectors", "texts"),
    *("tokens", "encoders", "dictionaries", "groups"),
)
_MADE_BY_ENCODERS = ("vectors/", "throughput/")
_MADE_OF_VECTORS = "indexes/"
_UNDER_WAY = "training"
_LARGEST_LEDGER_BYTES = 16 << 20
_GARBAGE_SECONDS = 24 * 3600.0
_logger = get_logger("prune")


@dataclass(frozen=True)
class Pruning:
    """What goes, and what was kept although it is old."""

    names: tuple[str, ...]
    """Result sets, in the order in which they are deleted."""
    bytes: int
    kept_for: dict[str, str]
    """Result -> why it stays although neither number nor age would keep it."""


@dataclass(frozen=True)
class _Contents:
    """All result sets of a root, and what each names."""

    names: frozenset[str]
    uses: dict[str, frozenset[str]]
    stage: dict[str, str]
    bytes: dict[str, int]

    def reached(self, names: Iterable[str]) -> set[str]:
        """The names, and all that they use, directly or not."""
        found: set[str] = set()
        pending = [name for name in names if name in self.names]
        while pending:
            name = pending.pop()
            if name not in found:
                found.add(name)
                pending += self.uses[name]
        return found


def plan_pruning(store: Store, keep: int | None, newer_than_days: float | None, today: date) -> Pruning:
    """What would go if the last `keep` results, and those newer than so many days, stay.

    Runs of their own and nights are counted apart. Kept besides: the newest night, the last good one, the one the
    newest was compared with, and runs without a date.

    Raises:
        ConfigError: neither limit is given.
    """
    if keep is None and newer_than_days is None:
        raise ConfigError("prune: give --keep N, --newer-than DAYS or both; what either keeps stays")
    there = nights(store)
    own = [run for run in runs(store) if all(night.run.name != run.name for night in there)]
    old = set(_old([(night_name(night.date), night.date) for night in there], keep, newer_than_days, today))
    dated = [(run.name, run.finished.date()) for run in own if run.finished]
    old |= set(_old(dated, keep, newer_than_days, today))
    special = _special(there)
    contents = _contents(store)
    names = _condemned(contents, ((old - special.keys()) | set(_noted(store))) & contents.names)
    size = sum(contents.bytes[name] for name in names)
    return Pruning(tuple(names), size, {name: why for name, why in special.items() if name in old})


def _old(
    results: list[tuple[str, date]], keep: int | None, newer_than_days: float | None, today: date
) -> Iterator[str]:
    """Names of the results, given the oldest first, that neither limit keeps."""
    last = len(results) - (keep or 0)
    for place, (name, day) in enumerate(results):
        if place < last and (newer_than_days is None or (today - day).days >= newer_than_days):
            yield name


def prune(store: Store, keep: int | None, newer_than_days: float | None, today: date) -> Pruning:
    """Delete what `plan_pruning` says, write the page over all nights again, and collect what was never committed.

    Raises:
        LeaseHeldError: a night is being worked on.
    """
    with hold_lease(store, NIGHTLY_LEASE) as lease:
        plan = plan_pruning(store, keep, newer_than_days, today)
        lease.check()
        store.write_bytes(NOTE, json.dumps(plan.names).encode())
        for name in plan.names:
            lease.check()
            store.delete(name)
        if any(name.startswith(f"{NIGHTS}/") for name in plan.names):
            write_index(store)
        store.delete(NOTE)
        store.collect_garbage(_GARBAGE_SECONDS)
    return plan


def _contents(store: Store) -> _Contents:
    names = frozenset(result_sets(store))
    found = {name: manifest(store, name) for name in names}
    return _Contents(
        names=names,
        uses={name: frozenset(_named(store, name, fields)) & names - {name} for name, fields in found.items()},
        stage={name: str(fields["about"].get("stage")) for name, fields in found.items()},
        bytes={name: sum(int(file["bytes"]) for file in fields["files"].values()) for name, fields in found.items()},
    )


def _named(store: Store, name: str, fields: dict[str, Any]) -> Iterator[str]:
    """Texts that may be names of other result sets; those of other commands (studies) are looked for in files too."""
    yield from _texts(fields["about"])
    if name.partition("/")[0] in (*_DELETED_IN_ORDER, _UNDER_WAY):
        return
    for file, facts in fields["files"].items():
        if file.endswith((".json", ".jsonl")) and int(facts["bytes"]) <= _LARGEST_LEDGER_BYTES:
            content = store.read_bytes(f"{name}/{file}")
            for document in content.splitlines() if file.endswith(".jsonl") else [content]:
                with contextlib.suppress(ValueError):
                    yield from _texts(parse_json(document))


def _texts(value: Any) -> Iterator[str]:
    """Every text in plain nested values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _special(there: list[Night]) -> dict[str, str]:
    """Nights that stay whatever their age, and why."""
    if not there:
        return {}
    newest = there[-1]
    kept_for = {night_name(newest.date): "the newest night"}
    if newest.baseline is not None:
        kept_for[night_name(newest.baseline)] = "the newest night was compared with it"
    good = [night for night in there if is_good(night, ())]
    if good:
        kept_for.setdefault(night_name(good[-1].date), "the last good night")
    return kept_for


def _noted(store: Store) -> list[str]:
    """What a prune that was killed had still to delete."""
    try:
        return [str(name) for name in parse_json(store.read_bytes(NOTE))]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        _logger.warning("%s: not a note of ours (%r); passed over", store.where(NOTE), error)
        return []


def _condemned(contents: _Contents, gone: set[str]) -> list[str]:
    """The results to go and what only they lead to, dependents first."""
    deletable = {name for name in contents.reached(gone) if name.partition("/")[0] in _DELETED_IN_ORDER}
    # What no result leads to goes with the encoder it was made by.
    made = {name for name in contents.names if name.startswith(_MADE_BY_ENCODERS)}
    deletable |= {name for name in made if contents.uses[name] & deletable}
    deletable |= contents.reached(deletable) & {name for name in contents.names if name.startswith("texts/")}
    indexes = {name for name in contents.names if name.startswith(_MADE_OF_VECTORS)}
    deletable |= {name for name in indexes if contents.uses[name] & deletable}
    # Token ids keep nothing: they go with the groups that they are of, or with the last vectors made of them.
    tokens = {name for name in contents.names if name.startswith("tokens/")}
    deletable -= tokens
    if any(name.startswith(f"{_UNDER_WAY}/") for name in contents.names):
        # A training that is not over names what it stands on nowhere.
        ground = {name for name in deletable if name.startswith(("groups/", "dictionaries/"))}
        deletable -= ground | {name for name in deletable if contents.stage[name] == "start"}
    while needed := contents.reached(contents.names - deletable - tokens) & deletable:
        deletable -= needed
    unused = tokens & contents.reached(deletable) - contents.reached(contents.names - deletable - tokens)
    deletable |= unused | {name for name in tokens if contents.uses[name] & deletable}
    return sorted(deletable, key=lambda name: _place(contents, name))


def _place(contents: _Contents, name: str) -> tuple[int, bool, str]:
    kind = name.partition("/")[0]
    # The encoder an arm started from goes after the arm's.
    return _DELETED_IN_ORDER.index(kind), kind == "encoders" and contents.stage[name] == "start", name
