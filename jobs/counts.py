"""Data sets -> how much they hold in each language."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cluster.storage import ResultSet
from jobs.stages import Stages
from retrieval.records import Collection


@dataclass(frozen=True)
class DataCounts:
    """What one data set holds. A group is one meaning in several languages, a query and a passage in each."""

    role: str
    """train, validation or evaluation."""
    name: str
    total: Mapping[str, int]
    """What is counted (groups, or queries and passages) -> how many."""
    languages: Mapping[str, Mapping[str, int]]
    """Language -> what is counted -> how many."""


def count_groups(prepared: ResultSet) -> list[DataCounts]:
    """Prepared groups of each training data set: what is left of it after cleaning and the leakage rule."""
    from retrieval.groups import open_groups

    total: Counter[str] = Counter()
    of_language: dict[str, Counter[str]] = {}
    for source in open_groups(prepared).sources:
        total[source.dataset] += source.num_groups
        of_language.setdefault(source.dataset, Counter()).update(dict.fromkeys(source.languages, source.num_groups))
    return [
        DataCounts(
            "train",
            name,
            {"groups": total[name]},
            {code: {"groups": of_language[name][code]} for code in sorted(of_language[name])},
        )
        for name in total
    ]


def count_collections(stages: Stages) -> list[DataCounts]:
    """Queries and passages of the validation sample, where there is one, and of everything to evaluate on."""
    judged = [("evaluation", name, stages.collection(name)) for name in stages.config.data.evaluation]
    if stages.validation is not None:
        judged.insert(0, ("validation", stages.validation.name, stages.validation))
    return [_count(role, name, collection) for role, name, collection in judged]


def _count(role: str, name: str, collection: Collection) -> DataCounts:
    parts = {"queries": collection.query_language, "passages": collection.passage_language}
    counts = {part: Counter(languages.tolist()) for part, languages in parts.items()}
    return DataCounts(
        role,
        name,
        {part: len(languages) for part, languages in parts.items()},
        {code: {part: counts[part][number] for part in parts} for number, code in enumerate(collection.languages)},
    )


def counts_text(counts: DataCounts) -> str:
    """The counts for people: a line for the data set and one for each language."""
    lines = [f"{counts.role} {counts.name}: {_listed(counts.total.items())} in {len(counts.languages)} languages"]
    width = max(map(len, counts.languages), default=0)
    lines += [f"  {code:{width}}  {_listed(of_language.items())}" for code, of_language in counts.languages.items()]
    return "\n".join(lines)


def _listed(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count:,} {part}" for part, count in counts)
