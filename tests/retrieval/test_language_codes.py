"""One code per language, whatever a data set calls it."""

from pathlib import Path

import pytest
from babel.core import get_global

from cluster.config import Config, build_config
from cluster.errors import ConfigError, DataError
from retrieval.language_codes import CanonicalLanguages, canonical_code, files_by_language, known_languages
from retrieval.records import LANGUAGE_CODE

# Codes of one data set each, and what they become.
DECISIONS = {
    "ISO 639-1": {"en": "en", "no": "nb", "ku": "ku", "zh": "zh", "iw": "he", "tl": "fil"},
    "MKQA": {"zh_cn": "zh", "zh_hk": "zh-HK", "zh_mo": None, "zh_tw": "zh-Hant"},
    "FLORES": {
        "zho_Hans": "zh", "zho_Hant": "zh-Hant", "yue_Hant": "yue", "arb_Arab": "ar", "arb_Latn": "ar-Latn",
        "knc_Latn": "kr", "knc_Arab": "kr-Arab", "kas_Arab": "ks", "kas_Deva": "ks-Deva", "kmr_Latn": "ku",
        "ckb_Arab": "ckb", "aka_Latn": "ak", "twi_Latn": "tw", "pes_Arab": "fa", "prs_Arab": "prs", "tgl_Latn": "fil",
        "nob_Latn": "nb", "nno_Latn": "nn", "als_Latn": "sq", "ajp_Arab": "ajp", "por_Latn": "pt", "dik_Latn": "dik",
    },
    "NTREX": {
        "zho-CN": "zh", "zho-TW": "zh-Hant", "srp-Cyrl": "sr", "srp-Latn": "sr-Latn", "fra-CA": "fr-CA", "swa": "sw",
        "tgk-Cyrl": "tg", "por-BR": "pt-BR", "spa-MX": "es-MX", "eng-GB": "en-GB", "aze-Latn": "az", "msa": "ms",
    },
    "TICO-19": {
        "pt-BR": "pt-BR", "es-LA": "es-419", "ti": "ti", "ti_ER": "ti-ER", "ti_ET": "ti-ET", "ku": "ku", "ckb": "ckb",
        "prs": "prs", "fa": "fa", "kr": "kr", "din": "din",
    },
    "Tatoeba": {"cmn": "zh", "wuu": "wuu", "nob": "nb", "mon": "mn", "sqi": "sq", "cor": "kw", "kzj": "kzj"},
}  # fmt: skip


@pytest.mark.parametrize("standard", DECISIONS)
def test_ambiguous_codes_become_what_was_decided(standard: str) -> None:
    for code, expected in DECISIONS[standard].items():
        if expected is None:
            with pytest.raises(DataError, match=f"'{code}' is not a language code of our table; near it: zh"):
                canonical_code(code)
        else:
            assert canonical_code(code) == expected, code


def test_canonical_codes_are_their_own_and_fit_everywhere() -> None:
    for code, language in known_languages().items():
        assert canonical_code(code) == canonical_code(code.upper().replace("-", "_")) == code
        assert LANGUAGE_CODE.fullmatch(code)
        assert language.name and language.script.istitle() and len(language.script) == 4


def test_no_code_means_two_languages() -> None:
    claims = [alias for language in known_languages().values() for alias in language.aliases]
    assert len(claims) == len(set(claims))
    assert list(known_languages()) == sorted(known_languages(), key=str.lower)


def test_the_table_agrees_with_cldr_but_for_what_is_kept_apart() -> None:
    apart = {"ajp", "dik", "prs", "twi", "tw", "kzj", "mhr", "fuc", "sh"}
    cldr = get_global("language_aliases")
    other = {
        alias: (code, cldr[alias])
        for code, language in known_languages().items()
        for alias in language.aliases
        if alias in cldr and alias not in apart and cldr[alias] != code
    }
    # CLDR has `no` for Bokmål's parent and `qu` for all of Quechua.
    assert other == {"quz": ("quz", "qu"), "nor": ("nb", "no")}


def test_configurations_take_any_code_and_store_the_canonical_one() -> None:
    class Chosen(Config):
        """A configuration with languages."""

        languages: CanonicalLanguages

    assert build_config(Chosen, {"languages": ["deu_Latn", "zh_cn", "nob"]}).languages == ("de", "zh", "nb")
    with pytest.raises(ConfigError, match="languages: 'de' and 'deu' are the same language \\(de\\); keep one"):
        build_config(Chosen, {"languages": ["de", "deu"]})
    with pytest.raises(ConfigError, match="languages: 'xx' is not a language code of our table"):
        build_config(Chosen, {"languages": ["xx"]})


def test_files_are_found_by_canonical_code() -> None:
    files = {"deu_Latn": Path("d"), "eng_Latn": Path("e"), "fra_Latn": Path("f")}
    assert files_by_language(files, None, "here") == {"de": Path("d"), "en": Path("e"), "fr": Path("f")}
    assert list(files_by_language(files, ("fr", "de"), "here")) == ["fr", "de"]
    with pytest.raises(DataError, match="here: has no language 'sw'; it has de, en, fr"):
        files_by_language(files, ("sw",), "here")
    with pytest.raises(DataError, match=r"x: holds the same language \(de\) as d; keep one"):
        files_by_language({**files, "deu": Path("x")}, None, "here")
