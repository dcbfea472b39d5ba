"""Every data set's reader, on a few records in its original form of which one file is replaced.

The first byte of an input says which file its rest replaces.
"""

import functools
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fuzz.targets import Target
from fuzz.texts import LONG, SQUAD, json_lines, take_in

from cluster.errors import DataError
from retrieval.datasets import content_fingerprints, parse_dataset, read_collection, read_groups

Files = Mapping[str, bytes]

_PARAGRAPHS = [
    {"pid": "p1", "title": "Rain", "context": "It rains."},
    {"pid": "p2", "title": "Sun", "context": "It shines."},
]
_QUESTIONS = [
    {"id": "q1", "pid": "p1", "question": "What?", "answer_in_context": True},
    {"id": "q2", "pid": "p2", "question": "Who?", "answer_in_context": False},
]
_ARTICLES = {
    f"{kind}.{language}.jsonl": json_lines(records)
    for kind, records in (("paragraphs", _PARAGRAPHS), ("questions", _QUESTIONS))
    for language in ("en", "pt")
}
_AFRIQA = [
    {"id": 0, "question": "Yaya?", "translated_question": "How?", "lang": "hau", "split": "test", "pivot": "en"},
    {"id": 1, "question": "Ina?", "translated_question": "Where?", "lang": "hau", "split": "test", "pivot": "en"},
]
_AFRIQA_PASSAGES = [
    {"id": 0, "context": "So.", "question_lang": "Yaya?", "question_translated": "How?", "lang": "hau", "split": "test",
     "pivot": "en"},
]  # fmt: skip
_BELEBELE = [{"link": "x.org/1", "question_number": 1, "question": "What?", "flores_passage": "That.", "dialect": None}]
_EXAMS = [
    {"id": f"{number}", "answerKey": "A", "info": {"grade": 1, "subject": "x", "language": language},
     "question": {"stem": "What?", "choices": [{"text": "yes", "label": "A"}, {"text": "no", "label": "B"}]}}
    for number, language in enumerate(("German", "French"))
]  # fmt: skip
_MINTAKA_LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "it", "ja", "pt")
_MINTAKA = [{"id": "a", "question": dict.fromkeys(_MINTAKA_LANGUAGES, "What?"), "answer_mention_en": "That"}]
_MINTAKA_PUBLISHED = [
    {"id": "a", "question": "What?", "answer": {"mention": "That"},
     "translations": {code: "Was?" for code in _MINTAKA_LANGUAGES if code != "en"}},
]  # fmt: skip
_MKQA_CODES = [
    "ar",
    "da",
    "de",
    "en",
    "es",
    "fi",
    "fr",
    "he",
    "hu",
    "it",
    "ja",
    "km",
    "ko",
    "ms",
    "nl",
    "no",
    "pl",
    "pt",
    "ru",
    "sv",
    "th",
    "tr",
    "vi",
    "zh_cn",
    "zh_hk",
    "zh_tw",
]
_MKQA = [
    {"example_id": 7, "queries": dict.fromkeys(_MKQA_CODES, "What?"),
     "answers": {key: [{"type": "entity", "text": "That", "aliases": ["It"]}] for key in _MKQA_CODES}},
]  # fmt: skip
_MKQA_PART = [{"id": "a", "lang": "de", "question": "Was?", "answers": ["Das"]}]
_FORM = "[IN:CREATE_CALL [SL:CONTACT Camilla ] [SL:NAME_APP whatsapp ] ]"
_MTOP = [
    {"id": "1", "question": dict.fromkeys(("en", "de", "es", "fr"), "call"),
     "slot_intent": dict.fromkeys(("en", "de", "es", "fr"), _FORM)},
]  # fmt: skip
_MTOP_LINE = f"1\tIN:CREATE_CALL\t\tcall\tcalling\ten_XX\t{_FORM}\t{{}}\n".encode()
_NUMBERED = [{"n": 0, "text": "one"}, {"n": 1, "text": "two"}]
_SIB = [{"index_id": 0, "text": "one"}, {"index_id": 1, "text": "two"}]
_TMX = (
    b'<?xml version="1.0"?><tmx version="1.4"><body><tu><tuv xml:lang="en"><seg>one</seg></tuv>'
    b'<tuv xml:lang="fr"><seg>un</seg></tuv></tu></body></tmx>'
)
_CAPTIONS = [{"id": "1", "sentences": ["A dog."]}, {"id": "2", "sentences": ["A cat."]}]
_XM3600 = [{"image/key": "a", "en": {"caption": ["A dog.", "One dog."]}, "de": {"caption": ["Ein Hund."]}}]
_MMARCO = {
    **{f"collections/{name}_collection.tsv": b"0\tone\n1\ttwo\n" for name in ("english", "german")},
    **{f"queries/train/{name}_queries.train.tsv": b"5\twhat\n" for name in ("english", "german")},
    **{f"queries/dev/{name}_queries.dev.small.tsv": b"5\twhat\n" for name in ("english", "german")},
    "triples.train.ids.small.tsv": b"5\t0\t1\n",
    "qrels.dev.small.tsv": b"5\t0\t1\t1\n",
}
_MIRACL = {
    "topics.miracl-v1.0-sw-{split}.tsv": b"1\tNani?\n2\tWapi?\n",
    "qrels.miracl-v1.0-sw-{split}.tsv": b"1\tQ0\td#0\t1\n1\tQ0\td#1\t0\n2\tQ0\td#1\t1\n",
    "miracl-corpus-v1.0-sw/docs-0.jsonl": json_lines(
        {"docid": f"d#{number}", "title": "Mvua", "text": "Maji."} for number in range(2)
    ),
}
_MULTI30K = {
    "task1/image_splits/test_2016_flickr.txt": b"1.jpg\n2.jpg\n",
    "task1/test_2016_flickr.en": b"A dog.\nA cat.\n",
    "task1/test_2016_flickr.de": b"Ein Hund.\nEine Katze.\n",
}


