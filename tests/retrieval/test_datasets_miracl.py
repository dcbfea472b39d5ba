"""miracl: a few topics, judgements and passages in the original form, and the real dev topics and judgements."""

import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from cluster.config import build_config
from cluster.errors import DataError
from retrieval.datasets import content_fingerprints, read_collection, read_groups, require_inputs
from retrieval.datasets.miracl import PUBLISHED, MiraclConfig, read_topics
from retrieval.preparation.keys import text_key
from retrieval.preparation.leakage import protect
from retrieval.records import Collection

SHARED = Path(__file__).parents[3] / "shared" / "data" / "miracl-v1.0"
TOPICS = {"sw": {"1": "Nani?", "7": "Wapi?"}, "yo": {"1": "Ta ni?"}}
QRELS = {
    "sw": ["1 Q0 10#0 1", "1 Q0 10#1 0", "1 Q0 11#2 1", "7\tQ0\t11#2\t0", "7\tQ0\t10#1\t1"],
    "yo": ["1 Q0 10#0 1"],
}
PASSAGES = {"sw": [["10#0", "10#1"], ["11#2", "12#0"]], "yo": [["10#0"]]}


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


@pytest.fixture(params=["published", "side by side"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_miracl(tmp_path, "dev", published=request.param == "published")


def write_miracl(folder: Path, split: str, published: bool = True) -> Path:
    for language in TOPICS:
        places = [folder / f"miracl-v1.0-{language}" / kind if published else folder for kind in ("topics", "qrels")]
        ending = "tsv" if published else "tsv.gz"
        topics = [f"{id}\t{text}" for id, text in TOPICS[language].items()]
        write(places[0] / f"topics.miracl-v1.0-{language}-{split}.{ending}", topics)
        write(places[1] / f"qrels.miracl-v1.0-{language}-{split}.{ending}", QRELS[language])
        for number, ids in enumerate(PASSAGES[language]):
            lines = [json.dumps({"docid": id, "title": f"Title {id}", "text": f"in {language}"}) for id in ids]
            write(folder / f"miracl-corpus-v1.0-{language}" / f"docs-{number}.jsonl.gz", lines)
    return folder


def miracl(path: Path, **fields: Any) -> MiraclConfig:
    return build_config(MiraclConfig, {"path": path, "excerpt": True, **fields})


def relevant(collection: Collection) -> set[tuple[str, str]]:
    return {
        (collection.query_ids[query], collection.passage_ids[passage])
        for query, passage in zip(collection.judged_query, collection.judged_passage, strict=True)
    }


def test_topics_search_the_passages_and_only_relevant_ones_are_judged(folder: Path) -> None:
    require_inputs(miracl(folder))
    assert len(content_fingerprints(miracl(folder))) == 2 + 2 + 3
    collection = read_collection(miracl(folder))
    assert (collection.name, collection.languages) == ("miracl-dev", ("sw", "yo"))
    assert list(collection.passage_ids) == [f"miracl/{id}@sw" for ids in PASSAGES["sw"] for id in ids] + [
        "miracl/10#0@yo"
    ]
    assert collection.passage_texts[0] == "Title 10#0 in sw"
    assert relevant(collection) == {
        ("miracl/sw-1", "miracl/10#0@sw"),
        ("miracl/sw-1", "miracl/11#2@sw"),
        ("miracl/sw-7", "miracl/10#1@sw"),
        ("miracl/yo-1", "miracl/10#0@yo"),
    }


def test_candidates_can_be_the_judged_passages_only(folder: Path) -> None:
    collection = read_collection(miracl(folder, candidates="judged", languages=["sw"]))
    assert collection.name == "miracl-dev-judged"
    assert list(collection.passage_ids) == ["miracl/10#0@sw", "miracl/10#1@sw", "miracl/11#2@sw"]
    assert len(relevant(collection)) == 3


def test_training_may_not_hold_topics_or_judged_passages_of_the_languages_evaluated(folder: Path) -> None:
    shutil.rmtree(folder / "miracl-corpus-v1.0-yo")  # not evaluated, so not needed
    protected = protect(miracl(folder, languages=["sw"]))
    assert protected.ids == {"sw-1", "sw-7"}
    # 12#0 is not judged: it is a page of Wikipedia like any other, which training topics search, too.
    assert protected.passages == {text_key(f"Title {id} in sw") for id in ("10#0", "10#1", "11#2")}


def test_training_groups_have_the_irrelevant_passages_as_negatives(tmp_path: Path) -> None:
    config = miracl(write_miracl(tmp_path, "train"), split="train")
    groups = {group.id: group for group in read_groups(config)}
    assert list(groups) == ["miracl/sw-1", "miracl/sw-1#2", "miracl/sw-7", "miracl/yo-1"]
    second = groups["miracl/sw-1#2"]
    assert second.passage_id == "miracl/11#2@sw"
    assert second.pairs["sw"].passage == "Title 11#2\nin sw"
    assert second.pairs["sw"].negatives == ("Title 10#1\nin sw",)
    with pytest.raises(DataError, match="miracl: the dev split is for evaluation only"):
        read_groups(miracl(tmp_path))


@pytest.mark.parametrize(
    ("kind", "lines", "said"),
    [
        ("qrels", ["9 Q0 10#0 1"], "line 1: judges topic '9', which topics.miracl-v1.0-sw-dev.tsv has not"),
        ("qrels", ["1 Q0 10#0 yes"], "line 1: its grade is 'yes', expected 0 or 1"),
        ("qrels", ["1 Q0 10#0 1", "1 Q0 10#0 0"], "line 2: topic '1' judges passage '10#0' a second time"),
        ("qrels", ["1 Q0 10#0"], "line 1: 3 columns, expected 4: topic, q0, passage, grade"),
        ("qrels", ["1 Q0 99#0 1"], "judges passage miracl/99#0@sw, which is not there"),
        ("topics", ["1\tNani?", "1\tWapi?"], "line 2: topic '1' stands twice"),
    ],
)
def test_files_of_another_form_are_refused(tmp_path: Path, kind: str, lines: list[str], said: str) -> None:
    folder = write_miracl(tmp_path, "dev")
    write(folder / "miracl-v1.0-sw" / kind / f"{kind}.miracl-v1.0-sw-dev.tsv", lines)
    with pytest.raises(DataError, match=re.escape(said)):
        read_collection(miracl(folder))


def test_missing_shards_and_passages_are_refused(tmp_path: Path) -> None:
    folder = write_miracl(tmp_path, "train")
    corpus = folder / "miracl-corpus-v1.0-sw"
    (corpus / "docs-1.jsonl.gz").rename(corpus / "docs-2.jsonl.gz")
    with pytest.raises(DataError, match=r"miracl-corpus-v1\.0-sw: has no docs-1\.jsonl\.gz; fetch it from hugging"):
        read_collection(miracl(folder, split="train"))
    (corpus / "docs-2.jsonl.gz").unlink()
    with pytest.raises(DataError, match=r"has no passage '11#2', but it is judged"):
        list(read_groups(miracl(folder, split="train")))
    (corpus / "docs-0.jsonl.gz").unlink()
    corpus.rmdir()
    with pytest.raises(DataError, match="no such folder; the passages of 'sw' come from huggingface"):
        read_collection(miracl(folder, split="train"))
    with pytest.raises(DataError, match="holds no topics of dev, such as topics"):
        read_collection(miracl(folder))


def test_files_that_are_not_the_published_ones_are_refused(tmp_path: Path) -> None:
    folder = write_miracl(tmp_path, "dev")
    with pytest.raises(
        DataError, match=r"topics\S+-sw-dev\.tsv: its content has SHA-256 \w+…, expected \w+…: cut short, changed"
    ):
        read_collection(miracl(folder, excerpt=False, languages=["sw"]))
    train = write_miracl(tmp_path / "train", "train")
    with pytest.raises(DataError, match=r"topics\S+-sw-train\.tsv: holds 2 topics, expected 1901: incomplete"):
        read_collection(miracl(train, split="train", excerpt=False, languages=["sw"]))


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets are not in ../shared/data")
class TestSharedData:
    def test_dev_topics_and_judgements_of_18_languages_are_those_published(self) -> None:
        config = build_config(MiraclConfig, {"path": SHARED})
        for language, published in PUBLISHED.items():
            topics = read_topics(config, language)
            assert len(topics.questions) == published.dev_topics
            assert sum(map(len, topics.judgements.values())) == published.dev_judgements
            assert all(any(grades.values()) for grades in topics.judgements.values()), language
