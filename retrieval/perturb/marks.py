"""Texts in, texts without diacritics or in one case out."""

import random
import unicodedata

import regex

from retrieval.perturb.primary import primary_language

# Letters that Unicode does not take apart, and what people type who cannot type them.
_PLAIN = str.maketrans(dict(zip("đĐłŁøØħĦŧŦı", "dDlLoOhHtTi", strict=True)) | {"ß": "ss"})
_LATIN_OR_GREEK = regex.compile(r"([\p{Latin}\p{Greek}])\p{Mn}+")
_CYRILLIC = regex.compile(r"(?<=\p{Cyrillic})\p{Mn}*\u0301|(?<=[еЕ])\u0308")
_ARABIC_OR_HEBREW = regex.compile(r"[\u064B-\u0652\u0670\u0591-\u05C7--\u05BE\u05C0\u05C3\u05C6]", regex.V1)
_GREEK_ACCENT = regex.compile(r"(?<=\p{Greek}\u0308?)\u0301")
_GEORGIAN = regex.compile(r"(\p{Georgian}+)")


def without_diacritics(text: str, language: str, rng: random.Random) -> str:
    """Plain letters, as typed without accents: Latin and Greek marks, Arabic and Hebrew vowel points, Cyrillic stress.

    Cyrillic ё becomes е, which is usual; й stays, for и is another letter. Indian and South East Asian scripts write
    vowels as marks, so nothing is taken from them.
    """
    apart = unicodedata.normalize("NFD", text)
    apart = _LATIN_OR_GREEK.sub(r"\1", apart)
    apart = _CYRILLIC.sub("", apart)
    apart = _ARABIC_OR_HEBREW.sub("", apart)
    plain = unicodedata.normalize("NFC", apart).translate(_PLAIN)
    return text if plain == unicodedata.normalize("NFC", text) else plain


def lower_case(text: str, language: str, rng: random.Random) -> str:
    """All lower case; I and İ become ı and i in Turkish and Azerbaijani."""
    if primary_language(language) in ("tr", "az"):
        text = text.replace("İ", "i").replace("I", "ı")
    return text.lower()


def upper_case(text: str, language: str, rng: random.Random) -> str:
    """All capitals; i becomes İ in Turkish and Azerbaijani, Greek capitals lose their accent, Georgian has no case."""
    if primary_language(language) in ("tr", "az"):
        text = text.replace("i", "İ")
    parts = [part if _GEORGIAN.fullmatch(part) else part.upper() for part in _GEORGIAN.split(text)]
    capitals = "".join(parts)
    if primary_language(language) == "el":
        capitals = unicodedata.normalize("NFC", _GREEK_ACCENT.sub("", unicodedata.normalize("NFD", capitals)))
    return capitals
