"""Language coverages, and where the groups of a coverage go that is too small for a source of its own."""

from collections.abc import Mapping

Coverage = tuple[str, ...]
"""Sorted language codes of a group."""


def merge_small(counts: Mapping[Coverage, int], min_groups: int) -> dict[Coverage, Coverage | None]:
    """Where the groups of each coverage go: one with fewer than `min_groups` loses languages until it is another.

    From most languages to fewest, a coverage that has too few groups (with those it has been given) joins the largest
    of its subsets (most languages, then most groups, then the alphabet), of those with which it has enough if there
    are such. Without a subset its groups have no place (None).
    """
    size = dict(counts)
    goes_to: dict[Coverage, Coverage | None] = {}
    for coverage in sorted(counts, key=lambda coverage: (-len(coverage), coverage)):
        if size[coverage] >= min_groups:
            goes_to[coverage] = coverage
            continue
        subsets = [other for other in counts if set(other) < set(coverage)]
        enough = [other for other in subsets if size[other] + size[coverage] >= min_groups]
        target = min(enough or subsets, key=lambda other: (-len(other), -size[other], other), default=None)
        goes_to[coverage] = target
        if target is not None:
            size[target] += size[coverage]
    return {coverage: _follow(goes_to, coverage) for coverage in counts}


def _follow(goes_to: Mapping[Coverage, Coverage | None], coverage: Coverage) -> Coverage | None:
    target = goes_to[coverage]
    while target is not None and goes_to[target] != target:
        target = goes_to[target]
    return target
