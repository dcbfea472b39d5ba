"""One code per language, whatever a data set calls it: ISO 639-1, ISO 639-3, FLORES, NTREX or BCP 47 in, ours out.

The canonical code is BCP 47 in its shortest form: the ISO 639-1 code where there is one (`de`), else ISO 639-3 (`ast`);
a script or region only for what would otherwise be confused with another entry (`zh-Hant`, `pt-BR`). So the codes of
data sets that speak of the same language are equal, and those of one data set never fall together.

Decided where sources disagree:

    zh, zh_cn, cmn, zho_Hans        zh        Simplified is the default; zh-TW, zho_Hant are zh-Hant, yue stays yue
    no, nb, nob                     nb        every Norwegian text without a closer name is Bokmål; nno is nn
    ku, kmr                         ku        Kurmanji in Latin script; Central Kurdish (Sorani) is ckb
    pt-BR, por-BR                   pt-BR     kept apart from pt, because NTREX has both; FLORES's por_Latn is pt
    es-LA                           es-419    `LA` means Laos in BCP 47
    ti_ER, ti_ET                    ti-ER ... three separate translations in TICO-19, beside ti
    tl, tgl                         fil       as CLDR has it
    prs                             prs       Dari beside Persian (fa), because TICO-19 and FLORES have both
    twi, aka                        tw, ak    FLORES has both, though CLDR takes them as one; so with dik and din
    gsw-BE, gsw-ZH                  the same  NTREX means cantons (Bern, Zürich), not countries
"""

import difflib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from cluster.errors import DataError
from retrieval.language_table import LANGUAGE_TABLE
from retrieval.languages import Languages, choose_languages


@dataclass(frozen=True, slots=True)
class Language:
    """One entry of the table."""

    code: str
    """The canonical code."""
    script: str
    """ISO 15924."""
    name: str
    """In English."""
    aliases: tuple[str, ...]
    """Every other code of the same, in lower case with `-`: `deu`, `de-latn`, `deu-latn`."""


@functools.cache
def known_languages() -> Mapping[str, Language]:
    """Canonical code -> entry, in the order of the codes."""
    entries = [_entry(row) for row in LANGUAGE_TABLE.strip().splitlines()]
    return {entry.code: entry for entry in entries}


def canonical_code(code: str) -> str:
    """The canonical code of a language, for a code in any of the standards; case and `_` or `-` do not matter.

    Raises:
        DataError: no language of the table has this code; near ones are named.
    """
    found = _by_alias().get(_folded(code))
    if found is None:
        near = difflib.get_close_matches(_folded(code), _by_alias(), n=3)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise DataError(f"'{code}' is not a language code of our table{hint}; retrieval/language_table.py holds them")
    return found


def _canonical_codes(codes: tuple[str, ...]) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for code in codes:
        try:
            canonical = canonical_code(code)
        except DataError as error:
            raise ValueError(str(error)) from None
        if canonical in found:
            raise ValueError(f"'{found[canonical]}' and '{code}' are the same language ({canonical}); keep one")
        found[canonical] = code
    return tuple(found)


CanonicalLanguages = Annotated[Languages, AfterValidator(_canonical_codes)]
"""One or more different languages, by any of their codes; stored as canonical codes."""


def files_by_language(files: Mapping[str, Path], wanted: Sequence[str] | None, where: object) -> dict[str, Path]:
    """Files by canonical code, from files by a data set's own codes; those of the wanted languages, in their order.

    Raises:
        DataError: a wanted language is not there (those that are, are named), or two files are of one language.
    """
    of_language: dict[str, Path] = {}
    for code, path in files.items():
        language = canonical_code(code)
        if language in of_language:
            raise DataError(f"{path}: holds the same language ({language}) as {of_language[language]}; keep one")
        of_language[language] = path
    return {language: of_language[language] for language in choose_languages(wanted, sorted(of_language), where)}


def _folded(code: str) -> str:
    return code.strip().replace("_", "-").lower()


def _entry(row: str) -> Language:
    code, others, script, name, *whole = (part.strip() for part in row.split("|"))
    primary, _, variant = code.partition("-")
    aliases = [_folded(alias) for part in whole for alias in part.split()]
    for language in (primary, *others.split()):
        # `-Hant` or `-BR` tells the entry from its plain language, so it is part of all of its codes.
        aliases += [f"{language}-{variant}"] if variant else [language, f"{language}-{script}"]
    return Language(code, script, name, tuple(dict.fromkeys(map(_folded, aliases))))


@functools.cache
def _by_alias() -> Mapping[str, str]:
    by_alias: dict[str, str] = {}
    for entry in known_languages().values():
        for alias in entry.aliases:
            assert by_alias.setdefault(alias, entry.code) == entry.code, f"{alias} is claimed twice"
    return by_alias