def _zip_of(name: str, content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), content)
    return sink.getvalue()


def _miracl(split: str) -> Files:
    return {name.format(split=split): content for name, content in _MIRACL.items()}


def _by_language(name: str, content: bytes, codes: tuple[str, ...]) -> Files:
    return {name.format(code): content for code in codes}


CASES: Mapping[str, tuple[Mapping[str, Any], Files]] = {
    "afriqa": ({}, {"gold_passages.hau.jsonl": json_lines(_AFRIQA_PASSAGES)}),
    "afriqa/parallel": ({"task": "parallel_questions"}, {"queries.hau.jsonl": json_lines(_AFRIQA)}),
    "belebele": ({}, {
        f"{code}.jsonl": json_lines([_BELEBELE[0] | {"dialect": code}]) for code in ("eng_Latn", "deu_Latn")
    }),
    "exams": ({"split": "dev"}, {
        "multilingual.dev.jsonl": json_lines(_EXAMS), "parallel_questions.jsonl": json_lines([{"0": ["1"]}, {"1": ["0"]}])
    }),
    "exams/parallel": ({"split": "dev", "task": "parallel_questions"}, {
        "multilingual.dev.jsonl": json_lines(_EXAMS), "parallel_questions.jsonl": json_lines([{"0": ["1"]}, {"1": ["0"]}])
    }),
    "flores": ({}, _by_language("devtest/{}.devtest", b"one\ntwo\n", ("eng_Latn", "deu_Latn"))),
    "generic": ({"long": {}}, {"a.jsonl": json_lines(LONG), "b.jsonl": json_lines([LONG[0] | {"id": "z"}])}),
    "mintaka": ({"split": "dev"}, {"dev.jsonl": json_lines(_MINTAKA)}),
    "mintaka/published": ({"split": "dev"}, {"mintaka_dev.json": json.dumps(_MINTAKA_PUBLISHED).encode()}),
    "miracl": ({"split": "train"}, _miracl("train")),
    "miracl/dev": ({"split": "dev", "candidates": "judged"}, _miracl("dev")),
    "mkqa": ({"task": "answers"}, {"mkqa.jsonl": json_lines(_MKQA)}),
    "mkqa/part": ({"part": "dev"}, _by_language("dev.{}.jsonl", json_lines(_MKQA_PART), ("de", "en"))),
    "mlqa_r": ({}, _by_language("{}.json", json.dumps(SQUAD).encode(), ("en", "de"))),
    "mlqa_r/mlqa": ({}, _by_language("dev-context-{0}-question-{0}.json", json.dumps(SQUAD).encode(), ("en", "de"))),
    "mmarco": ({}, _MMARCO),
    "mmarco/dev": ({"split": "dev"}, _MMARCO),
    "mtop": ({}, {"dev.en-de-es-fr.jsonl": json_lines(_MTOP)}),
    "mtop/published": ({"split": "train"}, {"en/train.txt": _MTOP_LINE, "de/train.txt": _MTOP_LINE.replace(b"en_XX", b"de_XX")}),
    "multi30k": ({"split": "test_2016"}, _MULTI30K),
    "ntrex_128": ({}, _by_language("{}.txt", b"one\ntwo\n", ("eng", "deu"))),
    "sib_200": ({"split": "test"}, {
        **_by_language("{}.jsonl", json_lines(_SIB), ("eng_Latn", "deu_Latn")),
        "meta.jsonl": json_lines({"index_id": number, "split": "test"} for number in range(2)),
    }),
    "sib_200/published": ({"split": "test"}, {
        f"{code}/{split}.tsv": b'index_id\tcategory\ttext\n%d\tx\t"o ""n"" e"\n' % number
        for code in ("eng_Latn", "deu_Latn") for number, split in enumerate(("train", "dev", "test"))
    }),
    "squad_parallel": ({"split": "all"}, _ARTICLES),
    "squad_train": ({"split": "all", "require_answer_in_context": True}, _ARTICLES),
    "tatoeba": ({}, {"all.jsonl": json_lines([{"lang": "deu", "n": 0, "text": "Ja.", "eng": "Yes."}])}),
    "tatoeba/published": ({}, {"tatoeba.deu-eng.deu": b"Ja.\n", "tatoeba.deu-eng.eng": b"Yes.\n"}),
    "tico_19": ({}, _by_language("{}.jsonl", json_lines(_NUMBERED), ("en", "fr", "de"))),
    "tico_19/published": ({}, {"all.en-fr.tmx.zip": _zip_of("all.en-fr.tmx", _TMX)}),
    "tico_19/tmx": ({}, {"all.en-fr.tmx": _TMX}),
    "tydi_qa": ({}, {
        f"tydiqa.goldp.{code}.train.json": json.dumps(SQUAD).replace('"q1"', f'"{code}"').encode() for code in ("en", "ar")
    }),
    "tydi_qa/published": ({}, {"tydiqa-goldp-v1.1-train.json": json.dumps(SQUAD).replace('"q1"', '"arabic-1"').encode()}),
    "xflickrco": ({}, _by_language("test.{}.jsonl", json_lines(_CAPTIONS), ("en", "de"))),
    "xm3600": ({}, {"captions.jsonl": json_lines(_XM3600)}),
    "xquad_r": ({}, _by_language("{}.json", json.dumps(SQUAD).encode(), ("en", "de"))),
}  # fmt: skip
"""Data set, perhaps with a form or task -> its configuration, and its files."""


