"""Languages in, neighbouring keys out.

Rows of letter keys as they lie above one another on the layouts of ISO/IEC 9995 keyboards; `·` keeps the place of a key
that is no single letter. Only layouts whose every letter is one key are here: the syllables of Korean, the vowels of
Thai and of Indian scripts are not.
"""

import functools
from collections.abc import Mapping

_QWERTY = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_LAYOUTS = {
    "ar": ("ضصثقفغعهخحجد", "شسيبلاتنمكط", "ئءؤر·ىةوزظ"),
    "da": ("qwertyuiopå", "asdfghjklæø", "zxcvbnm"),
    "de": ("qwertzuiopü", "asdfghjklöä", "yxcvbnm"),
    "el": ("·ςερτυθιοπ", "ασδφγηξκλ", "ζχψωβνμ"),
    "es": ("qwertyuiop", "asdfghjklñ", "zxcvbnm"),
    "fa": ("ضصثقفغعهخحجچ", "شسیبلاتنمکگ", "ظطزرذدئو"),
    "fi": ("qwertyuiopå", "asdfghjklöä", "zxcvbnm"),
    "fr": ("azertyuiop", "qsdfghjklm", "wxcvbn"),
    "he": ("··קראטוןםפ", "שדגכעיחלךף", "זסבהנמצתץ"),
    "nb": ("qwertyuiopå", "asdfghjkløæ", "zxcvbnm"),
    "ru": ("йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю"),
    "sr": ("љњертзуиопшђ", "асдфгхјклчћж", "ѕџцвбнм"),
    "sv": ("qwertyuiopå", "asdfghjklöä", "zxcvbnm"),
    "tr": ("qwertyuıopğü", "asdfghjklşi", "zxcvbnmöç"),
    "uk": ("йцукенгшщзхї", "фівапролджє", "ячсмитьбю"),
}
_TOUCHING = ((0, -1), (0, 1), (-1, 0), (-1, 1), (1, -1), (1, 0))
"""Rows stand half a key to the right of the row above."""


@functools.cache
def neighbours(language: str) -> Mapping[str, str]:
    """Letter -> the letters on the keys that touch its own, for a primary language code.

    QWERTY where no layout is known, and for Latin letters where the layout is of another script. Letters that neither
    has are not in the mapping.
    """
    return {**_neighbours_on(_QWERTY), **_neighbours_on(_LAYOUTS.get(language, ()))}


def _neighbours_on(rows: tuple[str, ...]) -> dict[str, str]:
    key_at = {(r, c): key for r, row in enumerate(rows) for c, key in enumerate(row) if key != "·"}
    return {
        key: "".join(key_at[r + down, c + right] for down, right in _TOUCHING if (r + down, c + right) in key_at)
        for (r, c), key in key_at.items()
    }
