"""Dictionaries from parallel texts, and texts switched by them."""

import json
import math
import random
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from cluster.config import build_config
from cluster.errors import DataError
from cluster.storage import open_store
from retrieval.datasets import parse_dataset, read_groups
from retrieval.dictionary import (
    WORD,
    Dictionary,
    induce_dictionary,
    log_likelihood_ratio,
    read_dictionary,
    write_dictionary,
)
from retrieval.dictionary_of_groups import coverage, in_turns
from retrieval.groups import open_groups
from retrieval.perturb.code_switching import code_switched, code_switching
from retrieval.perturb.graphemes import clusters
from retrieval.perturb.perturbation import perturbed
from retrieval.prepare import PrepareConfig, prepare
from retrieval.records import Group, Pair

SQUAD = Path("../shared/data/squad-parallel")

MEANINGS = {
    "en": ["the", "dog", "sees", "cat", "old", "river", "eats", "fish", "Anna", "house"],
    "de": ["der", "Hund", "sieht", "Katze", "alte", "Fluss", "isst", "Fisch", "Anna", "Haus"],
    "hi": ["वह", "कुत्ता", "देखता", "बिल्ली", "पुराना", "नदी", "खाता", "मछली", "आन्ना", "घर"],
    "th": ["สุนัข"] * 10,
}


def made_up_groups(number: int = 120, seed: int = 0) -> list[Group]:
    """Texts of four to six of ten meanings, in each language in an order of its own."""
    rng = random.Random(seed)
    groups = []
    for n in range(number):
        texts = []
        for _ in range(2):
            meant = rng.sample(range(10), rng.randint(4, 6))
            texts.append(
                {lang: " ".join(words[m] for m in rng.sample(meant, len(meant))) for lang, words in MEANINGS.items()}
            )
        groups.append(Group(f"made/{n}", {lang: Pair(texts[0][lang], texts[1][lang]) for lang in MEANINGS}))
    return groups


@pytest.fixture(scope="module")
def dictionary() -> Dictionary:
    return induce_dictionary(made_up_groups(), list(MEANINGS))


def test_every_word_finds_its_translation(dictionary: Dictionary) -> None:
    for source in ("en", "de", "hi"):
        for target in {"en", "de", "hi"} - {source}:
            for word, translation in zip(MEANINGS[source], MEANINGS[target], strict=True):
                assert dictionary.translation(word.upper(), source, target) == translation
    assert dictionary.targets("en") == ("de", "hi")
    assert dictionary.targets("th") == ()  # no spaces, no words
    assert dictionary.translation("tree", "en", "de") is None


def test_log_likelihood_ratio_by_hand() -> None:
    """10 of 100 texts hold both words, 10 one and 20 the other: expected 2, 8, 18, 72 in the four cells... observed 10, 0, 10, 80."""
    expected = 2 * (10 * math.log(10 / 2) + 10 * math.log(10 / 18) + 80 * math.log(80 / 72))
    found = log_likelihood_ratio(np.array([10, 1]), np.array([10, 10]), np.array([20, 20]), 100)
    np.testing.assert_allclose(found, [expected, 0.0])  # 1 < 2: they avoid each other


def test_the_order_of_groups_and_bounds_of_memory() -> None:
    groups = made_up_groups()
    one = induce_dictionary(groups, ["en", "de"])
    assert one.entries.equals(induce_dictionary(groups[::-1], ["en", "de"]).entries)
    few = induce_dictionary(groups, ["en", "de"], max_words=3)
    assert few.entries.num_rows <= 6
    assert induce_dictionary(groups, ["en", "de"], max_words_per_text=3).entries.num_rows == 0
    assert induce_dictionary(groups, ["en", "de"], max_texts=2).entries.num_rows == 0
    assert induce_dictionary(groups, ["en", "de"], least_texts=1000).entries.num_rows == 0
    partly = induce_dictionary(groups, ["en", "de", "hi"], partners=["en"])
    assert partly.targets("de") == partly.targets("hi") == ("en",)


def ice_cream() -> list[Group]:
    """The words of "ice cream" both come with "Eis"."""
    texts = [
        ("ice cream", "Eis"),
        ("ice cream cold", "Eis kalt"),
        ("cold river", "kalt Fluss"),
        ("river", "Fluss"),
        ("ice", "Eis"),
    ]
    return [Group(f"made/{n}", {"en": Pair(en, en), "de": Pair(de, de)}) for n, (en, de) in enumerate(texts * 4)]


