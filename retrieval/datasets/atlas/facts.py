"""Facts about territories: what the CLDR, as shipped by babel, knows and names in all languages of the data set.

babel ships no containment of territories; the regions below are the sub-regions of UN M49, which the CLDR
names in every language.
"""

import datetime
import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")

RELATIONS = ("region", "currency", "language", "former_currency", "currency_since", "time_zone", "first_day")

_AS_OF = datetime.date(2025, 1, 1)
"""Day at which currencies are looked up, so that the data set does not change with the calendar."""

_REGIONS = {
    "005": "AR BO BR CL CO EC FK GF GY PE PY SR UY VE",
    "011": "BF BJ CI CV GH GM GN GW LR ML MR NE NG SH SL SN TG",
    "013": "BZ CR GT HN MX NI PA SV",
    "014": "BI DJ ER ET IO KE KM MG MU MW MZ RE RW SC SO SS TZ UG YT ZM ZW",
    "015": "DZ EG EH LY MA SD TN",
    "017": "AO CD CF CG CM GA GQ ST TD",
    "018": "BW LS NA SZ ZA",
    "021": "BM CA GL PM US",
    "029": "AG AI AW BB BL BQ BS CU CW DM DO GD GP HT JM KN KY LC MF MQ MS PR SX TC TT VC VG VI",
    "030": "CN HK JP KP KR MN MO TW",
    "034": "AF BD BT IN IR LK MV NP PK",
    "035": "BN ID KH LA MM MY PH SG TH TL VN",
    "039": "AD AL BA ES GI GR HR IT ME MK MT PT RS SI SM VA XK",
    "053": "AU CC CX NF NZ",
    "054": "FJ NC PG SB VU",
    "057": "FM GU KI MH MP NR PW",
    "061": "AS CK NU PF PN TK TO TV WF WS",
    "143": "KG KZ TJ TM UZ",
    "145": "AE AM AZ BH CY GE IL IQ JO KW LB OM PS QA SA SY TR YE",
    "151": "BG BY CZ HU MD PL RO RU SK UA",
    "154": "AX DK EE FI FO GB GG IE IM IS JE LT LV NO SE SJ",
    "155": "AT BE CH DE FR LI LU MC NL",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One relation of one territory."""

    value: Mapping[str, str]
    """Language code -> the value's name (nominative, as the CLDR has it)."""

    year: str = ""
    """Year that belongs to the fact: the last one of a former currency."""


@dataclass(frozen=True, slots=True)
class Territory:
    """A country or another area with a code of its own (ISO 3166-1, and XK)."""

    code: str
    name: Mapping[str, str]
    """Language code -> name."""
    facts: Mapping[str, Fact]
    """Relation -> fact; relations without a clear value, or without a name in every language, are left out."""


@functools.lru_cache(maxsize=1)
def all_territories() -> tuple[Territory, ...]:
    """Every territory with its facts, by code."""
    from babel import Locale

    locales = {language: Locale(language) for language in LANGUAGES}
    region_of = {code: region for region, codes in _REGIONS.items() for code in codes.split()}
    codes = sorted(region_of)
    value_of: dict[str, Mapping[str, Any]] = {
        "region": region_of,
        "currency": {code: current[0] for code in codes if (current := _current_currency(code))},
        "language": _main_official_languages(codes),
        "former_currency": {code: former[0] for code in codes if (former := _former_currency(code))},
        "currency_since": {code: current[1] for code in codes if (current := _current_currency(code))},
        "time_zone": _shared_time_zones(codes),
        "first_day": _first_days(codes),
    }
    names = {language: _short_names(locales[language].territories, codes) for language in LANGUAGES}
    territories = []
    for code in codes:
        facts = {}
        for relation in RELATIONS:
            key = value_of[relation].get(code)
            named = None if key is None else _named(locales, _NAME_OF[relation], key)
            if named is not None:
                former = _former_currency(code) if relation == "former_currency" else None
                facts[relation] = Fact(named, former[1] if former else "")
        territories.append(Territory(code, {language: names[language][code] for language in LANGUAGES}, facts))
    return tuple(territories)


_NAME_OF: dict[str, Callable[[Any, Any], str | None]] = {
    "region": lambda locale, key: locale.territories.get(key),
    "currency": lambda locale, key: locale.currencies.get(key),
    "language": lambda locale, key: locale.languages.get(key),
    "former_currency": lambda locale, key: locale.currencies.get(key),
    "currency_since": lambda locale, key: key,
    "time_zone": lambda locale, key: locale.meta_zones.get(key, {}).get("long", {}).get("standard"),
    "first_day": lambda locale, key: locale.days["stand-alone"]["wide"][key],
}
"""Relation -> how a locale names a value of it; None where it has no name."""


def _named(locales: Mapping[str, Any], name_of: Callable[[Any, Any], str | None], key: Any) -> dict[str, str] | None:
    names = {language: name_of(locale, key) for language, locale in locales.items()}
    return {language: name for language, name in names.items() if name} if all(names.values()) else None


def _short_names(names: Mapping[str, str], codes: Iterable[str]) -> dict[str, str]:
    """Names without an addition in brackets at their end, where they stay apart: `Myanmar (Burma)` is `Myanmar`."""
    short = {code: names[code].replace("（", "(").split("(")[0].strip() or names[code] for code in codes}
    seen = Counter(short.values())
    return {
        code: name if seen[name] == 1 and names[code].endswith((")", "）")) else names[code]
        for code, name in short.items()
    }


def _current_currency(code: str) -> tuple[str, str] | None:
    """Code and first year of the one currency that is legal tender; None where there are several."""
    from babel.core import get_global

    current = [
        (currency, start)
        for currency, start, end, tender in get_global("territory_currencies").get(code, [])
        if tender and start and datetime.date(*start) <= _AS_OF and (end is None or datetime.date(*end) > _AS_OF)
    ]
    return (current[0][0], str(current[0][1][0])) if len(current) == 1 else None


def _former_currency(code: str) -> tuple[str, str] | None:
    """Code and last year of the currency that went out of use last, since 1900; None where two did in one year."""
    from babel.core import get_global

    current = _current_currency(code)
    last_years = {
        currency: end[0]
        for currency, _, end, tender in get_global("territory_currencies").get(code, [])
        if tender and end and datetime.date(*end) <= _AS_OF and (current is None or currency != current[0])
    }
    latest = max(last_years.values(), default=0)
    last = [currency for currency, year in last_years.items() if year == latest]
    return (last[0], str(latest)) if latest >= 1900 and len(last) == 1 else None


def _main_official_languages(codes: Iterable[str]) -> dict[str, str]:
    """The official language that most people speak; ties in the CLDR's order."""
    from babel.core import get_global

    main = {}
    for code in codes:
        spoken = get_global("territory_languages").get(code, {})
        official = {
            language: about["population_percent"]
            for language, about in spoken.items()
            if about["official_status"] in ("official", "de_facto_official")
        }
        if official:
            # How a language is written is of no interest here: `zh_Hant` is Chinese.
            main[code] = max(official, key=lambda language: official[language]).removesuffix("_Hant")
    return main


def _shared_time_zones(codes: Iterable[str]) -> dict[str, str]:
    """Meta zones of territories that have only one, and share it: zones of one territory are mostly named after it."""
    from babel.core import get_global

    meta_zones = get_global("meta_zones")
    zones_of = {code: {meta_zones.get(zone) for zone in get_global("territory_zones").get(code, [])} for code in codes}
    single = {code: next(iter(zones)) for code, zones in zones_of.items() if len(zones) == 1}
    seen = Counter(single.values())
    return {code: zone for code, zone in single.items() if zone is not None and seen[zone] > 1}


def _first_days(codes: Iterable[str]) -> dict[str, int]:
    """First day of the week (0 is Monday): week data stand in the locales of a territory, such as `de_AT`."""
    from babel import localedata

    wanted = set(codes)
    days = {}
    for identifier in sorted(localedata.locale_identifiers()):
        territory = identifier.split("_")[-1]
        if territory in wanted:
            # What a locale inherits is left out: it is not about the territory, and merging it takes seconds.
            week = localedata.load(identifier, merge_inherited=False).get("week_data", {})
            if "first_day" in week:
                days[territory] = week["first_day"]
    return days
