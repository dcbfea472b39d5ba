"""The atlas: facts by hand, templates in every language, splits, and the same groups in every process."""

import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
from collections import Counter

import pytest

from cluster.errors import ConfigError
from retrieval.datasets import describe_dataset, parse_dataset, read_collection, read_groups
from retrieval.datasets.atlas import AtlasConfig
from retrieval.datasets.atlas.compose import SPLITS, Case, cases, compose_groups, holds, split_of_territories, templates
from retrieval.datasets.atlas.facts import LANGUAGES, RELATIONS, Territory, all_territories
from retrieval.records import Group

COUNTS = {"train": 2613, "validation": 375, "test": 708}
"""Groups per split, with the CLDR of babel 2.18."""

SCRIPTS = {
    "ar": r"[\u0600-\u06ff]",
    "el": r"[\u0370-\u03ff\u1f00-\u1fff]",
    "hi": r"[\u0900-\u097f]",
    "ru": r"[\u0400-\u04ff]",
    "th": r"[\u0e00-\u0e7f]",
    "zh": r"[\u4e00-\u9fff]",
}
"""Languages in a script of their own, and one letter of it; the others write Latin letters."""

QUESTION_ENDS = {"ar": "؟", "el": ";", "zh": "？", "th": ""}


def territories() -> dict[str, Territory]:
    return {territory.code: territory for territory in all_territories()}


def name_of(territory: Territory, language: str) -> str:
    return templates(language).names.get(territory.code, territory.name[language])


def all_cases() -> list[tuple[Case, Group]]:
    return [pair for split in SPLITS for pair in zip(cases(split), compose_groups(split), strict=True)]


def test_counts_per_split() -> None:
    assert {split: len(compose_groups(split)) for split in SPLITS} == COUNTS
    assert Counter(split_of_territories().values()) == {"train": 171, "validation": 25, "test": 48}


@pytest.mark.parametrize(
    ("code", "relation", "english", "year"),
    [
        ("GH", "region", "Western Africa", ""),
        ("JP", "currency", "Japanese Yen", ""),
        ("BR", "language", "Portuguese", ""),
        ("CH", "language", "German", ""),
        ("MX", "region", "Central America", ""),
        ("HR", "former_currency", "Croatian Kuna", "2023"),
        ("FR", "former_currency", "French Franc", "2002"),
        ("FR", "currency_since", "1999", ""),
        ("SN", "currency", "West African CFA Franc", ""),
        ("FI", "time_zone", "Eastern European Standard Time", ""),
        ("US", "first_day", "Sunday", ""),
        ("DE", "first_day", "Monday", ""),
        ("EG", "first_day", "Saturday", ""),
        ("IN", "language", "Hindi", ""),
    ],
)
def test_facts_by_hand(code: str, relation: str, english: str, year: str) -> None:
    fact = territories()[code].facts[relation]
    assert (fact.value["en"], fact.year) == (english, year)


def test_values_are_named_in_every_language() -> None:
    japan = territories()["JP"].facts["currency"].value
    assert {code: japan[code] for code in ("de", "ru", "zh", "tr")} == {
        "de": "Japanischer Yen",
        "ru": "японская иена",
        "zh": "日元",
        "tr": "Japon yeni",
    }
    for territory in all_territories():
        assert set(territory.name) == set(LANGUAGES)
        assert all(set(fact.value) == set(LANGUAGES) for fact in territory.facts.values())


def test_names_differ_within_a_language() -> None:
    for language in LANGUAGES:
        names = [name_of(territory, language) for territory in all_territories()]
        assert len(set(names)) == len(names)


def test_facts_without_a_clear_answer_are_left_out() -> None:
    assert "currency" not in territories()["PA"].facts, "balboa and US dollar are both legal tender"
    assert "time_zone" not in territories()["US"].facts, "several zones"
    assert "language" not in territories()["ME"].facts, "named only with its script"


def test_every_relation_has_enough_wordings_in_every_language() -> None:
    for language, relation in itertools.product(LANGUAGES, RELATIONS):
        phrases = templates(language).relations[relation]
        assert len(set(phrases.ask)) >= 3 and len(set(phrases.tell)) >= 3
        assert len(set(phrases.add)) >= 2 and len(set(phrases.compare)) >= 2


def test_placeholders_of_the_templates() -> None:
    def found(template: str) -> list[str]:
        return sorted(re.findall(r"{(\w*)}", template))

    for language, relation in itertools.product(LANGUAGES, RELATIONS):
        phrases = templates(language).relations[relation]
        year = ["year"] if relation == "former_currency" else []
        assert found(phrases.clue) == ["value"]
        for template in phrases.ask:
            assert found(template) == sorted(["clue", "contrast", "name", *year]), (language, template)
        for template in phrases.tell:
            assert found(template) == sorted(["name", "value", *year]), (language, template)
        for template in phrases.add:
            assert found(template) == sorted(["value", *year]), (language, template)
        for template in phrases.compare:
            assert found(template) == sorted(["contrast", "value", *year]), (language, template)


def test_every_group_is_in_every_language_without_open_placeholders() -> None:
    for case, group in all_cases():
        assert group.id == f"atlas/{case.territory.code}-{case.relation}-{case.number}"
        assert tuple(group.pairs) == LANGUAGES
        for language, pair in group.pairs.items():
            for text in (pair.query, pair.passage):
                assert "{" not in text and "}" not in text and "  " not in text and text == text.strip()
                assert re.search(SCRIPTS.get(language, r"[A-Za-z]"), text), (group.id, language, text)
            assert pair.query.endswith(QUESTION_ENDS.get(language, "?"))
            assert language != "es" or pair.query.startswith("¿")
            assert pair.passage.endswith({"zh": "。", "hi": "।", "th": ""}.get(language, "."))


