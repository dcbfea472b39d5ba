"""Texts in, the same texts by another spelling or script that readers of the language take for the same.

Simplified and traditional Chinese are not among them: one character may stand for several, which takes a dictionary of
phrases, and no library we keep has one.
"""

import random
import unicodedata
from collections.abc import Callable

import regex

from retrieval.perturb.primary import primary_language

Variant = Callable[[str, random.Random], str]

_CYRILLIC = "абвгдђежзијклљмнњопрстћуфхцчџш"
_LATIN = (*"abvgdđežzijkl", "lj", "m", "n", "nj", *"oprstćufhcč", "dž", "š")
_TO_LATIN = dict(zip(_CYRILLIC, _LATIN, strict=True))
_TO_CYRILLIC = {latin: cyrillic for cyrillic, latin in _TO_LATIN.items()}
_WORD = regex.compile(r"\p{L}+")
_SERBIAN_LATIN = regex.compile(r"lj|nj|dž|\p{L}", regex.IGNORECASE)

# Letters that join the next one on both sides, so that a stroke fits between them.
_JOINING = regex.compile(r"(?<=[بتثجحخسشصضطظعغفقكلمنهيئ])(?=[ابتثجحخدذرزسشصضطظعغفقكلمنهويةى])")
# A nasal before a consonant of its own row is written as a dot above (anusvara) just as well.
_NASAL_OF_ROW = regex.compile(r"ङ्(?=[क-घ])|ञ्(?=[च-झ])|ण्(?=[ट-ढ])|न्(?=[त-ध])|म्(?=[प-भ])")
_NUKTA = regex.compile(r"(?<![डढ])़")  # NFC keeps it apart from its letter
_ASCII_RUN = regex.compile(r"[0-9A-Za-z]+")
_ASCII_DIGITS = "0123456789"
_UMLAUTS = {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"}


def _letters(pairs: dict[str, str]) -> Variant:
    table = str.maketrans(pairs)
    return lambda text, rng: text.translate(table)


def _digits(first: str) -> Variant:
    """European digits in the digits of a script, which stand in order from its zero; the other way where there are."""
    own = "".join(chr(ord(first) + value) for value in range(10))
    to_own, to_european = str.maketrans(_ASCII_DIGITS, own), str.maketrans(own, _ASCII_DIGITS)
    return lambda text, rng: text.translate(to_european if any(digit in text for digit in own) else to_own)


def _serbian(text: str, rng: random.Random) -> str:
    """Cyrillic in Latin letters, or Latin ones in Cyrillic; a Latin word with a letter that Serbian lacks stays."""
    text = unicodedata.normalize("NFC", text)
    if regex.search(r"\p{Cyrillic}", text):
        return _WORD.sub(lambda word: _word_in(word[0], list(word[0]), _TO_LATIN) or word[0], text)
    return _WORD.sub(lambda word: _word_in(word[0], _SERBIAN_LATIN.findall(word[0]), _TO_CYRILLIC) or word[0], text)


def _word_in(word: str, letters: list[str], other: dict[str, str]) -> str | None:
    if any(letter.lower() not in other for letter in letters):
        return None
    capital = str.upper if word.isupper() and len(letters) > 1 else str.capitalize
    written = [other[letter.lower()] for letter in letters]
    return "".join(new if old[0].islower() else capital(new) for old, new in zip(letters, written, strict=True))


def _stroke(text: str, rng: random.Random) -> str:
    """One tatweel, the stroke that lengthens a word, where two letters join."""
    places = [match.start() for match in _JOINING.finditer(text)]
    if not places:
        return text
    place = rng.choice(places)
    return f"{text[:place]}ـ{text[place:]}"


def _dotted_nasals(text: str, rng: random.Random) -> str:
    return _NASAL_OF_ROW.sub("ं", text)


def _without_nukta(text: str, rng: random.Random) -> str:
    """Without the dot below that marks sounds of Persian and Arabic words (ज़ as ज); ड़ and ढ़ need theirs."""
    return _NUKTA.sub("", unicodedata.normalize("NFC", text))


def _full_width(text: str, rng: random.Random) -> str:
    """Latin letters and digits as wide as Chinese characters."""
    return _ASCII_RUN.sub(lambda run: "".join(chr(ord(character) + 0xFEE0) for character in run[0]), text)


_ARABIC = (_letters(dict.fromkeys("أإآٱ", "ا") | {"ة": "ه"}), _digits("٠"), _stroke)
_DEVANAGARI = (_dotted_nasals, _without_nukta, _digits("०"))
_VARIANTS: dict[str, tuple[Variant, ...]] = {
    **dict.fromkeys(("ar", "acm", "acq", "aeb", "ajp", "apc", "ars", "ary", "arz"), _ARABIC),
    "bn": (_digits("০"),),
    "de": (_letters(_UMLAUTS),),
    "fa": (_letters({"ی": "ي", "ک": "ك"}), _digits("۰")),
    **dict.fromkeys(("hi", "awa", "bho", "mag", "mai", "mr", "ne"), _DEVANAGARI),
    "ja": (_full_width,),
    "km": (_digits("០"),),
    "lo": (_digits("໐"),),
    "my": (_digits("၀"),),
    **dict.fromkeys(("bs", "cnr", "sr"), (_serbian,)),
    "th": (_digits("๐"),),
    "ur": (_letters({"ی": "ي", "ک": "ك"}), _digits("۰")),
    "zh": (_full_width,),
}


def script_variant(text: str, language: str, rng: random.Random) -> str:
    """Every variant that the language has, one after the other; languages without any keep their text.

    Serbian: the other script. Arabic: alef without hamza or madda, final ه for ة, Arabic digits, one tatweel. Persian,
    Urdu: Arabic ي and ك, own digits. Hindi and others in Devanagari: dotted nasals, no nukta, own digits. Bengali,
    Khmer, Lao, Burmese, Thai: own digits. Chinese, Japanese: full-width Latin letters and digits. German: ae, oe, ue.
    """
    for variant in _VARIANTS.get(primary_language(language), ()):
        text = variant(text, rng)
    return text
