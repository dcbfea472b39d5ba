"""Text files: JSON lines, SQuAD JSON, columns, numbered lines, gzip; read through to groups in normal form."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

from fuzz.targets import Target

from retrieval.cleaning import Dropped, clean_group
from retrieval.datasets.generic import GenericConfig, LongColumns, PairColumns, read_groups
from retrieval.formats.columns import read_columns
from retrieval.formats.jsonl import read_jsonl
from retrieval.formats.lines import read_lines
from retrieval.formats.numbered import NumberedTexts
from retrieval.formats.record import Record
from retrieval.formats.squad import read_squad
from retrieval.preparation.intake import Intake, Spool
from retrieval.prepare import check_id
from retrieval.records import Group

LONG = [
    {"id": "a", "language": "en", "query": "What?", "passage": "That.", "neg": ["This.", "Those."], "p": 3},
    {"id": "a", "language": "de", "query": "Was?", "passage": "Das \u00e4 \u65e5.", "neg": [], "p": "3"},
    {"id": 7, "language": "en", "query": "Who?", "passage": "She.", "neg": None, "p": None},
]
WIDE = [
    {"id": "a", "q_en": "What?", "p_en": "That.", "q_de": "Was?", "p_de": "Das.", "n_de": ["Dies."]},
    {"id": 7, "q_en": "Who?", "p_en": "She.", "q_de": None, "p_de": None, "n_de": None},
]
SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "Rain",
            "paragraphs": [
                {
                    "context": "It rains. It pours.",
                    "sentence_breaks": [[0, 9], [10, 19]],
                    "qas": [{"id": "q1", "question": "What?", "answers": [{"answer_start": 3, "text": "rains"}]}],
                }
            ],
        }
    ],
}


def json_lines(records: Iterable[object]) -> bytes:
    """One JSON text a line, as our own files are."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def take_in(groups: Iterable[Group], folder: Path, label: str = "fuzz") -> None:
    """What prepare does first with groups: their normal form, their numbers, their bytes in a file and back."""
    dropped = Dropped()
    spool = Spool(folder / "spool")
    intake = Intake(spool, seed=0)
    try:
        for group in groups:
            check_id(group, label)
            cleaned = clean_group(group, None, dropped)
            if cleaned is not None:
                intake.add(cleaned, label)
        for number in range(len(spool)):
            spool.read(number)
        intake.facts()
    finally:
        spool.close()
    dropped.account()


def _write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _read_long(data: bytes, folder: Path) -> None:
    path = _write(folder, "long.jsonl", data)
    take_in(read_groups(GenericConfig(path=path, long=LongColumns(negatives="neg"), passage_id="p")), folder)


def _read_wide(data: bytes, folder: Path) -> None:
    path = _write(folder, "wide.jsonl", data)
    wide = {
        "en": PairColumns(query="q_en", passage="p_en"),
        "de": PairColumns(query="q_de", passage="p_de", negatives="n_de"),
    }
    take_in(read_groups(GenericConfig(path=path, wide=wide)), folder)


def _read_records(data: bytes, folder: Path) -> None:
    for record in read_jsonl(_write(folder, "records.jsonl", data)):
        _read_fields(record)


def _read_fields(record: Record) -> None:
    for key in list(record.fields)[:8]:
        read = {
            type(None): record.optional_text,
            list: record.texts,
            bool: lambda name: record.flag(name, default=True),
        }
        read.get(type(record.fields[key]), record.identifier)(key)


def _read_tsv(data: bytes, folder: Path) -> None:
    for record in read_columns(_write(folder, "columns.tsv", data), ("id", "text", "more")):
        record.identifier("id")


def _read_trec(data: bytes, folder: Path) -> None:
    for record in read_columns(_write(folder, "qrels.txt", data), ("topic", "q0", "passage", "grade"), separator=None):
        record.text("grade")


def _read_gzip(data: bytes, folder: Path) -> None:
    for _ in read_lines(_write(folder, "lines.txt.gz", data)):
        pass


def _read_numbered(data: bytes, folder: Path) -> None:
    texts = NumberedTexts(_write(folder, "collection.tsv", data))
    for number in {0, len(texts) // 2, len(texts) - 1}:
        texts[number]


def _read_squad(data: bytes, folder: Path) -> None:
    read_squad(_write(folder, "squad.json", data))


TARGETS = (
    Target("json_lines", _read_records, lambda: [json_lines(LONG)]),
    Target("groups_long", _read_long, lambda: [json_lines(LONG)], cost=3),
    Target("groups_wide", _read_wide, lambda: [json_lines(WIDE)], cost=3),
    Target("squad", _read_squad, lambda: [json.dumps(SQUAD).encode()]),
    Target("tsv", _read_tsv, lambda: [b"a\tb c\td\nb\t\xc3\xa4\te\n"]),
    Target("trec_qrels", _read_trec, lambda: [b"1 Q0 p#1 1\n1 Q0 p#2 0\n2\tQ0\tp#1\t1\n"]),
    Target("gzip_lines", _read_gzip, lambda: [gzip.compress(b"one\ntwo\n", mtime=0)]),
    Target("numbered_lines", _read_numbered, lambda: [b"0\tone\n1\ttwo\n2\tthree\n"]),
)
