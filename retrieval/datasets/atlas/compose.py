"""Facts and templates -> groups: a question that compares two territories, and the passage that tells both facts.

A question asks for one relation of a territory, with clues (two other facts about it) and a second territory to compare
it with. Its passage tells the fact, the clues and the fact of the second territory. Every choice is a keyed hash, so
the same group comes out in every process.
"""

import functools
import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import yaml

from retrieval.datasets.atlas.facts import LANGUAGES, RELATIONS, Territory, all_territories
from retrieval.records import Group, Pair

SPLITS = {"train": 7, "validation": 1, "test": 2}
"""Split -> tenths of the territories."""

_VARIANTS = 3
"""Groups per territory and relation, each with another second territory and other clues."""

_CLUES = ("region", "currency", "language", "time_zone", "first_day")
"""Relations whose values recur in many territories and so carry over to unseen ones."""


@dataclass(frozen=True, slots=True)
class Phrases:
    """How one language puts one relation; placeholders: name, value, contrast, clue, year."""

    clue: str
    """The fact as a label in brackets behind a name: value."""
    ask: Sequence[str]
    """The question: name, clue, contrast."""
    tell: Sequence[str]
    """A sentence that names the territory: name, value."""
    add: Sequence[str]
    """A sentence about the territory named before: value."""
    compare: Sequence[str]
    """A sentence about the second territory: contrast, value."""


@dataclass(frozen=True, slots=True)
class Templates:
    """One language's file in `templates/`."""

    between_sentences: str
    between_clues: str
    names: Mapping[str, str]
    """Territory code -> name that fits into a sentence, where the CLDR's name does not: `the Bahamas`."""
    relations: Mapping[str, Phrases]


@functools.cache
def templates(language: str) -> Templates:
    """The templates of a language."""
    file = resources.files("retrieval.datasets.atlas") / "templates" / f"{language}.yaml"
    fields = yaml.safe_load(file.read_text(encoding="utf-8"))
    relations = {relation: Phrases(**fields["relations"][relation]) for relation in RELATIONS}
    return Templates(fields["between_sentences"], fields["between_clues"], fields["names"], relations)


@functools.lru_cache(maxsize=1)
def split_of_territories() -> Mapping[str, str]:
    """Territory code -> split; shares as in `SPLITS`, in the order of a keyed hash."""
    codes = sorted((territory.code for territory in all_territories()), key=lambda code: _keyed("split", code))
    bounds = list(itertools.accumulate(SPLITS.values()))
    names = list(SPLITS)
    return {
        code: names[next(i for i, bound in enumerate(bounds) if rank * 10 < bound * len(codes))]
        for rank, code in enumerate(codes)
    }


@functools.cache
def compose_groups(split: str) -> tuple[Group, ...]:
    """All groups of a split in all languages, by territory, relation and number."""
    return tuple(case.group() for case in cases(split))


@functools.cache
def cases(split: str) -> tuple["Case", ...]:
    """What the groups of a split say, in the same order; all territories in it are of this split."""
    split_of = split_of_territories()
    territories = [territory for territory in all_territories() if split_of[territory.code] == split]
    found = []
    for territory, relation in itertools.product(territories, RELATIONS):
        if relation in territory.facts:
            contrasts = _contrasts(territory, relation, territories)
            # With few pairs of clues they come again: the second territory tells the groups apart.
            clues = itertools.cycle(_clue_pairs(territory, relation))
            for number, (contrast, pair) in enumerate(zip(contrasts, clues, strict=False), start=1):
                found.append(Case(territory, relation, contrast, pair, number))
    return tuple(found)


def _contrasts(territory: Territory, relation: str, territories: Sequence[Territory]) -> list[Territory]:
    """Territories to compare with: another value, and no name that gives the answer away.

    The order does not depend on the relation, so a pair of territories comes up under most relations: their names alone
    do not say which passage is meant. Of two territories only one is compared with the other: both questions would have
    the same answer.
    """
    fact = territory.facts[relation]
    if _reveals(fact.value, territory.name):
        return []
    ordered = sorted(territories, key=lambda other: _keyed("contrast", territory.code, other.code))
    fitting = (
        other
        for other in ordered
        if other is not territory
        and relation in other.facts
        and _asks(territory.code, other.code)
        and _differ(fact.value, other.facts[relation].value)
        and not _reveals(fact.value, other.name)
    )
    return list(itertools.islice(fitting, _VARIANTS))


