"""xquad_r on two hand-written articles in the original form."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from cluster.config import build_config
from cluster.errors import DataError
from retrieval.datasets import read_collection, read_groups
from retrieval.datasets.xquad_r import XquadRConfig, evaluation_ids

FIXTURE = Path(__file__).parent / "fixtures" / "xquad_r"


def xquad_r(**fields: Any) -> XquadRConfig:
    return build_config(XquadRConfig, {"path": FIXTURE, "excerpt": True, **fields})


def answers(config: XquadRConfig) -> dict[tuple[str, str], set[str]]:
    """(query id, language) -> texts of its relevant sentences."""
    collection = read_collection(config)
    found: dict[tuple[str, str], set[str]] = {}
    for query, passage in zip(collection.judged_query, collection.judged_passage, strict=True):
        language = collection.languages[collection.query_language[query]]
        found.setdefault((collection.query_ids[query], language), set()).add(collection.passage_texts[passage])
    return found


def test_relevant_are_the_sentences_in_which_the_answer_starts_in_every_language() -> None:
    found = answers(xquad_r())
    second = {"He moved to New York in 1884.", "1884 zog er nach New York um."}
    assert found["xquad_r/x2", "en"] == found["xquad_r/x2", "de"] == second
    assert found["xquad_r/x4", "de"] == {
        "Newton stated three laws.",
        "Eine Kraft ändert die Bewegung. Newton stellte drei Gesetze auf.",
    }
    assert len(found) == 4 * 2


def test_candidates_are_sentences_in_blocks_by_language_with_their_paragraph_as_context() -> None:
    collection = read_collection(xquad_r())
    assert collection.languages == ("de", "en")
    assert list(collection.language_bounds) == [0, 4, 10]
    row = list(collection.passage_texts).index("Newton stated three laws.")
    assert collection.passage_ids[row] == "xquad_r/Force#000.01@en"
    assert collection.passage_contexts is not None
    assert collection.passage_contexts[row] == "A force changes motion. Newton stated three laws. [citation needed]"


def test_with_one_language_only_its_own_sentences_are_relevant() -> None:
    assert answers(xquad_r(languages=["en"]))["xquad_r/x1", "en"] == {"Tesla was born in Smiljan in 1856."}


def test_training_on_it_is_refused() -> None:
    with pytest.raises(DataError, match="xquad_r: is for evaluation only"):
        read_groups(xquad_r())


def test_evaluation_ids_are_those_of_all_questions() -> None:
    assert evaluation_ids(xquad_r()) == {"x1", "x2", "x3", "x4"}


def test_a_file_that_is_not_the_published_one_is_refused() -> None:
    with pytest.raises(DataError, match=r"en\.json: its content has SHA-256 \w+…, expected 7b0954f39297…: cut short"):
        read_collection(xquad_r(excerpt=False, languages=["en"]))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            '"answer_start": 18',
            '"answer_start": 17',
            "question x1: its answer 'Smiljan' does not stand at character 17",
        ),
        (
            '"sentence_breaks": [[0, 25]]',
            '"sentence_breaks": [[0, 5]]',
            "question x3: its answer starts in 0 sentences",
        ),
        ('[{"answer_start": 24, "text": "Newton"}]', "[]", "question x4 has no answer"),
    ],
)
def test_answers_outside_of_the_sentences_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    folder = tmp_path / "xquad_r"
    shutil.copytree(FIXTURE, folder)
    text = (folder / "en.json").read_text(encoding="utf-8")
    assert old in text
    (folder / "en.json").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(said)):
        read_collection(xquad_r(path=folder))


def test_a_missing_language_or_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="xquad_r: has no language 'th'; it has de, en"):
        read_collection(xquad_r(languages=["en", "th"]))
    with pytest.raises(DataError, match="no such folder"):
        read_collection(xquad_r(path=tmp_path / "gone"))
    with pytest.raises(DataError, match="holds none of XQuAD-R's files"):
        read_collection(xquad_r(path=tmp_path))
