"""mkqa: a few questions in the original form, the subset's form, and the real subset."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.config import build_config
from cluster.errors import ConfigError, DataError
from retrieval.datasets import read_collection, read_groups
from retrieval.datasets.mkqa import LANGUAGES, SUBSET, MkqaConfig
from retrieval.datasets.splits import SplitConfig, ids_of_split
from retrieval.records import Collection

SHARED = Path(__file__).parents[3] / "shared" / "data" / "mkqa"
CANONICAL = {"no": "nb", "zh_cn": "zh", "zh_hk": "zh-HK", "zh_tw": "zh-Hant"}


def answer(text: str | None, *aliases: str, kind: str = "entity") -> dict[str, Any]:
    fields: dict[str, Any] = {"type": kind, "text": text}
    return fields | ({"aliases": list(aliases), "entity": "Q1"} if kind == "entity" else {})


def line(id: int, english: str, answers: list[dict[str, Any]], **others: list[dict[str, Any]]) -> dict[str, Any]:
    """One question in the form of mkqa.jsonl: the query and the answers in all 26 languages."""
    return {
        "query": english,
        "example_id": id,
        "queries": {code: f"{english} ({code})" for code in LANGUAGES},
        "answers": {code: others.get(code, answers) for code in LANGUAGES},
    }


QUESTIONS = [
    line(-11, "who sang", [answer("Dave Edmunds", "D. Edmunds")], ja=[answer("デイヴ・エドモンズ")]),
    line(12, "who else sang", [answer("Paul"), answer("DAVE EDMUNDS")]),
    line(13, "how to live", [answer(None, kind="long_answer")]),
    line(14, "is it so", [answer("yes", kind="binary")], ja=[answer("はい", kind="binary")]),
]


def full(tmp_path: Path, lines: list[dict[str, Any]] = QUESTIONS, **fields: Any) -> MkqaConfig:
    text = "".join(json.dumps(fields, ensure_ascii=False) + "\n" for fields in lines)
    (tmp_path / "mkqa.jsonl.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    return build_config(MkqaConfig, {"path": tmp_path, "excerpt": True, **fields})


def relevant(collection: Collection, id: str, language: str) -> set[tuple[str, str]]:
    """(language, text) of the passages relevant to a question."""
    found = set()
    for query, passage in zip(collection.judged_query, collection.judged_passage, strict=True):
        if (collection.query_ids[query], collection.languages[collection.query_language[query]]) == (id, language):
            found.add((collection.languages[collection.passage_language[passage]], collection.passage_texts[passage]))
    return found


def test_a_question_finds_its_translations_in_26_languages(tmp_path: Path) -> None:
    collection = read_collection(full(tmp_path))
    assert collection.languages == tuple(CANONICAL.get(code, code) for code in LANGUAGES)
    assert (len(collection.query_ids), len(collection.judged_query)) == (4 * 26, 4 * 26 * 25)
    assert ("zh-HK", "who sang (zh_hk)") in relevant(collection, "mkqa/-11", "nb")
    few = read_collection(full(tmp_path, languages=["en", "zh_tw"]))
    assert relevant(few, "mkqa/12", "en") == {("zh-Hant", "who else sang (zh_tw)")}


def test_a_question_finds_its_answers_and_aliases_in_every_language(tmp_path: Path) -> None:
    collection = read_collection(full(tmp_path, task="answers", languages=["en", "ja"]))
    assert collection.name == "mkqa-answers"
    assert list(collection.passage_texts) == ["Dave Edmunds", "Paul", "yes", "デイヴ・エドモンズ", "Paul", "はい"]
    assert relevant(collection, "mkqa/-11", "ja") == {("en", "Dave Edmunds"), ("ja", "デイヴ・エドモンズ")}
    # Its second answer is, letter case aside, what another question has as its first; in ja nobody has it as the first.
    assert relevant(collection, "mkqa/12", "en") == {("en", "Paul"), ("en", "Dave Edmunds"), ("ja", "Paul")}
    assert "mkqa/13" not in collection.query_ids


def test_groups_are_translations_or_questions_with_their_first_answer(tmp_path: Path) -> None:
    translations = list(read_groups(full(tmp_path)))
    assert (len(translations), len(translations[0].pairs)) == (4, 26)
    answers = {group.id: group.pairs for group in read_groups(full(tmp_path, task="answers", languages=["en", "ja"]))}
    assert list(answers) == ["mkqa/-11", "mkqa/12", "mkqa/14"]
    assert (answers["mkqa/14"]["ja"].query, answers["mkqa/14"]["ja"].passage) == ("is it so (ja)", "はい")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [*lines, lines[0]], "line 5: example_id '-11' stands twice"),
        (lambda lines: [{**lines[0], "queries": {"en": "who"}}], "line 1, queries: 'ar' is missing"),
        (lambda lines: [{**lines[0], "answers": ["x"]}], "line 1: 'answers' is a list, expected an object"),
        (lambda lines: [{"id": "a", "question": "b"}], "line 1: 'example_id' is missing; there is id, question"),
    ],
)
def test_lines_of_another_form_are_refused(tmp_path: Path, change: Any, said: str) -> None:
    with pytest.raises(DataError, match=re.escape(said)):
        read_collection(full(tmp_path, change(QUESTIONS)))


def test_a_full_file_that_is_not_the_published_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"mkqa\.jsonl\.gz: its content has SHA-256 \w+…, expected f77ac6bf6306…: cut"):
        read_collection(full(tmp_path, excerpt=False))
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "mkqa.jsonl").write_bytes(gzip.decompress((tmp_path / "mkqa.jsonl.gz").read_bytes()))
    with pytest.raises(DataError, match=r"mkqa\.jsonl: holds 4 questions, expected 10000"):
        read_collection(build_config(MkqaConfig, {"path": plain}))
    with pytest.raises(DataError, match=r"holds neither mkqa\.jsonl\.gz nor dev\.<language>\.jsonl\.gz"):
        (plain / "mkqa.jsonl").unlink()
        read_collection(build_config(MkqaConfig, {"path": plain}))


def test_the_subset_is_read_by_part(tmp_path: Path) -> None:
    for code in ("en", "zh_cn"):
        for part, answers in (("dev", ["Ann", "Anna"]), ("test_noanswers", [])):
            record = {"id": f"{part}-1", "lang": code, "question": f"{part} in {code}", "answers": answers}
            (tmp_path / f"{part}.{code}.jsonl").write_text(json.dumps(record), encoding="utf-8")
    fields = {"path": tmp_path, "excerpt": True}
    assert len(read_collection(build_config(MkqaConfig, fields)).query_ids) == 4
    collection = read_collection(build_config(MkqaConfig, {**fields, "task": "answers", "part": "dev"}))
    assert (collection.name, list(collection.passage_texts)) == ("mkqa-answers-dev", ["Ann", "Ann"])
    with pytest.raises(
        DataError, match=r"dev\.en\.jsonl: its content has SHA-256 \w+…, expected \w+…: cut short, changed"
    ):
        read_collection(build_config(MkqaConfig, {"path": tmp_path, "languages": ["en"]}))
    with pytest.raises(DataError, match="has no language 'fr'; it has en, zh"):
        read_collection(build_config(MkqaConfig, {**fields, "languages": ["fr"]}))


def test_splits_by_id_are_disjoint_whole_and_held_out_first() -> None:
    ids = [str(number) for number in range(100)]

    def chosen(split: str, **fields: Any) -> set[str]:
        config = build_config(SplitConfig, {"split": split, "held_out": 0.2, "validation": 10, **fields})
        return set(ids_of_split(config, ids, "data"))

    parts = [chosen("test"), chosen("validation"), chosen("train")]
    assert [len(part) for part in parts] == [20, 10, 70]
    assert set.union(*parts) == set(ids) == chosen("all")
    assert chosen("test", validation=0) == parts[0] != chosen("test", split_seed=1)
    with pytest.raises(DataError, match="data: the test split has none of the 100 ids; change held_out"):
        chosen("test", held_out=0)
    with pytest.raises(DataError, match="data: held_out and validation ask for 190 of 100 ids"):
        chosen("test", held_out=180)
    with pytest.raises(ConfigError, match="held_out: must be a whole number, or a share below 1"):
        chosen("test", held_out=1.5)


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets are not in ../shared/data")
class TestSharedData:
    def config(self, **fields: Any) -> MkqaConfig:
        return build_config(MkqaConfig, {"path": SHARED, **fields})

    @pytest.mark.parametrize("part", SUBSET)
    def test_each_part_has_its_questions_in_12_languages(self, part: str) -> None:
        collection = read_collection(self.config(part=part))
        counts = np.bincount(collection.query_language)
        codes = ("ar", "en", "es", "fi", "ja", "km", "ko", "ms", "ru", "sv", "tr", "zh")
        assert dict(zip(collection.languages, counts, strict=True)) == dict.fromkeys(codes, SUBSET[part])

    def test_parts_share_no_question_and_every_dev_question_has_an_answer_in_every_language(self) -> None:
        ids = [{group.id for group in read_groups(self.config(part=part))} for part in SUBSET]
        assert not ids[0] & ids[1]
        collection = read_collection(self.config(part="dev", task="answers"))
        assert len(collection.query_ids) == 1758 * 12
        pools = {
            (query, int(collection.passage_language[passage]))
            for query, passage in zip(collection.judged_query, collection.judged_passage, strict=True)
        }
        assert len(pools) == 1758 * 12 * 12
