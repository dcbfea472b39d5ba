"""Prepared groups -> the dictionary of their languages, and how much of their texts it has."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

import regex

from retrieval.dictionary import WORD, Dictionary, induce_dictionary, parallel_texts
from retrieval.groups import PreparedGroups
from retrieval.records import Group

_MOST_LANGUAGES = 24
_LETTER = regex.compile(r"\p{L}")


def dictionary_of(groups: PreparedGroups) -> Dictionary:
    """Translations between the languages of prepared groups; every source has its turn, whatever its size.

    Between all of them up to 24 languages; beyond, between each and the one that most groups have (of equals, English).
    """
    size_of: Counter[str] = Counter()
    for source in groups.sources:
        size_of.update(dict.fromkeys(source.languages, source.num_groups))
    languages = sorted(size_of)
    widest = min(languages, key=lambda language: (-size_of[language], language != "en", language))
    partners = [widest] if len(languages) > _MOST_LANGUAGES else None
    return induce_dictionary(in_turns(groups), languages, partners=partners)


def in_turns(groups: PreparedGroups) -> Iterator[Group]:
    """All groups in two languages or more, one of each source in turn as long as it has any."""
    sources = [source.iter_groups() for source in groups.sources if len(source.languages) > 1]
    rounds = itertools.zip_longest(*sources)
    return (group for one_of_each in rounds for group in one_of_each if group is not None)


def coverage(dictionary: Dictionary, groups: Iterable[Group]) -> dict[str, float]:
    """Language -> share of the letters of its texts that stand in words with a translation other than themselves."""
    letters: Counter[str] = Counter()
    translated: Counter[str] = Counter()
    for texts in parallel_texts(groups):
        for language, text in texts.items():
            letters[language] += len(_LETTER.findall(text))
            for word in WORD.findall(text):
                if any(found.lower() != word.lower() for found in dictionary.translations(word, language).values()):
                    translated[language] += len(_LETTER.findall(word))
    return {language: translated[language] / max(letters[language], 1) for language in sorted(letters)}