@pytest.mark.parametrize("groups", [made_up_groups(), ice_cream()], ids=["made up", "ice cream"])
def test_blocks_of_words_do_not_show(groups: list[Group], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = induce_dictionary(groups, list(MEANINGS))
    for at_once in (1, 3):
        monkeypatch.setattr("retrieval.dictionary._WORDS_AT_ONCE", at_once)
        assert induce_dictionary(groups, list(MEANINGS)).entries.equals(whole.entries)


def test_a_translation_has_its_word_back() -> None:
    """That is, "Eis" can be the translation of "ice" or of "cream" only, and has it back."""
    dictionary = induce_dictionary(ice_cream(), ["en", "de"])
    assert dictionary.translation("ice", "en", "de") == "Eis"
    assert dictionary.translation("cream", "en", "de") is None
    for row in dictionary.entries.to_pylist():
        back = dictionary.translation(row["translation"], row["target_language"], row["source_language"])
        assert back is not None
        assert back.lower() == row["word"]


def test_a_paragraph_under_many_questions_counts_once() -> None:
    """Else two rare words of one paragraph would seem to translate each other."""
    pairs = {"en": Pair("who", "a heron waded"), "de": Pair("wer", "ein Reiher watete")}
    others = [Group(f"made/{n}", {"en": Pair("who", "a"), "de": Pair("wer", "ein")}) for n in range(10)]
    asked = [Group(f"made/q{n}", pairs, passage_id="made/p") for n in range(5)]
    assert induce_dictionary([*others, *asked], ["en", "de"]).translation("heron", "en", "de") is None
    apart = [Group(f"made/q{n}", pairs, passage_id=f"made/p{n}") for n in range(5)]
    assert induce_dictionary([*others, *apart], ["en", "de"]).translation("heron", "en", "de") in ("Reiher", "watete")


def test_coverage_by_hand(dictionary: Dictionary) -> None:
    """Letters of words with another translation: 'Anna' is the same in English and German, not so in Hindi."""
    only = Dictionary(dictionary.entries.filter(pc.field("target_language") != "hi"))
    pairs = {"en": Pair("The dog, Anna!", "seven"), "th": Pair("สุนัข", "สุนัข")}
    groups = [Group("made/1", pairs, passage_id="made/p")] * 2
    assert coverage(only, groups[:1]) == {"en": 6 / 15, "th": 0.0}
    assert coverage(dictionary, groups) == {"en": 20 / 25, "th": 0.0}  # the passage once


def test_sources_take_turns(tmp_path: Path) -> None:
    """So that no source is crowded out of the texts that a dictionary is made of."""
    rows = [
        {"id": f"{n}", "en": f"word {n}"} | ({"de": f"Wort {n}"} if n % 5 else {"es": f"palabra {n}"})
        for n in range(40)
    ]
    rows += [{"id": f"e{n}", "en": f"alone {n}"} for n in range(9)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    wide = {language: {"query": language, "passage": language} for language in ("en", "de", "es")}
    fields = {"sources": [{"dataset": "generic", "path": str(path), "id": "id", "wide": wide}], "min_groups": 1}
    groups = open_groups(prepare(build_config(PrepareConfig, fields), open_store(tmp_path)))
    assert [len(source.languages) for source in groups.sources].count(1) == 1
    seconds = ["".join(group.pairs.keys() - {"en"}) for group in in_turns(groups)]
    assert len(seconds) == 40 and set(seconds[:2]) == {"de", "es"} == set(seconds[14:16])
    assert set(seconds[16:]) == {"de"}


def test_words_are_whole_and_of_scripts_with_spaces() -> None:
    assert WORD.findall("می\u200cخواهم کتاب‌ها") == ["می\u200cخواهم", "کتاب‌ها"]
    assert WORD.findall("L'été, हिन्दी पढ़ें; 2015 NFL中 ทีม été") == ["L", "été", "हिन्दी", "पढ़ें", "NFL", "été"]


def test_a_dictionary_survives_its_file(dictionary: Dictionary, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dictionary\.parquet: missing"):
        read_dictionary(tmp_path)
    write_dictionary(tmp_path, dictionary)
    assert read_dictionary(tmp_path).entries.equals(dictionary.entries)
    whole = (tmp_path / "dictionary.parquet").read_bytes()
    (tmp_path / "dictionary.parquet").write_bytes(whole[:-20])
    with pytest.raises(DataError, match="not a whole Parquet file"):
        read_dictionary(tmp_path)


def test_switched_words_keep_their_place_and_capital(dictionary: Dictionary) -> None:
    text = "The dog sees 3 trees: Old fish!"
    everything = code_switched(text, "en", dictionary, random.Random(0), targets=["hi"], share=1.0)
    assert everything == "वह कुत्ता देखता 3 trees: पुराना मछली!"
    assert code_switched("The Dog", "en", dictionary, random.Random(0), ["de"], 1.0) == "Der Hund"
    assert code_switched("der alte", "de", dictionary, random.Random(0), ["en"], 0.01) in ("the alte", "der old")
    assert code_switched("trees 2015", "en", dictionary, random.Random(0)) == "trees 2015"
    assert code_switched("Anna", "en", dictionary, random.Random(0), ["de"]) == "Anna"  # the same word
    assert code_switched("สุนัข", "th", dictionary, random.Random(0)) == "สุนัข"


def test_code_switching_is_decided_by_seed_and_query(dictionary: Dictionary) -> None:
    perturbation = code_switching(dictionary, share=0.5)
    text = "the old dog sees the house and eats fish"
    results = {perturbed(perturbation, text, "en", f"q{n}") for n in range(20)}
    assert len(results) > 10
    for n in range(20):
        once = perturbed(perturbation, text, "en", f"q{n}")
        assert once == perturbed(perturbation, text, "en", f"q{n}")
        assert len(once.split()) == len(text.split())
        whole = {cluster for words in MEANINGS.values() for word in words for cluster in clusters(word)}
        assert set(clusters(once)) <= whole | set(clusters(text))


@pytest.mark.shared_data
def test_real_parallel_questions() -> None:
    if not SQUAD.exists():
        pytest.skip(f"{SQUAD} is not there")
    groups = islice(read_groups(parse_dataset({"dataset": "squad_parallel", "path": str(SQUAD)})), 3000)
    dictionary = induce_dictionary(groups, ["en", "es", "sv"])
    expected = {"in": ("en", "i"), "city": ("ciudad", "stad"), "year": ("año", "år"), "and": ("y", "och")}
    for word, (spanish, swedish) in expected.items():
        assert (dictionary.translation(word, "en", "es"), dictionary.translation(word, "en", "sv")) == (
            spanish,
            swedish,
        )
