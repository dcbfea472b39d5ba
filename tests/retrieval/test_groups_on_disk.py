"""The reader of prepared groups: row groups by number, and files that are not what was written."""

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cluster.config import build_config
from cluster.errors import DataError
from cluster.storage import open_store
from retrieval.groups import PreparedGroups, open_groups
from retrieval.prepare import PrepareConfig, prepare


@pytest.fixture
def groups(tmp_path: Path) -> PreparedGroups:
    """23 groups in row groups of 4 and files of 8; every third in English only."""
    lines = [
        json.dumps({"id": number, "language": language, "query": f"q{number}{language}", "passage": f"p{number}"})
        for number in range(23)
        for language in (["en"] if number % 3 == 0 else ["de", "en"])
    ]
    (tmp_path / "set.jsonl").write_text("\n".join(lines), encoding="utf-8")
    source = {"dataset": "generic", "path": tmp_path / "set.jsonl", "name": "set", "long": {}}
    sizes = {"row_group_rows": 4, "shard_rows": 8, "min_groups": 1}
    config = build_config(PrepareConfig, {"sources": [source], **sizes})
    return open_groups(prepare(config, open_store(tmp_path / "root")))


def test_row_groups_are_numbered_over_the_files(groups: PreparedGroups) -> None:
    source = groups.source("set.de.en")
    assert (source.num_groups, source.num_row_groups, len(source.shards)) == (15, 4, 2)
    rows = [row for number in range(4) for row in source.read_row_group(number).to_pylist()]
    whole = [row for shard in source.shards for row in pq.read_table(shard.path).to_pylist()]
    assert rows == whole
    assert [source.read_row_group(number).num_rows for number in range(4)] == [4, 4, 4, 3]
    assert [group.id for group in source.iter_groups()] == [row["group_id"] for row in rows]
    assert source.read_row_group(0).column_names == [
        "group_id",
        "passage_id",
        "query:de",
        "passage:de",
        "query:en",
        "passage:en",
    ]


def test_columns_come_in_the_order_asked_for(groups: PreparedGroups) -> None:
    source = groups.source("set.en")
    assert source.read_row_group(1, ["passage:en", "group_id"]).column_names == ["passage:en", "group_id"]
    with pytest.raises(DataError, match=r"part-00000\.parquet: has no column 'query:de'; its columns are group_id"):
        source.read_row_group(0, ["query:de"])
    for number in (-1, 2):
        with pytest.raises(IndexError, match=f"row groups 0 to 1, not {number}"):
            source.read_row_group(number)


def test_the_schema_names_its_version(groups: PreparedGroups) -> None:
    schema = pq.read_schema(groups.sources[0].shards[0].path)
    assert schema.metadata == {b"mixlingual.groups": b"1"}


def test_what_is_opened_travels_as_a_few_bytes(groups: PreparedGroups) -> None:
    data = pickle.dumps(groups)
    assert len(data) < 2000
    assert pickle.loads(data) == groups  # noqa: S301 - our own bytes
    assert (groups.languages, groups.num_groups) == (("de", "en"), 23)
    assert [group.id for group in pickle.loads(data).iter_groups()] == [group.id for group in groups.iter_groups()]  # noqa: S301


def test_an_unknown_source_is_refused(groups: PreparedGroups) -> None:
    with pytest.raises(DataError, match=r"has no source 'set'; it has set\.de\.en, set\.en"):
        groups.source("set")


def test_a_folder_opens_like_its_result_set(groups: PreparedGroups) -> None:
    assert open_groups(groups.folder) == open_groups(str(groups.folder)) == groups


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def fewer_rows(path: Path) -> None:
    pq.write_table(pq.read_table(path).slice(1), path, row_group_size=4)


def other_row_groups(path: Path) -> None:
    pq.write_table(pq.read_table(path), path, row_group_size=5)


def other_columns(path: Path) -> None:
    pq.write_table(pq.read_table(path).drop_columns(["query:de"]), path, row_group_size=4)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (Path.unlink, "no such file; run prepare again"),
        (lambda path: path.write_bytes(b""), "not a whole Parquet file"),
        (cut, "not a whole Parquet file"),
        (fewer_rows, "holds 7 rows, expected 8; run prepare again"),
        (other_row_groups, "has row groups that are not of 4 rows; run prepare again"),
        (other_columns, "has other columns than group_id, passage_id, query:de"),
    ],
)
def test_a_file_that_is_not_what_was_written_is_refused(
    groups: PreparedGroups, damage: Callable[[Path], object], said: str
) -> None:
    path = groups.source("set.de.en").shards[0].path
    damage(path)
    with pytest.raises(DataError, match=re.escape(said)) as refusal:
        open_groups(groups.folder)
    assert str(refusal.value).startswith(str(path))
    assert str(refusal.value).endswith("run prepare again")
    assert "\n" not in str(refusal.value)


def test_a_file_that_breaks_after_opening_is_refused_when_read(groups: PreparedGroups) -> None:
    source = groups.source("set.en")
    path = source.shards[0].path
    data = bytearray(path.read_bytes())
    data[4:400] = bytes(396)  # the pages; the footer stays whole
    path.write_bytes(data)
    for damage in (lambda: None, lambda: cut(path), path.unlink):
        damage()
        with pytest.raises(DataError, match=r"part-00000\.parquet: .*run prepare again"):
            source.read_row_group(0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "groups.json: no such file; this is not a folder of prepared groups"),
        ('{"version": 1, "row_gr', "groups.json: cannot be read (JSONDecodeError"),
        ("[]", "groups.json: cannot be read: Input should be a valid dictionary"),
        ('{"version": 2}', "groups.json: has version 2, this program reads version 1; run prepare again"),
        ('{"version": 1, "row_group_rows": 4}', "groups.json: cannot be read: sources: missing"),
    ],
)
def test_a_missing_or_damaged_index_is_refused(groups: PreparedGroups, text: str | None, said: str) -> None:
    path = groups.folder / "groups.json"
    path.unlink() if text is None else path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(said)):
        open_groups(groups.folder)


def test_counts_that_do_not_add_up_are_refused(groups: PreparedGroups) -> None:
    path = groups.folder / "groups.json"
    path.write_text(path.read_text("utf-8").replace('"num_groups": 15', '"num_groups": 16'), encoding="utf-8")
    with pytest.raises(DataError, match=r"groups\.json: source set\.de\.en says 16 groups, its files 15"):
        open_groups(groups.folder)
