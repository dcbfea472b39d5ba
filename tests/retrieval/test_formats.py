"""The shared readers: what they give, and the one line they refuse with."""

import gzip
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.errors import DataError
from retrieval.formats.jsonl import read_jsonl
from retrieval.formats.lines import read_lines
from retrieval.formats.parallel import parallel_languages, read_paragraphs, read_questions
from retrieval.formats.parquet import read_parquet
from retrieval.formats.record import Record
from retrieval.formats.squad import read_squad

LINES = [{"id": "a", "text": "Ärger"}, {"id": "b", "text": "日本"}]


def write_jsonl(path: Path, records: list[dict[str, object]]) -> Path:
    data = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["data.jsonl", "data.jsonl.gz"])
def test_json_lines_give_their_records_and_places(tmp_path: Path, name: str) -> None:
    records = list(read_jsonl(write_jsonl(tmp_path / name, LINES)))
    assert [record.fields for record in records] == LINES
    assert [record.place for record in records] == ["line 1", "line 2"]


def test_blank_lines_and_a_byte_order_mark_are_passed_over_and_lines_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "windows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "a"}\r\n\r\n{"id": "b"}')
    assert [(record.place, record.fields["id"]) for record in read_jsonl(path)] == [("line 1", "a"), ("line 3", "b")]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("gone.jsonl", None, "gone.jsonl: no such file"),
        ("empty.jsonl", b"", "empty.jsonl: is empty"),
        ("empty.jsonl.gz", gzip.compress(b"\n \n", mtime=0), "empty.jsonl.gz: is empty"),
        ("cut.jsonl", b'{"id": "a"}\n{"id": "b', "cut.jsonl: line 2: not valid JSON (Unterminated string"),
        ("list.jsonl", b'{"id": "a"}\n[1, 2]\n', "list.jsonl: line 2: holds a list, expected an object"),
        ("latin.jsonl", b'{"id": "a"}\n{"id": "\xe4"}\n', "latin.jsonl: line 2: not UTF-8"),
        ("plain.jsonl.gz", b'{"id": "a"}\n', "plain.jsonl.gz: line 1: not intact gzip data"),
        ("deep.jsonl", b"[" * 200_000, "deep.jsonl: line 1: not usable JSON"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(
    tmp_path: Path, name: str, data: bytes | None, said: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=re.escape(said)) as refusal:
        list(read_jsonl(tmp_path / name))
    assert "\n" not in str(refusal.value)


def test_a_gzip_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = write_jsonl(tmp_path / "whole.jsonl.gz", [{"id": str(number)} for number in range(50)]).read_bytes()
    path = tmp_path / "cut.jsonl.gz"
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cut\.jsonl\.gz: line \d+: .*(cut short|not intact)"):
            list(read_lines(path))


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder, expected a file"):
        list(read_lines(tmp_path))


def test_fields_of_another_type_are_named_with_their_place() -> None:
    record = Record(Path("x.jsonl"), "line 7", {"n": 3, "flag": True, "t": "text", "l": ["a", 1], "none": None})
    assert (record.text("t"), record.identifier("n"), record.identifier("t")) == ("text", "3", "text")
    assert (record.optional_text("none"), record.optional_text("absent"), record.texts("none")) == (None, None, ())
    for read, said in [
        (lambda: record.text("n"), "x.jsonl: line 7: 'n' is a number, expected text"),
        (lambda: record.text("absent"), "x.jsonl: line 7: 'absent' is missing; there is n, flag, t, l, none"),
        (lambda: record.identifier("flag"), "'flag' is a truth value, expected text or a whole number"),
        (lambda: record.whole_number("flag"), "'flag' is a truth value, expected a whole number"),
        (lambda: record.flag("t", True), "'t' is text, expected true or false"),
        (lambda: record.texts("l"), "'l' is a list, expected a list of texts"),
        (lambda: record.items("t"), "'t' is text, expected a list"),
    ]:
        with pytest.raises(DataError, match=re.escape(said)):
            read()


def test_parquet_gives_the_named_columns_in_order(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": [1, 2, 3], "text": ["x", None, "z"], "other": [0.5, 0.5, 0.5]}), path)
    records = list(read_parquet(path, ["text", "id"]))
    assert [record.fields for record in records] == [
        {"text": "x", "id": 1},
        {"text": None, "id": 2},
        {"text": "z", "id": 3},
    ]
    assert [record.place for record in records] == ["row 1", "row 2", "row 3"]


def test_parquet_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with pytest.raises(DataError, match=r"t\.parquet: no such file"):
        list(read_parquet(path, ["id"]))
    pq.write_table(pa.table({"id": [1, 2, 3]}), path)
    with pytest.raises(DataError, match=r"t\.parquet: has no column 'text'; its columns are id"):
        list(read_parquet(path, ["id", "text"]))
    whole = path.read_bytes()
    for data in (b"", whole[:-20], whole[: len(whole) // 2], b"not parquet at all, but long enough to look"):
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"t\.parquet: not a whole Parquet file") as refusal:
            list(read_parquet(path, ["id"]))
        assert "\n" not in str(refusal.value)
    pq.write_table(pa.table({"id": pa.array([], pa.string())}), path)
    with pytest.raises(DataError, match=r"t\.parquet: holds no rows"):
        list(read_parquet(path, ["id"]))


def squad(**changes: object) -> dict[str, object]:
    question = {"id": "q", "question": "Who?", "answers": [{"answer_start": 0, "text": "Ann"}]}
    paragraph = {"context": "Ann came. Bob left.", "qas": [question], "sentence_breaks": [[0, 9], [10, 19]]}
    return {"data": [{"title": "T", "paragraphs": [{**paragraph, **changes}]}]}


def test_squad_json_gives_paragraphs_sentences_and_questions(tmp_path: Path) -> None:
    path = tmp_path / "s.json.gz"
    path.write_bytes(gzip.compress(json.dumps(squad()).encode()))
    (paragraph,) = read_squad(path)
    assert (paragraph.title, paragraph.number, paragraph.sentences) == ("T", 0, ((0, 9), (10, 19)))
    assert paragraph.questions[0].answers[0].start == 0
    assert paragraph.questions[0].text == "Who?"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "s.json: the whole: is a list, expected an object"),
        ({"data": []}, "s.json: holds no paragraphs"),
        ({"data": [{"title": 1, "paragraphs": []}]}, "s.json: article 0: 'title' is a number, expected text"),
        (squad(context=3), "article 0 (T), paragraph 0: 'context' is a number, expected text"),
        (squad(qas=[{"id": "q", "answers": []}]), "paragraph 0, question 0: 'question' is missing"),
        (squad(qas=["q"]), "paragraph 0, question 0: is text, expected an object"),
        (squad(sentence_breaks=[[0, 20]]), "sentence_breaks holds [0, 20], expected [start, end) within its 19"),
        (squad(sentence_breaks=[[True, 5]]), "sentence_breaks holds [True, 5]"),
    ],
)
def test_squad_json_of_another_form_is_refused_with_its_place(tmp_path: Path, document: object, said: str) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(said)):
        read_squad(path)


