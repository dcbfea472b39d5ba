"""Text from data made fit to show: nothing invisible in it, a bounded length, languages by name."""

import functools
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

_MAX_CHARACTERS = 80
_BIDI_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_INVISIBLE = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff{_BIDI_CONTROLS}]")
_LINE_BREAKS_AND_INVISIBLE = re.compile(_INVISIBLE.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))
# First strong isolate, pop directional isolate: `visible` takes them out of data, so those in sentences are ours.
_ISOLATE = "\u2068\u2069"
KIND_ORDER = ("mono", "cross", "multi", "code_switched")


def visible(text: str, multiline: bool = False) -> str:
    """The text with control, bidirectional and other invisible characters written as their code points.

    A name could otherwise reverse the numbers beside it, or be no legal character of an SVG file.
    """
    pattern = _LINE_BREAKS_AND_INVISIBLE if multiline else _INVISIBLE
    return pattern.sub(lambda match: f"<U+{ord(match[0]):04X}>", text)


def label(text: str, max_width: int = _MAX_CHARACTERS) -> str:
    """A visible name of at most `max_width` terminal columns, with an ellipsis where it was cut."""
    shown = visible(text)
    if columns(shown) <= max_width:
        return shown
    kept = ""
    for character in shown:
        if columns(kept + character) > max_width - 1:
            break
        kept += character
    return f"{kept}…"


def isolated(name: str) -> str:
    """A name for a sentence: set apart, so that its direction of writing does not reorder the words around it."""
    return f"{_ISOLATE[0]}{label(name)}{_ISOLATE[1]}"


def parts_of(sentence: str) -> list[str]:
    """A sentence as words, name, words, name, ..., words."""
    return re.split(f"[{_ISOLATE}]", sentence)


def columns(text: str) -> int:
    """Terminal columns the text takes: two for wide East Asian characters, none for combining marks."""
    return sum(
        0
        if unicodedata.category(character) in ("Mn", "Me", "Cf")
        else 2
        if unicodedata.east_asian_width(character) in "WF"
        else 1
        for character in text
    )


def slug(*parts: str) -> str:
    """A name for a file or an element: small letters, digits and hyphens only."""
    text = "-".join(part.replace("@", " at ") for part in parts).lower()
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-")[:_MAX_CHARACTERS] or "x"


def kinds_in_order(kinds: Iterable[str]) -> list[str]:
    """Kinds or settings: mono, cross, multi, code_switched, then others by name."""
    return sorted(kinds, key=lambda kind: (KIND_ORDER.index(kind) if kind in KIND_ORDER else len(KIND_ORDER), kind))


def listed(items: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join(filter(None, (", ".join(items[:-1]), items[-1]))) if items else "none"


@functools.cache
def language_names(code: str) -> tuple[str, str]:
    """English name of a language and its name for itself, from CLDR; two empty strings for an unknown code."""
    from babel import Locale, UnknownLocaleError

    try:
        locale = Locale.parse(code.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return "", ""
    return locale.get_display_name("en") or "", locale.get_display_name() or ""


def mix_text(mix: Mapping[str, str] | None) -> str:
    """`mono 1/2 + cross 1/2`; '–' for an arm without a mix. Kinds with no share are left out."""
    if not mix:
        return "–"
    return " + ".join(
        kind if share in ("1", "1.0") else f"{kind} {share}"
        for kind, share in ((kind, str(mix[kind])) for kind in kinds_in_order(set(mix)))
        if share not in ("0", "0.0")
    )
