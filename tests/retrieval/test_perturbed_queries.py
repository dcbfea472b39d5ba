"""Perturbed queries: hand-worked forms, whole grapheme clusters, the same for the same seed and query."""

import random
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.perturb.graphemes import clusters
from retrieval.perturb.keyboards import neighbours
from retrieval.perturb.marks import lower_case, upper_case, without_diacritics
from retrieval.perturb.perturbation import (
    PERTURBATIONS,
    TYPING_NOISE,
    Perturbation,
    perturbed,
    perturbed_queries,
)
from retrieval.perturb.primary import primary_language
from retrieval.perturb.typing_noise import typing_noise
from retrieval.perturb.variants import script_variant

RNG = random.Random(0)
QUERIES = {
    "en": "Which NFL team represented the AFC at Super Bowl 50?",
    "de": "Welche Größe hat der höchste Berg Österreichs?",
    "ru": "Сколько ещё очков набрала защита «Пантерз»?",
    "el": "Πόσους πόντους άφησε η άμυνα;",
    "ar": "كم عدد النقاط التي أحرزها فريق كارولينا في 2015؟",
    "hi": "हिन्दी में पैन्थर्स की ज़मीन ने 308 अंक क्यों खो दिए? श्रीमान् कौन",
    "th": "ทีมใดเป็นตัวแทนของ AFC ในซูเปอร์โบวล์ 50 ที่นี่",
    "zh": "黑豹队在2015年的NFL中丢了多少分？",
    "vi": "Đội bóng nào đại diện cho AFC?",
    "ko": "한국어 문장은 각각 무엇입니까",
    "ta": "தமிழ் மொழியில் எத்தனை எழுத்துகள்?",
    "my": "မြန်မာနိုင်ငံ၏ မြို့တော်",
}