def test_truncated_squad_json_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps(squad(), indent=1)[:-30], encoding="utf-8")
    with pytest.raises(DataError, match=r"s\.json: line \d+: not valid JSON"):
        read_squad(path)


def test_parallel_files_are_found_packed_and_plain(tmp_path: Path) -> None:
    paragraph = {"pid": "p", "title": "T", "context": "c"}
    question = {"id": "q", "pid": "p", "question": "?"}
    write_jsonl(tmp_path / "paragraphs.en.jsonl.gz", [paragraph])
    write_jsonl(tmp_path / "questions.en.jsonl", [question])
    write_jsonl(tmp_path / "paragraphs.de.jsonl", [paragraph])  # no questions: not a language one can read
    assert parallel_languages(tmp_path) == ("en",)
    paragraphs = read_paragraphs(tmp_path, "en")
    assert paragraphs["p"].title == "T"
    assert read_questions(tmp_path, "en", paragraphs)["q"].answer_in_context


def test_parallel_records_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    paragraph = {"pid": "p", "title": "T", "context": "c"}
    with pytest.raises(DataError, match="holds no paragraphs"):
        parallel_languages(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        parallel_languages(tmp_path / "gone")
    write_jsonl(tmp_path / "paragraphs.en.jsonl", [paragraph, paragraph])
    with pytest.raises(DataError, match=r"paragraphs\.en\.jsonl: line 2: pid 'p' stands twice"):
        read_paragraphs(tmp_path, "en")
    write_jsonl(tmp_path / "questions.en.jsonl", [{"id": "q", "pid": "other", "question": "?"}])
    with pytest.raises(DataError, match=r"questions\.en\.jsonl: line 1: pid 'other' is not among the paragraphs"):
        read_questions(tmp_path, "en", {})