def _reader(case: str) -> Callable[[bytes, Path], None]:
    fields, files = CASES[case]
    name = case.partition("/")[0]
    checked = {} if name in ("generic", "squad_parallel", "squad_train") else {"excerpt": True}
    names = sorted(files)

    def read(data: bytes, folder: Path) -> None:
        place = folder / "data"
        if not place.exists():
            for file, content in files.items():
                (place / file).parent.mkdir(parents=True, exist_ok=True)
                (place / file).write_bytes(content)
        chosen = names[data[0] % len(names)] if data else names[0]
        config = parse_dataset({"dataset": name, **checked, **fields, "path": str(place)})
        # A TMX file comes in an archive; damage to the archive is a case of its own.
        target = place / (f"{chosen}.zip" if chosen.endswith(".tmx") else chosen)
        try:
            target.write_bytes(_zip_of(chosen, data[1:]) if chosen.endswith(".tmx") else data[1:])
            _read_all(config, folder, name)
        finally:
            target.write_bytes(files[chosen])

    return read


def _read_all(config: Any, folder: Path, label: str) -> None:
    content_fingerprints(config)
    refused = None
    try:
        take_in(read_groups(config), folder, label)
    except DataError as error:
        refused = error  # what is for evaluation only is refused, too
    read_collection(config)
    if refused is not None and "evaluation only" not in str(refused):
        raise refused


def _seeds(case: str) -> list[bytes]:
    files = CASES[case][1]
    return [bytes([number]) + files[name] for number, name in enumerate(sorted(files))]


TARGETS = tuple(
    Target(f"data_{case.replace('/', '_')}", _reader(case), functools.partial(_seeds, case), cost=20) for case in CASES
)