@pytest.mark.parametrize("language", QUERIES)
def test_typing_noise_moves_whole_characters_only(language: str) -> None:
    """Every character of the result is one of the query, or a key of the keyboard (a capital where one was hit)."""
    text = QUERIES[language]
    keys = set(neighbours(language))
    allowed = set(clusters(text)) | keys | {key.upper() for key in keys}
    for number in range(200):
        noisy = perturbed(TYPING_NOISE, text, language, f"q{number}")
        assert noisy != text
        assert set(clusters(noisy)) <= allowed
        assert abs(len(clusters(noisy)) - len(clusters(text))) <= max(1, len(text) // 10)


@settings(deadline=None, max_examples=300)
@given(
    text=st.text(st.sampled_from([*"ab कखत ि ् ं ़ ที่กำ ั\u200dé\u0301👨👩🏽가ᄀ각1 ."]), max_size=12),
    language=st.sampled_from(["en", "hi", "th", "ko"]),
    seed=st.integers(0, 999),
)
def test_no_text_is_broken(text: str, language: str, seed: int) -> None:
    noisy = typing_noise(text, language, random.Random(seed))
    assert set(clusters(noisy)) <= set(clusters(text)) | {*neighbours(language)}
    if not any(character.isalpha() for character in text):
        assert noisy == text


@pytest.mark.parametrize("perturbation", PERTURBATIONS, ids=lambda one: one.name)
def test_the_same_for_the_same_seed_and_query_whatever_else_is_there(perturbation: Perturbation) -> None:
    texts, languages = list(QUERIES.values()), list(QUERIES)
    ids = [f"q{number}" for number in range(len(texts))]
    together = perturbed_queries(perturbation, texts, languages, ids, seed=3)
    backwards = perturbed_queries(perturbation, texts[::-1], languages[::-1], ids[::-1], seed=3)
    assert together == backwards[::-1]
    assert together[4] == perturbed(perturbation, texts[4], languages[4], ids[4], seed=3)


def test_chance_comes_from_seed_query_and_language() -> None:
    text = QUERIES["en"]
    noisy = perturbed(TYPING_NOISE, text, "en", "q1", seed=0)
    others = [("en", "q1", 1), ("en", "q2", 0), ("id", "q1", 0)]
    assert all(perturbed(TYPING_NOISE, text, language, query, seed) != noisy for language, query, seed in others)


def test_neighbouring_keys_by_hand() -> None:
    assert set(neighbours("en")["g"]) == set("fhtyvb")
    assert set(neighbours("en")["q"]) == set("wa")
    assert set(neighbours("de")["z"]) == set("tugh")  # QWERTZ: beside t and u
    assert set(neighbours("fr")["a"]) == set("zq")  # AZERTY: first of the first row
    assert set(neighbours("ru")["п"]) == set("аренми")
    assert set(neighbours("ru")["g"]) == set("fhtyvb")  # Latin words in Russian texts
    assert "ش" in neighbours("ar")["س"]
    assert "ह" not in neighbours("hi")


@pytest.mark.parametrize(
    ("language", "text", "plain"),
    [
        ("de", "Größe, Öl", "Grosse, Ol"),
        ("pl", "Łódź", "Lodz"),
        ("vi", "Đội bóng nào đại diện", "Doi bong nao dai dien"),
        ("tr", "ışık İzmir", "isik Izmir"),
        ("el", "άμυνα ΐ", "αμυνα ι"),
        ("ru", "ещё за\u0301мок й", "еще замок й"),
        ("ar", "كَتَبَ أحمد", "كتب أحمد"),  # vowel points go, letters with hamza stay
        ("he", "שָׁלוֹם", "שלום"),
        ("hi", "हिन्दी ज़मीन", "हिन्दी ज़मीन"),
        ("th", "ที่นี่", "ที่นี่"),
        ("ko", "한국어", "한국어"),
        ("ja", "がぎ", "がぎ"),
    ],
)
def test_diacritics(language: str, text: str, plain: str) -> None:
    assert without_diacritics(text, language, RNG) == plain


def test_case_by_language() -> None:
    assert lower_case("ISPARTA İzmir", "tr", RNG) == "ısparta izmir"
    assert upper_case("ısı işi", "tr", RNG) == "ISI İŞİ"
    assert upper_case("ΐ Άμυνα", "el", RNG) == "Ϊ ΑΜΥΝΑ"
    assert lower_case("ΟΔΥΣΣΕΥΣ", "el", RNG) == "οδυσσευς"  # final sigma
    assert upper_case("საქართველო ok", "ka", RNG) == "საქართველო OK"


@pytest.mark.parametrize(
    ("language", "text", "variant"),
    [
        ("sr", "Љубав и ЊЕГОШ, wiki", "Ljubav i NJEGOŠ, wiki"),
        ("sr", "Ljubav i NJEGOŠ, džak wiki", "Љубав и ЊЕГОШ, џак wiki"),  # w is no Serbian letter
        ("fa", "یک کتاب 12", "يك كتاب ۱۲"),
        ("hi", "हिन्दी पम्प ज़मीन सड़क 15", "हिंदी पंप जमीन सड़क १५"),
        ("th", "ปี 2015", "ปี ๒๐๑๕"),
        ("th", "ปี ๒๐๑๕", "ปี 2015"),
        ("zh", "2015年的NFL", "２０１５年的ＮＦＬ"),
        ("de", "Über Größe", "Ueber Groesse"),
        ("en", "naïve 15", "naïve 15"),
    ],
)
def test_script_variants(language: str, text: str, variant: str) -> None:
    assert script_variant(text, language, RNG) == unicodedata.normalize("NFC", variant)


def test_arabic_letter_forms_and_stroke() -> None:
    variant = script_variant("أحرزها مدرسة 5", "ar", random.Random(1))
    assert variant.replace("ـ", "") == "احرزها مدرسه ٥"
    assert variant.count("ـ") == 1
    assert clusters(variant.replace("ـ", "")) == list("احرزها مدرسه ٥")


@pytest.mark.parametrize(
    ("code", "primary"), [("srp_Cyrl", "sr"), ("zho_Hant", "zh"), ("hin", "hi"), ("x9_unknown", "x9"), ("pt-BR", "pt")]
)
def test_codes_of_any_standard(code: str, primary: str) -> None:
    assert primary_language(code) == primary
