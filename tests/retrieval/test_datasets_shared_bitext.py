"""The real bitext: counts as published or as counted when the files were packed; what was tampered with is refused."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrieval.datasets import parse_dataset, read_collection, read_groups
from retrieval.datasets.tatoeba import PUBLISHED_PAIRS
from retrieval.language_codes import canonical_code, known_languages
from retrieval.records import Group

SHARED = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets are not in ../shared/data"),
]
SPLITS = {"train": 701, "dev": 99, "test": 204}
FOLDERS = {"sib_200": "sib-200", "ntrex_128": "ntrex-128", "tatoeba": "tatoeba", "tico_19": "tico-19"}


def shared(name: str, **fields: Any) -> Any:
    return parse_dataset({"dataset": name, "path": SHARED / FOLDERS[name], **fields})


def sizes(collection: Any) -> dict[str, int]:
    return dict(zip(collection.languages, np.diff(collection.language_bounds).tolist(), strict=True))


def test_sib_200_has_1004_sentences_in_205_languages() -> None:
    counts = Counter(language for group in read_groups(shared("sib_200")) for language in group.pairs)
    assert counts == dict.fromkeys(counts, 1004)
    assert len(counts) == 205
    assert set(counts) <= known_languages().keys()


def test_sib_200_judges_all_translations() -> None:
    # Three of these have sentences with the same text.
    collection = read_collection(shared("sib_200", languages=["en", "san_Deva", "ary_Arab", "lua_Latn", "de"]))
    per_query = np.bincount(collection.judged_query)
    assert len(per_query) == 5 * 1004 and per_query.min() == 4
    assert 4 * 5020 < len(collection.judged_query) < 4 * 5020 * 1.01
    assert (collection.judged_query != collection.judged_passage).all()


def test_sib_200_splits_have_the_published_sizes() -> None:
    groups = {split: list(read_groups(shared("sib_200", split=split, languages=["en", "quy"]))) for split in SPLITS}
    assert {split: len(of_split) for split, of_split in groups.items()} == SPLITS
    assert len({group.id for of_split in groups.values() for group in of_split}) == 1004


def test_ntrex_128_has_1997_sentences_in_each_language() -> None:
    collection = read_collection(shared("ntrex_128"))
    assert sizes(collection) == dict.fromkeys(collection.languages, 1997)
    assert len(collection.languages) == 31
    assert {"fr", "fr-CA", "sr", "sr-Latn", "zh-Hant", "sw", "ms", "nd"} <= set(collection.languages)
    first = next(iter(read_groups(shared("ntrex_128", languages=["en", "vi"]))))
    assert first.pairs["en"].query == "Welsh AMs worried about 'looking like muppets'"


def test_tatoeba_has_the_pairs_of_each_language() -> None:
    collection = read_collection(shared("tatoeba"))
    counts = {canonical_code(code): count for code, count in PUBLISHED_PAIRS.items()}
    assert sizes(collection) == {"en": 32_606, **counts}
    assert (len(counts), sum(counts.values())) == (40, 32_606)


def test_one_language_of_tatoeba_is_the_published_task() -> None:
    assert sizes(read_collection(shared("tatoeba", languages=["ang"]))) == {"en": 134, "ang": 134}


def test_tico_19_has_3070_translations_of_3340_sentences() -> None:
    groups: list[Group] = list(read_groups(shared("tico_19")))
    counts = Counter(language for group in groups for language in group.pairs)
    assert counts == {**dict.fromkeys(counts, 3070), "en": 3340}
    assert len(counts) == 38
    assert {"ti", "ti-ER", "ti-ET", "ku", "ckb", "es-419", "pt-BR", "fil", "prs"} <= set(counts)
    assert len(groups) == 3340
    assert Counter(len(group.pairs) for group in groups)[38] == 2908
