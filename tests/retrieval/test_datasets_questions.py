"""mintaka, exams, afriqa, tydi_qa, belebele and mmarco on hand-written files in their published form."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import DataError
from retrieval.datasets import content_fingerprints, parse_dataset, read_collection, read_groups
from retrieval.datasets.mintaka import LANGUAGES
from retrieval.formats.numbered import NumberedTexts
from retrieval.records import Collection, Group, Pair


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_jsonl(path: Path, *records: dict[str, Any]) -> Path:
    return write(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def configured(name: str, path: Path, **fields: Any) -> Any:
    return parse_dataset({"dataset": name, "path": path, "excerpt": True, **fields})


def groups_of(name: str, path: Path, **fields: Any) -> list[Group]:
    return list(read_groups(configured(name, path, **fields)))


def relevant_texts(collection: Collection) -> dict[tuple[str, str], set[str]]:
    """(query, its language) -> texts of the relevant passages."""
    found: dict[tuple[str, str], set[str]] = {}
    for query, passage in zip(collection.judged_query, collection.judged_passage, strict=True):
        key = (collection.query_texts[query], collection.languages[collection.query_language[query]])
        found.setdefault(key, set()).add(collection.passage_texts[passage])
    return found


# Mintaka


def mintaka(folder: Path) -> Path:
    items = [
        {
            "id": id,
            "question": f"Question {id}?",
            "translations": {code: f"{code} {id}?" for code in LANGUAGES if code != "en"},
            "answer": {"answerType": "boolean", "answer": [True], "mention": answer},
        }
        for id, answer in (("a", "Yes"), ("b", "Yes"), ("c", "U2"))
    ]
    write(folder / "mintaka_dev.json", json.dumps(items))
    packed = [
        {"id": i["id"], "question": {"en": i["question"], **i["translations"]}, "answer_mention_en": i["answer"]["mention"]}
        for i in items
    ]  # fmt: skip
    write_jsonl(folder / "packed" / "dev.jsonl", *packed)
    return folder


def test_mintaka_questions_are_parallel(tmp_path: Path) -> None:
    first, _, _ = groups_of("mintaka", mintaka(tmp_path), languages=["en", "ja", "deu"])
    assert first.id == "mintaka/a"
    assert first.pairs == {code: Pair(text, text) for code, text in first_texts(first).items()}
    assert first_texts(first) == {"en": "Question a?", "ja": "ja a?", "de": "de a?"}
    assert groups_of("mintaka", tmp_path) == groups_of("mintaka", tmp_path / "packed")


def first_texts(group: Group) -> dict[str, str]:
    return {code: pair.query for code, pair in group.pairs.items()}


def test_mintaka_questions_with_one_answer_share_it(tmp_path: Path) -> None:
    config = configured("mintaka", mintaka(tmp_path), task="answers", languages=["de"])
    collection = read_collection(config)
    assert sorted(collection.passage_texts) == ["U2", "Yes"]
    assert relevant_texts(collection) == {("de a?", "de"): {"Yes"}, ("de b?", "de"): {"Yes"}, ("de c?", "de"): {"U2"}}
    assert [dict(group.pairs) for group in read_groups(config)][2] == {"en": Pair("Question c?", "U2")}


def test_mintaka_in_another_form_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "mintaka_dev.json", json.dumps([{"id": "a", "question": "?", "translations": {}, "answer": {}}]))
    with pytest.raises(DataError, match=r"mintaka_dev.json: item 0, answer: 'mention' is missing"):
        groups_of("mintaka", tmp_path)
    write_jsonl(tmp_path / "dev.jsonl", {"id": "a", "question": {"en": "?"}, "answer_mention_en": "x"})
    with pytest.raises(DataError, match=r"dev.jsonl: line 1, question: expected the question in ar, de, .*; found en"):
        groups_of("mintaka", tmp_path)
    with pytest.raises(DataError, match=r"holds 30 texts, expected 20000: cut short"):
        list(read_groups(parse_dataset({"dataset": "mintaka", "path": mintaka(tmp_path / "excerpt") / "packed"})))


# EXAMS


def exam(id: str, language: str, stem: str, choices: list[str], key: str) -> dict[str, Any]:
    labelled = [{"text": text, "label": label} for text, label in zip(choices, "ABCD", strict=False)]
    info = {"grade": 12, "subject": "Biology", "language": language}
    return {"id": id, "question": {"stem": stem, "choices": labelled}, "answerKey": key, "info": info}


def exams(folder: Path) -> Path:
    write_jsonl(
        folder / "train.jsonl",
        exam("2", "Croatian", "Što je?", ["a", "b"], "B"),
        exam("1", "Italian", "Che cos'è?", ["c", "d"], "B"),
        exam("3", "North Macedonian", "Што е?", ["e", "f"], "A"),
        exam("4", "Italian", "Quale?", ["g", "h"], "@"),
    )
    write_jsonl(folder / "parallel_questions.jsonl", {"1": ["2"]}, {"2": ["1"]})
    return folder


def test_exams_answers_are_right_choices_and_the_others_hard_negatives(tmp_path: Path) -> None:
    groups = {group.id: dict(group.pairs) for group in groups_of("exams", exams(tmp_path), query="stem")}
    assert groups == {
        "exams/1": {"hr": Pair("Što je?", "b", ("a",)), "it": Pair("Che cos'è?", "d", ("c",))},
        "exams/3": {"mk": Pair("Што е?", "e", ("f",))},
    }
    # The smallest id names the group even where its own language is not read.
    assert [group.id for group in groups_of("exams", tmp_path, languages=["hr"])] == ["exams/1"]


def test_exams_questions_search_their_translations(tmp_path: Path) -> None:
    (group,) = groups_of("exams", exams(tmp_path), task="parallel_questions")
    assert group.pairs["hr"].query == group.pairs["hr"].passage == "Što je? a b"
    collection = read_collection(configured("exams", tmp_path, task="parallel_questions", query="stem"))
    assert relevant_texts(collection) == {("Što je?", "hr"): {"Che cos'è?"}, ("Che cos'è?", "it"): {"Što je?"}}
    with pytest.raises(DataError, match="no question of the train split exists in two of the languages read"):
        groups_of("exams", tmp_path, task="parallel_questions", languages=["hr"])


def test_exams_in_another_form_is_refused(tmp_path: Path) -> None:
    exams(tmp_path)
    with pytest.raises(DataError, match="train.jsonl: .*SHA-256.*: holds 4 texts, expected 7961: cut short"):
        list(read_groups(parse_dataset({"dataset": "exams", "path": tmp_path})))
    write_jsonl(tmp_path / "train.jsonl", exam("1", "Klingon", "?", ["a"], "A"))
    with pytest.raises(DataError, match="line 1: language 'Klingon' is none of EXAMS's; known: Albanian"):
        groups_of("exams", tmp_path)


# AfriQA


def gold(id: str, question: str | float, context: str | None, **fields: Any) -> dict[str, Any]:
    of_record = {"lang": "hau", "split": "test", "pivot": "en", **fields}
    return {
        "id": id,
        "question_lang": question,
        "question_translated": f"{question} (en)",
        "context": context,
    } | of_record


def afriqa(folder: Path) -> Path:
    write_jsonl(
        folder / "gold_passages.hau.jsonl",
        gold("0", "Yaya?", "A passage."),
        gold("1", "Ina?", "A passage."),
        gold("2", "Me?", None),
        gold("3", float("nan"), "Nobody asked."),
        gold("4", "Yaushe?", "Another split.", split="dev"),
    )
    write_jsonl(
        folder / "queries.hau.jsonl",
        {"id": 0, "question": "Yaya?", "translated_question": "How?", "lang": "hau", "split": "test", "pivot": "en"},
    )
    return folder


def test_afriqa_pairs_questions_with_the_pivot_languages_passage(tmp_path: Path) -> None:
    first, second = groups_of("afriqa", afriqa(tmp_path))
    assert (first.id, first.passage_id) == ("afriqa/hau-test-0", second.passage_id)
    assert first.pairs == {"ha": Pair("Yaya?", "A passage."), "en": Pair("Yaya? (en)", "A passage.")}
    collection = read_collection(configured("afriqa", tmp_path))
    assert list(collection.passage_texts) == ["A passage."]
    assert {key[1] for key in relevant_texts(collection)} == {"ha", "en"}


def test_afriqa_questions_are_parallel_with_their_translation(tmp_path: Path) -> None:
    (group,) = groups_of("afriqa", afriqa(tmp_path), task="parallel_questions")
    assert first_texts(group) == {"ha": "Yaya?", "en": "How?"}


def test_afriqa_without_the_files_or_the_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no record of the train split"):
        groups_of("afriqa", afriqa(tmp_path), split="train")
    with pytest.raises(DataError, match="gold_passages.hau.jsonl: .*SHA-256.*: holds 5 texts, expected 750: cut short"):
        list(read_groups(parse_dataset({"dataset": "afriqa", "path": tmp_path})))
    (tmp_path / "queries.hau.jsonl").unlink()
    with pytest.raises(DataError, match="holds none of AfriQA's files, such as queries.hau.jsonl.gz"):
        groups_of("afriqa", tmp_path, task="parallel_questions")


# TyDi QA


def tydi_paragraph(context: str, *ids: str) -> dict[str, Any]:
    qas = [{"id": id, "question": f"{id}?", "answers": [{"answer_start": 0, "text": ""}]} for id in ids]
    return {"paragraphs": [{"context": context, "qas": qas}]}


def test_tydi_qa_reads_the_published_file_by_language(tmp_path: Path) -> None:
    data = [
        tydi_paragraph("Yksi.", "finnish-1-1"),
        tydi_paragraph("하나.", "korean-2-0"),
        tydi_paragraph("Yksi.", "finnish-3-1"),
    ]
    write(tmp_path / "tydiqa-goldp-v1.1-dev.json", json.dumps({"version": "1.1", "data": data}))
    groups = groups_of("tydi_qa", tmp_path, split="dev", languages=["fin"])
    assert [group.id for group in groups] == ["tydi_qa/finnish-1-1", "tydi_qa/finnish-3-1"]
    assert {group.passage_id for group in groups} == {"tydi_qa/fi-dev-p00000"}
    collection = read_collection(configured("tydi_qa", tmp_path, split="dev"))
    assert relevant_texts(collection)["korean-2-0?", "ko"] == {"하나."}
    assert len(collection.passage_ids) == 2
    write(tmp_path / "tydiqa-goldp-v1.1-dev.json", json.dumps({"data": [tydi_paragraph("?", "7")]}))
    with pytest.raises(DataError, match="a question's id begins with '7', expected a language such as arabic-"):
        groups_of("tydi_qa", tmp_path, split="dev")


def test_tydi_qa_ids_that_repeat_become_positions(tmp_path: Path) -> None:
    data = {"data": [tydi_paragraph("a", "0"), tydi_paragraph("b", "0")]}
    write(tmp_path / "tydiqa.goldp.sw.train.json", json.dumps(data))
    assert [group.id for group in groups_of("tydi_qa", tmp_path)] == [
        "tydi_qa/sw-train-q00000",
        "tydi_qa/sw-train-q00001",
    ]
    with pytest.raises(DataError, match="holds none of TyDi QA's dev files, such as tydiqa.goldp.en.dev.json"):
        groups_of("tydi_qa", tmp_path, split="dev")


# Belebele


def belebele(folder: Path) -> Path:
    for code, text in (("eng_Latn", "A passage."), ("zho_Hant", "段落。")):
        records = [
            {
                "link": link,
                "question_number": number,
                "flores_passage": f"{text} {link}",
                "question": f"{code} {number}?",
            }
            for link, number in (("u", 1), ("u", 2), ("v", 1))
        ]
        write_jsonl(folder / f"{code}.jsonl", *[{**record, "dialect": code} for record in records])
    return folder


def test_belebele_questions_are_parallel_and_share_passages(tmp_path: Path) -> None:
    first, second, third = groups_of("belebele", belebele(tmp_path))
    assert (first.id, first.passage_id) == ("belebele/u#1", "belebele/u")
    assert second.passage_id == first.passage_id != third.passage_id
    assert first.pairs["zh-Hant"] == Pair("zho_Hant 1?", "段落。 u")
    collection = read_collection(configured("belebele", tmp_path))
    assert relevant_texts(collection)["eng_Latn 2?", "en"] == {"A passage. u", "段落。 u"}
    assert len(collection.passage_ids) == 4


def test_belebele_cut_short_or_renamed_is_refused(tmp_path: Path) -> None:
    belebele(tmp_path)
    with pytest.raises(DataError, match="eng_Latn.jsonl: holds 3 questions on 2 passages, expected 900 on 488"):
        list(read_groups(parse_dataset({"dataset": "belebele", "path": tmp_path})))
    (tmp_path / "zho_Hant.jsonl").rename(tmp_path / "swh_Latn.jsonl")
    with pytest.raises(DataError, match="line 1: is in zho_Hant, not in the file's language; was the file renamed"):
        groups_of("belebele", tmp_path)


# mMARCO


def mmarco(folder: Path) -> Path:
    for name, text in (("english", "passage"), ("german", "Absatz")):
        write(folder / "collections" / f"{name}_collection.tsv", "".join(f"{n}\t{text} {n}\n" for n in range(12)))
        for split in ("train/{}_queries.train", "dev/{}_queries.dev.small"):
            write(folder / "queries" / f"{split.format(name)}.tsv", f"7\t{text}?\n9\t{text} 9?\n")
    write(folder / "triples.train.ids.small.tsv", "7\t3\t4\n9\t3\t5\n7\t3\t11\n7\t3\t4\n7\t2\t0\n")
    write(folder / "qrels.dev.small.tsv", "7\t0\t3\t1\n7\t0\t11\t1\n")
    return folder


def test_mmarco_triples_become_groups_with_hard_negatives(tmp_path: Path) -> None:
    first, second, third = groups_of("mmarco", mmarco(tmp_path))
    assert (first.id, first.passage_id) == ("mmarco/q7-p3", "mmarco/p3")
    assert first.pairs["de"] == Pair("Absatz?", "Absatz 3", ("Absatz 4", "Absatz 11"))
    assert (second.passage_id, third.id) == ("mmarco/p3", "mmarco/q7-p2")
    (first,) = groups_of("mmarco", tmp_path, limit=1, negatives=0, languages=["en"])
    assert dict(first.pairs) == {"en": Pair("passage?", "passage 3")}


def test_mmarco_judgements_hold_in_every_language(tmp_path: Path) -> None:
    collection = read_collection(configured("mmarco", mmarco(tmp_path), split="dev"))
    right = {"Absatz 3", "Absatz 11", "passage 3", "passage 11"}
    assert relevant_texts(collection) == {("Absatz?", "de"): right, ("passage?", "en"): right}
    assert len(collection.passage_ids) == 24
    assert content_fingerprints(configured("mmarco", tmp_path, split="dev"))


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        (
            "collections/german_collection.tsv",
            "0\ta\n2\tb\n",
            "german_collection.tsv: has no line for number 4; it holds 2: cut short?",
        ),
        (
            "collections/german_collection.tsv",
            "".join(f"{n + 1}\tx\n" for n in range(12)),
            "line 5: begins with '5', expected 4",
        ),
        ("queries/train/german_queries.train.tsv", "7\tx\n", "german_queries.train.tsv: has no query 9"),
        ("queries/train/german_queries.train.tsv", "x\tx\n", "german_queries.train.tsv: line 1: 'x' is not a number"),
        ("triples.train.ids.small.tsv", "7\t3\n", "triples.train.ids.small.tsv: line 1: 2 columns, expected 3"),
    ],
)
def test_mmarco_damaged_files_are_refused_by_name(tmp_path: Path, file: str, content: str, said: str) -> None:
    write(mmarco(tmp_path) / file, content)
    with pytest.raises(DataError, match=re.escape(said)):
        groups_of("mmarco", tmp_path)


def test_mmarco_in_part_is_refused_unless_called_an_excerpt(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="collection.tsv: holds 12 passages, expected 8841823: cut short"):
        list(read_groups(parse_dataset({"dataset": "mmarco", "path": mmarco(tmp_path)})))


def test_numbered_texts_are_those_of_the_lines(tmp_path: Path) -> None:
    texts = ["ä", "", "b\tc", "last, without an end of line"]
    path = write(tmp_path / "x.tsv", "\n".join(f"{number}\t{text}" for number, text in enumerate(texts)))
    numbered = NumberedTexts(path)
    assert [numbered[number] for number in range(len(numbered))] == texts
    (tmp_path / "z.tsv").write_bytes(b"0\t\xff\n")
    with pytest.raises(DataError, match="z.tsv: line 1: not UTF-8 text"):
        NumberedTexts(tmp_path / "z.tsv")[0]
    with pytest.raises(DataError, match="empty.tsv: is empty"):
        NumberedTexts(write(tmp_path / "empty.tsv", ""))
