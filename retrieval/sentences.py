"""A paragraph in, the spans of its sentences out: by rules, for the languages of MLQA.

A sentence ends at a full stop, question mark, exclamation mark or ellipsis (Latin, Arabic, Devanagari), with the quotes
and brackets that close after it, before white space; at an ideographic one also without white space. English and
German full stops are not taken as an end after abbreviations and initials, German ones not after one or two digits
either (ordinals), nor any full stop before a small letter.

The rules were chosen by their agreement with the sentences that LAReQA published for XQuAD-R; the figures, beside those
of five libraries, are in docs/datasets/mlqa_r.md. One of them only makes sense so: an ideographic full stop before a
digit is no end there.
"""

import regex

_CLOSING = r"""["”’»)\]'」』）》]*"""
_END = regex.compile(rf"[.!?।؟۔…]+{_CLOSING}(?:\[\d+\])*(?=\s)|(?>[。！？]+{_CLOSING})(?!\d)")
_LAST_WORD = regex.compile(r"[\p{L}\p{M}\p{N}.]+$")
_INITIALS = regex.compile(r"(?:\p{Lu}\.)*\p{Lu}")
_ORDINAL = regex.compile(r"\d{1,2}")
_SMALL_LETTER = regex.compile(r"\s*\p{Ll}")

# fmt: off
_ABBREVIATIONS = {
    "en": frozenset((
        "mr", "mrs", "ms", "dr", "prof", "st", "jr", "sr", "vs", "no", "vol", "fig", "ca", "c", "v", "inc", "ltd", "co",
        "gen", "col", "lt", "sgt", "capt", "maj", "rev", "hon", "gov", "sen", "rep", "pres", "approx", "est", "e.g",
        "i.e", "op", "cit", "pp", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sept", "sep", "oct", "nov", "dec",
        "u.s",
    )),
    "de": frozenset((
        "dr", "prof", "st", "nr", "bd", "bzw", "ca", "z", "b", "z.b", "d.h", "u.a", "n", "v", "chr", "hl", "evtl",
        "ggf", "inkl", "sog", "str", "abs", "art", "bspw", "vgl", "mio", "mrd", "co", "jan", "feb", "aug", "sept",
        "okt", "nov", "dez",
    )),
}
# fmt: on
"""Words before a full stop that ends no sentence, in lower case."""


def sentence_spans(text: str, language: str) -> list[tuple[int, int]]:
    """[start, end) of each sentence in characters, in order, without the white space around them.

    Every character that is not white space lies in exactly one sentence.
    """
    spans, start = [], 0
    for match in _END.finditer(text):
        if not _is_abbreviated(text, start, match, language):
            spans.append(_trimmed(text, start, match.end()))
            start = match.end()
    spans.append(_trimmed(text, start, len(text)))
    return [(first, end) for first, end in spans if first < end]


def _is_abbreviated(text: str, start: int, match: "regex.Match[str]", language: str) -> bool:
    """Whether what looks like the end of a sentence is a full stop within one."""
    if not match[0].startswith(".") or language not in _ABBREVIATIONS:
        return False
    if _SMALL_LETTER.match(text, match.end()):
        return True
    word = _LAST_WORD.search(text, start, match.start())
    if word is None or match[0] != ".":
        return False
    if language == "de" and _ORDINAL.fullmatch(word[0]):
        return True
    return word[0].lower() in _ABBREVIATIONS[language] or _INITIALS.fullmatch(word[0]) is not None


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())
