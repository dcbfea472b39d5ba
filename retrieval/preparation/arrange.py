"""Decides which groups are written, in which source and order, and which share a passage."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cluster.errors import DataError
from retrieval.cleaning import Dropped
from retrieval.preparation.coverage import Coverage, merge_small
from retrieval.preparation.intake import Facts, Intake, Spool
from retrieval.records import Group


@dataclass(frozen=True)
class PlannedSource:
    """A source before it is written."""

    dataset: str
    languages: Coverage
    has_negatives: bool
    has_images: bool
    groups: np.ndarray
    """Numbers of its groups, in the order of its rows."""


@dataclass(frozen=True)
class Arrangement:
    """What is written, in which order."""

    sources: Sequence[PlannedSource]
    passage_ids: "PassageIds"

    @property
    def num_groups(self) -> int:
        """Groups over all sources."""
        return sum(len(source.groups) for source in self.sources)


def arrange(intake: Intake, min_groups: int, dropped: Dropped, max_groups: int | None = None) -> Arrangement:
    """Decide which groups go where.

    Args:
        min_groups: smaller coverages are merged into others.
        max_groups: how many are taken at most: those that come first in the shuffle.

    Raises:
        DataError: two groups share an id, or no coverage has enough groups.
    """
    facts = intake.facts()
    _refuse_repeated_ids(intake, facts)
    kind = _taken(facts, _without_repeats(intake, facts, dropped), max_groups, dropped)
    kind = _merged(intake, kind, min_groups, dropped)
    sources = _planned(intake, facts, kind)
    if not sources:
        raise DataError(
            f"prepare: no language coverage has min_groups ({min_groups}) groups, so nothing is left "
            f"({dropped.account()}); lower min_groups or name fewer languages"
        )
    return Arrangement(sources, PassageIds(intake.spool, facts))


def _refuse_repeated_ids(intake: Intake, facts: Facts) -> None:
    repeated = np.flatnonzero(later_duplicates(facts.id))
    if len(repeated):
        second = int(repeated[0])
        raise DataError(
            f"prepare: two groups have the id {intake.spool.read(second).id}; name each data set and split once, "
            f"and give generic data sets different names"
        )


class PassageIds:
    """The passage id of every group: one for all groups that share a passage or image, directly or through others."""

    def __init__(self, spool: Spool, facts: Facts) -> None:
        numbers = np.arange(len(facts.id))
        self._first = connect(
            len(numbers),
            np.concatenate([facts.pair_group, numbers.astype(np.uint32), numbers.astype(np.uint32)]),
            np.concatenate([facts.passage, facts.given_passage, facts.image]),
        )
        # Whoever shares a passage without sharing its id takes the id of the first; so does who has none.
        differs = facts.given_passage != facts.given_passage[self._first]
        nameless = (facts.given_passage == 0) & (self._first != numbers)
        named_by = np.unique(self._first[differs | nameless])
        self._names = {int(number): _own_passage_id(spool.read(int(number))) for number in named_by}

    def of(self, number: int, group: Group) -> str:
        """The passage id of the group with a number; never empty."""
        return self._names.get(int(self._first[number])) or _own_passage_id(group)


def _own_passage_id(group: Group) -> str:
    return group.passage_id or group.id


def _without_repeats(intake: Intake, facts: Facts, dropped: Dropped) -> np.ndarray:
    """(G) int64 kind of each group after pairs that an earlier group has were dropped; -1 where none is left."""
    kind = facts.kind.astype(np.int64)
    lost: dict[int, set[str]] = {}
    for pair in np.flatnonzero(later_duplicates(facts.pair)):
        group = int(facts.pair_group[pair])
        lost.setdefault(group, set()).add(intake.languages[facts.pair_language[pair]])
    for number, languages in lost.items():
        label, coverage, has_images = intake.kinds[kind[number]]
        rest = [language for language in coverage if language not in languages]
        kind[number] = intake.kind_number(label, rest, has_images) if rest else -1
        id = intake.spool.read(number).id
        dropped.add("pairs_repeated", f"{id} ({', '.join(sorted(languages))})", len(languages))
        if not rest:
            dropped.add("groups_repeated", id)
    return kind


def _taken(facts: Facts, kind: np.ndarray, max_groups: int | None, dropped: Dropped) -> np.ndarray:
    """(G) kind of each group, -1 for those beyond the limit: the last in the shuffle, whatever the order of reading."""
    there = np.flatnonzero(kind >= 0)
    if max_groups is None or len(there) <= max_groups:
        return kind
    beyond = there[np.lexsort((facts.id[there], facts.order[there]))][max_groups:]
    dropped.add("groups_beyond_max_groups", f"max_groups {max_groups}", len(beyond))
    kind = kind.copy()
    kind[beyond] = -1
    return kind


def _merged(intake: Intake, kind: np.ndarray, min_groups: int, dropped: Dropped) -> np.ndarray:
    """(G) kind of each group after small coverages were merged into others of the same data set."""
    counts = np.bincount(kind[kind >= 0], minlength=len(intake.kinds))
    goes_to = np.full(len(intake.kinds), -1, dtype=np.int64)
    for one in {(label, has_images) for label, _, has_images in intake.kinds}:
        number_of = {
            coverage: number
            for number, (label, coverage, has_images) in enumerate(intake.kinds)
            if (label, has_images) == one and counts[number]
        }
        sizes = {coverage: int(counts[number]) for coverage, number in number_of.items()}
        for coverage, target in merge_small(sizes, min_groups).items():
            goes_to[number_of[coverage]] = -1 if target is None else number_of[target]
    merged = np.where(kind >= 0, goes_to[kind], -1)
    for number in np.flatnonzero((merged != kind) & (kind >= 0)):
        _report_merge(intake, int(number), int(kind[number]), int(merged[number]), dropped)
    return merged


def _report_merge(intake: Intake, number: int, before: int, after: int, dropped: Dropped) -> None:
    coverage = intake.kinds[before][1]
    id = intake.spool.read(number).id
    if after < 0:
        dropped.add("groups_of_small_coverage", f"{id} ({', '.join(coverage)})")
    else:
        left_out = [language for language in coverage if language not in intake.kinds[after][1]]
        dropped.add("pairs_left_out_by_merge", f"{id}: {', '.join(left_out)} of {', '.join(coverage)}", len(left_out))


def _planned(intake: Intake, facts: Facts, kind: np.ndarray) -> list[PlannedSource]:
    """Sources by data set, most languages first; in each, groups in the order of the shuffle."""
    sources = []
    for number in np.unique(kind[kind >= 0]):
        label, languages, has_images = intake.kinds[number]
        groups = np.flatnonzero(kind == number)
        groups = groups[np.lexsort((facts.id[groups], facts.order[groups]))]
        has_negatives = bool(facts.has_negatives[groups].any())
        sources.append(PlannedSource(label, languages, has_negatives, has_images, groups))
    return sorted(sources, key=lambda s: (s.dataset, -len(s.languages), s.languages, s.has_images))


def later_duplicates(keys: np.ndarray) -> np.ndarray:
    """(N) bool: entries whose key an earlier entry has."""
    order = np.argsort(keys, kind="stable")
    repeats = np.zeros(len(keys), dtype=bool)
    repeats[order[1:]] = keys[order[1:]] == keys[order[:-1]]
    return repeats


def connect(num_groups: int, group: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Unite groups that share a key, directly or through others.

    Args:
        num_groups: G; groups are numbered 0 to G - 1.
        group: (N) group of each entry.
        key: (N) what the entry's group has; 0 unites nothing.

    Returns:
        (G) int64: the smallest group number of each group's component.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    order = np.argsort(key, kind="stable")
    group, key = group[order].astype(np.int64), key[order]
    # Neighbours in key order are enough: a chain connects all groups with the same key.
    same = np.flatnonzero((key[1:] == key[:-1]) & (key[1:] != 0))
    edges = (np.ones(len(same), dtype=np.int8), (group[same], group[same + 1]))
    _, component = connected_components(coo_array(edges, shape=(num_groups, num_groups)), directed=False)
    smallest = np.full(num_groups, num_groups, dtype=np.int64)
    np.minimum.at(smallest, component, np.arange(num_groups))
    return smallest[component]
