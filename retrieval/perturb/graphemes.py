"""Texts in, grapheme clusters out: what a reader takes for one character (Unicode UAX 29, extended clusters).

A Hindi syllable (`न्दी`), a Thai consonant with its vowel and tone (`ที่`), a letter with its accents: changing part of
one makes a character that nobody would type.
"""

import regex

_CLUSTER = regex.compile(r"\X")
_LETTER = regex.compile(r"\p{L}")


def clusters(text: str) -> list[str]:
    """The grapheme clusters of a text, in order."""
    return _CLUSTER.findall(text)


def is_letter(cluster: str) -> bool:
    """Whether a cluster is a letter, with whatever marks it carries."""
    return _LETTER.match(cluster) is not None


def holds_together(parts: list[str]) -> bool:
    """Whether clusters that were put side by side stay what they are, none joined with its neighbour."""
    return clusters("".join(parts)) == parts
