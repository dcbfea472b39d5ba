"""Every adapter that knows its published files refuses them cut short, renamed or changed, by name and SHA-256."""

import dataclasses
import gzip
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import DataError
from retrieval.datasets import checksums, parse_dataset, read_collection, read_groups
from retrieval.datasets.miracl import read_topics

SHARED = Path(__file__).parents[3] / "shared" / "data"


@dataclasses.dataclass(frozen=True)
class Published:
    """A file of a data set as it is published, and what reads it."""

    dataset: str
    file: str
    """In `../shared/data`; its first folder is the data set's."""
    letters: tuple[bytes, bytes]
    """To change in it: what another release might."""
    other: str = ""
    """Another file of the data set, to be put in its place; '' where there is none."""
    needed: Sequence[str] = ()
    """Files that are read along."""
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    read: Callable[[Any], object] = lambda config: list(read_groups(config))

    def __str__(self) -> str:
        return self.file.removesuffix(".gz")


ENGLISH = {"languages": ["en"]}
IMAGES = "multi30k/task1/image_splits/val.txt.gz"
EXAMS_LINKS = "exams/parallel_questions.jsonl.gz"
PUBLISHED = [
    Published("afriqa", "afriqa/gold_passages.hau.jsonl.gz", (b" the ", b" teh "), "afriqa/gold_passages.ibo.jsonl.gz"),
    Published(
        "afriqa", "afriqa/queries.hau.jsonl.gz", (b" of ", b" fo "), "afriqa/queries.ibo.jsonl.gz",
        fields={"task": "parallel_questions", "languages": ["ha"]},
    ),
    Published(
        "exams", "exams/multilingual.dev.jsonl.gz", (b" je ", b" ej "), "exams/multilingual.train.jsonl.gz",
        [EXAMS_LINKS], {"split": "dev"},
    ),
    Published("exams", EXAMS_LINKS, (b"-54bef", b"-54bed"), needed=["exams/multilingual.dev.jsonl.gz"], fields={"split": "dev"}),
    Published("mintaka", "mintaka/dev.jsonl.gz", (b" the ", b" teh "), fields={"languages": ["en", "de"]}, read=read_collection),
    Published(
        "miracl", "miracl-v1.0/topics.miracl-v1.0-sw-dev.tsv.gz", (b" ya ", b" ay "),
        "miracl-v1.0/topics.miracl-v1.0-yo-dev.tsv.gz", ["miracl-v1.0/qrels.miracl-v1.0-sw-dev.tsv.gz"],
        read=lambda config: read_topics(config, "sw"),
    ),
    Published(
        "miracl", "miracl-v1.0/qrels.miracl-v1.0-sw-dev.tsv.gz", (b"\t1\n", b"\t0\n"),
        "miracl-v1.0/qrels.miracl-v1.0-yo-dev.tsv.gz", ["miracl-v1.0/topics.miracl-v1.0-sw-dev.tsv.gz"],
        read=lambda config: read_topics(config, "sw"),
    ),
    Published(
        "mkqa", "mkqa/dev.en.jsonl.gz", (b" the ", b" teh "), "mkqa/dev.es.jsonl.gz",
        fields={"part": "dev", "task": "answers"} | ENGLISH, read=read_collection,
    ),
    Published("mtop", "mtop/dev.en-de-es-fr.jsonl.gz", (b" the ", b" teh "), fields=ENGLISH, read=read_collection),
    Published(
        "multi30k", "multi30k/task1/val.en.gz", (b" the ", b" teh "), "multi30k/task1/val.de.gz", [IMAGES],
        {"split": "val"} | ENGLISH,
    ),
    Published("multi30k", IMAGES, (b"1.jpg", b"2.jpg"), needed=["multi30k/task1/val.en.gz"], fields={"split": "val"} | ENGLISH),
    Published("ntrex_128", "ntrex-128/eng.txt.gz", (b" the ", b" teh "), "ntrex-128/fra.txt.gz", fields=ENGLISH),
    Published(
        "sib_200", "sib-200/eng_Latn.jsonl.gz", (b" the ", b" teh "), "sib-200/deu_Latn.jsonl.gz",
        ["sib-200/meta.jsonl.gz"], ENGLISH,
    ),
    Published(
        "sib_200", "sib-200/meta.jsonl.gz", (b'"test"', b'"train"'), needed=["sib-200/eng_Latn.jsonl.gz"], fields={"split": "dev"} | ENGLISH
    ),
    Published("tatoeba", "tatoeba/tatoeba-v1.40langs.jsonl.gz", ("侬个".encode(), "侬".encode()), fields={"languages": ["wuu"]}),
    Published(
        "tico_19", "tico-19/fr.jsonl.gz", (b" les ", b" sel "), "tico-19/ar.jsonl.gz", ["tico-19/en.jsonl.gz"],
        {"languages": ["fr"]},
    ),
    Published(
        "tico_19", "tico-19/en.jsonl.gz", (b" the ", b" teh "), needed=["tico-19/fr.jsonl.gz"], fields={"languages": ["fr"]}
    ),
    Published(
        "tydi_qa", "tydiqa-goldp/tydiqa.goldp.ko.dev.json.gz", (b" the ", b" teh "),
        "tydiqa-goldp/tydiqa.goldp.fi.dev.json.gz", fields={"split": "dev"},
    ),
    Published(
        "xflickrco", "xflickrco/test.en.jsonl.gz", (b" the ", b" teh "), "xflickrco/test.de.jsonl.gz",
        fields=ENGLISH, read=read_collection,
    ),
    Published("xquad_r", "xquad-r/en.json.gz", (b" the ", b" teh "), "xquad-r/ar.json.gz", fields=ENGLISH, read=read_collection),
]  # fmt: skip


def test_no_adapter_that_knows_its_files_is_left_out() -> None:
    known = json.loads(Path(checksums.__file__).with_name("checksums.json").read_text(encoding="utf-8"))
    assert {one.dataset for one in PUBLISHED} == set(known)


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets are not in ../shared/data")
@pytest.mark.parametrize("one", PUBLISHED, ids=str)
def test_a_published_file_is_taken_as_it_is_and_in_no_other_form(one: Published, tmp_path: Path) -> None:
    for name in (one.file, *one.needed):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SHARED / name, tmp_path / name)
    file = tmp_path / one.file
    config = parse_dataset({"dataset": one.dataset, "path": tmp_path / one.file.partition("/")[0], **one.fields})
    one.read(config)

    packed = file.read_bytes()
    content = gzip.decompress(packed)
    assert one.letters[0] in content
    lines = content.splitlines(keepends=True)
    # JSON in one piece shows by itself that its end is missing.
    less = b"".join(lines[:-1]) if len(lines) > 2 else content[: len(content) // 2]
    forms = {
        "packed data cut short": (packed[: len(packed) // 2], "cut short"),
        "cut short, then packed": (gzip.compress(less, 1), "cut short|among the English"),
        "another release": (gzip.compress(content.replace(*one.letters, 1), 1), "its content has SHA-256"),
    }
    if one.other:
        renamed = r"its content has SHA-256 \w{12}…, expected \w{12}…: that is the content of .*was the file renamed"
        forms["renamed"] = ((SHARED / one.other).read_bytes(), renamed)
    for form, (damaged, said) in forms.items():
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=said) as error:
            one.read(config)
        assert str(error.value).startswith(f"{file}: "), form
        assert "\n" not in str(error.value)