def _asks(code: str, other: str) -> bool:
    """Which of two territories is compared with the other: true for exactly one of the two orders."""
    first, second = sorted((code, other))
    return (first, second)[_keyed("asks", first, second) % 2] == code


def _differ(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return all(one[language] != other[language] for language in LANGUAGES)


def _clue_pairs(territory: Territory, relation: str) -> list[tuple[str, str]]:
    """Pairs of relations that may serve as clues, in the order of a keyed hash; alike for most relations."""
    own = territory.facts[relation].value
    kinds = [
        kind
        for kind in _CLUES
        if kind != relation and kind in territory.facts and not _reveals(own, territory.facts[kind].value)
    ]
    pairs = list(itertools.combinations(kinds, 2))
    return sorted(pairs, key=lambda pair: _keyed("clues", territory.code, *pair))


def _reveals(value: Mapping[str, str], text: Mapping[str, str]) -> bool:
    """Whether a text that will stand in the question holds the answer, in any language."""
    return any(holds(text[language], value[language], language) for language in LANGUAGES)


def holds(text: str, value: str, language: str) -> bool:
    """Whether `value` stands in `text`: as whole words, or anywhere where the script knows no spaces."""
    value, text = value.casefold(), text.casefold()
    if value not in text or language in ("th", "zh"):
        return value in text
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) is not None


def _keyed(*parts: str) -> int:
    """The same number for the same words in every process."""
    return int.from_bytes(hashlib.sha256("\x1f".join(("atlas", *parts)).encode()).digest()[:8], "big")


@dataclass(frozen=True, slots=True)
class Case:
    """What one group says, before it is put into words."""

    territory: Territory
    relation: str
    contrast: Territory
    """The second territory: it has another value of the relation."""
    clues: tuple[str, str]
    """Two other relations of the territory; the question gives their values."""
    number: int
    """Tells apart the groups of a territory and relation, from 1."""

    @property
    def id(self) -> str:
        """`atlas/<territory>-<relation>-<number>`."""
        return f"atlas/{self.territory.code}-{self.relation}-{self.number}"

    def group(self) -> Group:
        """The case in all languages, each with a wording of its own."""
        return Group(self.id, {code: Pair(self.query(code), self.passage(code)) for code in LANGUAGES})

    def query(self, language: str) -> str:
        """The question, with the clues as labels."""
        words = templates(language)
        clues = [
            words.relations[kind].clue.format(value=self.territory.facts[kind].value[language])
            for kind in self._shuffled(self.clues, language, "labels")
        ]
        ask = self._drawn(words.relations[self.relation].ask, language, "ask")
        text = ask.format(
            name=_name(self.territory, language),
            contrast=_name(self.contrast, language),
            clue=words.between_clues.join(clues),
            year=self.territory.facts[self.relation].year,
        )
        return _capitalised(text)

    def passage(self, language: str) -> str:
        """The fact and the clues in any order, then the fact of the second territory."""
        words = templates(language)
        sentences = []
        for position, kind in enumerate(self._shuffled((self.relation, *self.clues), language, "facts")):
            options = words.relations[kind].add if position else words.relations[kind].tell
            fact = self.territory.facts[kind]
            sentence = self._drawn(options, language, "tell", kind)
            name = _name(self.territory, language)
            sentences.append(sentence.format(name=name, value=fact.value[language], year=fact.year))
        other = self.contrast.facts[self.relation]
        compare = self._drawn(words.relations[self.relation].compare, language, "compare")
        name = _name(self.contrast, language)
        sentences.append(compare.format(contrast=name, value=other.value[language], year=other.year))
        return words.between_sentences.join(map(_capitalised, sentences))

    def _drawn(self, options: Sequence[str], *key: str) -> str:
        return options[_keyed(self.id, *key) % len(options)]

    def _shuffled(self, kinds: Sequence[str], *key: str) -> list[str]:
        return sorted(kinds, key=lambda kind: _keyed(self.id, *key, kind))


def _name(territory: Territory, language: str) -> str:
    return templates(language).names.get(territory.code, territory.name[language])


def _capitalised(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
