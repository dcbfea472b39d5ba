"""generic: the same few records as wide and long, as JSON lines and as Parquet."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.config import build_config
from cluster.errors import ConfigError, DataError
from retrieval.datasets import read_collection, read_groups
from retrieval.datasets.generic import GenericConfig
from retrieval.records import Group, Pair

FIXTURES = Path(__file__).parent / "fixtures" / "generic"
WIDE = {
    "path": FIXTURES / "wide.jsonl",
    "name": "help",
    "id": "key",
    "passage_id": "doc",
    "wide": {
        "en": {"query": "q_en", "passage": "a_en", "negatives": "wrong_en"},
        "de": {"query": "q_de", "passage": "a_de"},
    },
}
LONG = {"path": FIXTURES / "long.jsonl", "name": "faq", "long": {"negatives": "negatives"}}


def generic(base: dict[str, Any], **fields: Any) -> GenericConfig:
    return build_config(GenericConfig, {**base, **fields})


def groups_of(base: dict[str, Any], **fields: Any) -> list[Group]:
    return list(read_groups(generic(base, **fields)))


def as_parquet(source: Path, target: Path, **columns: Any) -> Path:
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    names = sorted({name for row in rows for name in row})
    pq.write_table(pa.table({name: [row.get(name) for row in rows] for name in names} | columns), target)
    return target


def test_wide_rows_are_groups_and_a_null_is_a_language_that_is_not_there() -> None:
    first, second, third = groups_of(WIDE)
    assert (first.id, first.passage_id, sorted(first.pairs)) == ("help/1", "help/d1", ["de", "en"])
    assert first.pairs["en"].negatives == ("Our office is closed on Sunday.",)
    assert (second.id, second.passage_id, sorted(second.pairs)) == ("help/2", "help/d1", ["en"])
    assert third.pairs["de"] == Pair("Wann ist das Büro offen?", "Von Montag bis Samstag.")


def test_long_rows_with_one_id_are_a_group() -> None:
    first, second = groups_of(LONG)
    assert (first.id, first.passage_id, sorted(first.pairs)) == ("faq/a", "", ["de", "en"])
    assert second.pairs == {"en": Pair("Who is in charge?", "Ms Lee is.", ("The office is closed.",))}


@pytest.mark.parametrize("base", [WIDE, LONG])
def test_parquet_gives_the_same_groups_as_json_lines(tmp_path: Path, base: dict[str, Any]) -> None:
    path = as_parquet(base["path"], tmp_path / "data.parquet")
    assert groups_of(base, path=path) == groups_of(base)


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    lines = WIDE["path"].read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(lines):
        # Every file has every key: Parquet files of one data set share their columns, too.
        row = {"wrong_en": None, **json.loads(line)}
        (tmp_path / f"part-{number}.jsonl").write_text(json.dumps(row), encoding="utf-8")
    (tmp_path / "README.md").write_text("not data")
    assert groups_of(WIDE, path=tmp_path) == groups_of(WIDE)


def test_languages_are_chosen_and_missing_ones_are_named() -> None:
    assert [sorted(group.pairs) for group in groups_of(LONG, languages=["de"])] == [["de"]]
    for base in (WIDE, LONG):
        with pytest.raises(DataError, match=r"\.jsonl: has no language 'fr'; it has .*en"):
            groups_of(base, languages=["fr", "en"])


def test_it_serves_for_evaluation_and_a_shared_passage_is_one_candidate() -> None:
    collection = read_collection(generic(WIDE))
    assert (collection.name, collection.languages) == ("help", ("de", "en"))
    assert list(collection.passage_ids) == ["help/d1@de", "help/d2@de", "help/d1@en", "help/d2@en"]
    assert len(collection.query_ids) == 5


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "give either wide: {en: {query: COLUMN, passage: COLUMN}} (one row per group) or long"),
        ({"wide": WIDE["wide"], "long": {}}, "give either wide"),
        ({"wide": {"english please": {"query": "q", "passage": "p"}}}, "'english please' is not a language code"),
        ({"long": {"text": "q"}}, "long.text: unknown key; "),
        ({"long": {}, "name": "../up"}, "name: String should match pattern"),
        ({"long": {}, "languages": [False, "en"]}, "languages: holds false; write the Norwegian code in quotes: 'no'"),
        ({"long": {}, "languages": ["en", "en"]}, "languages: 'en' stands twice"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        build_config(GenericConfig, {"path": "data.jsonl", **fields})


@pytest.mark.parametrize(
    ("base", "line", "said"),
    [
        (WIDE, {"key": 1, "q_en": "Again?", "a_en": "Yes."}, "line 4: id '1' stands twice; one row per group"),
        (WIDE, {"q_en": "No key?", "a_en": "No."}, "line 4: 'key' is missing; there is q_en, a_en"),
        (WIDE, {"key": 9, "q_en": 5, "a_en": "Five."}, "line 4: 'q_en' is a number, expected text"),
        (WIDE, {"key": 9, "q_en": "?", "a_en": "!", "wrong_en": "x"}, "line 4: 'wrong_en' is text, expected a list"),
        (LONG, {"id": "a", "language": "de", "query": "?", "passage": "!"}, "id 'a' stands twice in language 'de'"),
        (LONG, {"id": "c", "language": "Klingon!", "query": "?", "passage": "!"}, "'Klingon!' is not a language code"),
        (LONG, {"id": "c", "language": "en", "query": "?"}, "line 4: 'passage' is missing"),
        (LONG, {"id": "c", "language": "en", "query": "?", "passage": None}, "'passage' is null, expected text"),
        (LONG, {"id": "", "language": "en", "query": "?", "passage": "!"}, "line 4: 'id' is empty"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_its_place(
    tmp_path: Path, base: dict[str, Any], line: dict[str, Any], said: str
) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(base["path"].read_text(encoding="utf-8") + json.dumps(line), encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(said)) as refusal:
        groups_of(base, path=path)
    assert str(refusal.value).startswith(str(path))


def test_one_group_cannot_have_two_passage_ids(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    rows = [
        {"id": "a", "language": language, "query": "?", "passage": "!", "doc": doc}
        for language, doc in (("en", 1), ("de", 2))
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(DataError, match="line 2: id 'a' has passage id 'faq/2', in another row 'faq/1'"):
        groups_of(LONG, path=path, passage_id="doc", long={})


def test_columns_that_are_not_there_are_refused(tmp_path: Path) -> None:
    path = as_parquet(WIDE["path"], tmp_path / "data.parquet")
    wide = {"en": {"query": "question_en", "passage": "a_en"}}
    with pytest.raises(DataError, match=r"data\.parquet: has no column 'question_en'; its columns are a_de, a_en"):
        groups_of(WIDE, path=path, wide=wide)
    with pytest.raises(DataError, match=r"wide\.jsonl: no line has 'question_en'; its keys are a_de, a_en"):
        groups_of(WIDE, wide=wide)


def test_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    for path, said in [
        (tmp_path / "gone.parquet", "gone.parquet: no such file"),
        (tmp_path / "data.csv", "data.csv: expected a file that ends in .parquet, .jsonl, .jsonl.gz"),
        (tmp_path, "holds no file that ends in .parquet"),
    ]:
        with pytest.raises(DataError, match=re.escape(said)):
            groups_of(LONG, path=path)