def test_the_passage_tells_the_answer_and_the_query_does_not() -> None:
    for case, group in all_cases():
        for language, pair in group.pairs.items():
            value = case.territory.facts[case.relation].value[language]
            assert holds(pair.passage, value, language), (group.id, language)
            assert not holds(pair.query, value, language), (group.id, language, pair.query)


def test_query_and_passage_name_both_territories_and_the_clues() -> None:
    for case, group in all_cases():
        for language, pair in group.pairs.items():
            for territory in (case.territory, case.contrast):
                name = name_of(territory, language).lower()
                assert name in pair.query.lower() and name in pair.passage.lower(), (group.id, language)
            for clue in case.clues:
                value = case.territory.facts[clue].value[language].lower()
                assert value in pair.query.lower() and value in pair.passage.lower(), (group.id, language)
            assert case.contrast.facts[case.relation].value[language].lower() in pair.passage.lower()


def test_no_territory_is_in_two_splits_not_even_for_comparison() -> None:
    seen = {split: {t.code for case in cases(split) for t in (case.territory, case.contrast)} for split in SPLITS}
    assert not seen["train"] & seen["validation"] | seen["train"] & seen["test"] | seen["validation"] & seen["test"]
    assert all(len({case.territory.code for case in cases(split)}) == len(seen[split]) for split in SPLITS)


def test_queries_and_passages_are_unique_within_a_split() -> None:
    for split, language in itertools.product(SPLITS, LANGUAGES):
        queries = Counter(group.pairs[language].query for group in compose_groups(split))
        passages = Counter(group.pairs[language].passage for group in compose_groups(split))
        assert queries.most_common(1)[0][1] == 1
        assert passages.most_common(1)[0][1] == 1


def test_of_two_territories_only_one_is_compared_with_the_other() -> None:
    asked = {(case.relation, case.territory.code, case.contrast.code) for case, _ in all_cases()}
    assert len(asked) == len(all_cases())
    assert not [key for key in asked if (key[0], key[2], key[1]) in asked]


def test_the_second_territory_has_another_value() -> None:
    for case, _ in all_cases():
        own, other = (t.facts[case.relation].value for t in (case.territory, case.contrast))
        assert not [language for language in LANGUAGES if own[language] == other[language]]


def test_wordings_are_drawn_for_each_language_by_itself() -> None:
    def wording(group: Group, language: str) -> int:
        # The first words of a question tell its wording where no name stands in front: German and English do so.
        return sum(map(ord, group.pairs[language].query.split()[0]))

    groups = [group for group in compose_groups("train") if "-currency-" in group.id]
    together = Counter((wording(group, "en"), wording(group, "de")) for group in groups)
    assert len(together) == 9 and min(together.values()) > len(groups) / 9 / 2


def digest_of(groups: list[Group]) -> str:
    plain = [[group.id, {code: [p.query, p.passage] for code, p in group.pairs.items()}] for group in groups]
    return hashlib.sha256(json.dumps(plain, ensure_ascii=False).encode()).hexdigest()


def test_another_process_with_another_hash_seed_makes_the_same_groups() -> None:
    program = (
        "import hashlib, json\n"
        "from retrieval.datasets.atlas.compose import compose_groups\n"
        "plain = [[g.id, {c: [p.query, p.passage] for c, p in g.pairs.items()}] for g in compose_groups('validation')]\n"
        "print(hashlib.sha256(json.dumps(plain, ensure_ascii=False).encode()).hexdigest())\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest_of(list(compose_groups("validation")))


def test_limit_takes_the_same_groups_and_those_of_smaller_limits() -> None:
    few = [group.id for group in read_groups(AtlasConfig(limit=20))]
    more = [group.id for group in read_groups(AtlasConfig(limit=50))]
    assert len(few) == 20 and len(more) == 50 and set(few) <= set(more)
    assert few == [group.id for group in read_groups(AtlasConfig(limit=20, languages=("th",)))]
    assert len({group_id.split("-")[0] for group_id in few}) > 10, "not one territory after the other"
    assert len(list(read_groups(AtlasConfig(split="validation", limit=10**6)))) == COUNTS["validation"]


def test_languages_choose_texts_but_do_not_change_them() -> None:
    both = next(iter(read_groups(AtlasConfig(languages=("zh", "de")))))
    assert list(both.pairs) == ["zh", "de"]
    assert both.pairs["de"] == compose_groups("train")[0].pairs["de"]


def test_unknown_language_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no language 'fr'; it has ar, de, .*, zh") as refusal:
        parse_dataset({"dataset": "atlas", "languages": ["de", "fr"]})
    assert "\n" not in str(refusal.value)
    with pytest.raises(ConfigError, match="limit"):
        parse_dataset({"dataset": "atlas", "limit": 0})
    with pytest.raises(ConfigError, match="split"):
        parse_dataset({"dataset": "atlas", "split": "dev"})


def test_collection_holds_one_right_passage_per_language() -> None:
    config = parse_dataset({"dataset": "atlas", "split": "validation", "languages": ["de", "zh"]})
    collection = read_collection(config)
    assert describe_dataset(config) == "atlas (validation)"
    assert len(collection.query_ids) == len(collection.passage_ids) == 2 * COUNTS["validation"]
    assert set(Counter(collection.judged_query.tolist()).values()) == {2}


def test_configuration_does_not_import_babel() -> None:
    program = "import sys, retrieval.datasets.atlas\nprint('babel' in sys.modules, 'yaml' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "False"
