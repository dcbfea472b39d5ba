"""The dictionary of a run: made where a mix asks for it, of training groups alone, and part of those encoders' names."""

import logging
from pathlib import Path
from typing import Any

import pytest
from end_to_end.small_job import job_fields

from cluster.config import build_config
from jobs.code_switching import switchable_languages
from jobs.config import RunConfig, result_deciding_mix
from jobs.stages import Stages
from retrieval.dictionary import read_dictionary
from trainer.feed.stream import BatchMaker
from trainer.mixing.config import MixingConfig
from trainer.mixing.plan import CODE_SWITCHED

SWITCHED = {"mono": 0.5, "code_switched": 0.5}
THAI = ["เมือง", "แม่น้ำ", "ภูเขา", "ขนมปัง", "ไวน์", "บ้าน", "หอคอย", "สวน", "โรงเรียน", "ตลาด"]


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run in four languages, then a fifth: Thai, whose words have no spaces between them."""
    import json

    from distributed.small_run import WORDS

    folder = tmp_path_factory.mktemp("job")
    made = job_fields(folder)
    path = Path(made["data"]["train"][0]["path"])
    to_thai = dict(zip(WORDS["en"], THAI, strict=True))
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        for role in ("q", "p"):
            row[f"{role}_th"] = "".join(to_thai.get(word, f" {word}") for word in row[f"{role}_en"].split())
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    made["data"]["train"][0]["wide"]["th"] = {"query": "q_th", "passage": "p_th"}
    made["arms"] = {"hybrid": {"mono": 0.5, "cross": 0.5}, "switched": SWITCHED}
    return made


def stages(fields: dict[str, Any], **changes: Any) -> Stages:
    return Stages(build_config(RunConfig, fields | changes))


def dictionaries(fields: dict[str, Any]) -> list[Path]:
    return list(Path(fields["root"]).glob("dictionaries/*/COMMIT"))


def test_arms_that_switch_nothing_need_no_dictionary(fields: dict[str, Any]) -> None:
    spec = stages(fields).train_spec("hybrid")
    assert spec.feed.dictionary is None and "dictionary" not in spec.about
    assert not dictionaries(fields)


def test_an_arm_that_switches_gets_batches_in_the_languages_of_its_dictionary(
    fields: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    found = stages(fields)
    with caplog.at_level(logging.WARNING):
        spec = found.train_spec("switched")
        found.train_spec("switched")
    (line,) = [record.getMessage() for record in caplog.records if "code_switched" in record.getMessage()]
    assert line.startswith("code_switched batches leave out th: ")
    assert len(dictionaries(fields)) == 1 and spec.about["dictionary"] == found.dictionary.name
    assert switchable_languages(found.dictionary) == ("de", "en", "es", "id")
    languages = spec.feed.groups.sources[0].languages
    drawn = [batch for step in range(20) if (batch := spec.feed.plan.batch(step)).kind[0] == CODE_SWITCHED]
    assert {languages[batch.query_language[0]] for batch in drawn} == {"de", "en", "es", "id"}
    assert BatchMaker(spec.feed, 0, 1).make(drawn[0].step).local.kinds[0] == "code_switched"


def test_names_of_other_encoders_do_not_know_the_kind(fields: dict[str, Any]) -> None:
    other = fields["mixing"] | {"code_switching": {"share": 0.9}}
    one, two = stages(fields), stages(fields, mixing=other)
    assert one.trained_name("hybrid") == two.trained_name("hybrid")
    assert one.trained_name("switched") != two.trained_name("switched")
    again = stages(fields, revision="abc")
    assert again.dictionary.name != one.dictionary.name and again.dictionary.name in str(
        again.train_spec("switched").about
    )
    plain = {
        "mix": {"mono": "1/2", "cross": "1/2"},
        "batch": 96,
        "positives": 2,
        "sampling": "exact",
        "granularity": "batch",
        "size_exponent": 1.0,
        "window_rows": 16384,
    }
    assert result_deciding_mix(MixingConfig()) == plain, "encoders trained before would be trained again"


def test_evaluation_data_leave_no_trace_in_the_dictionary(fields: dict[str, Any]) -> None:
    """`atlas` is full of words that the training data do not have."""
    atlas = {"dataset": "atlas", "split": "test", "limit": 40, "languages": ["de", "en"]}
    data = fields["data"] | {"evaluation": {"atlas": atlas}, "validation": atlas | {"split": "validation"}}
    one, two = stages(fields), stages(fields, data=data)
    assert one.dictionary.name == two.dictionary.name
    words = set(read_dictionary(two.dictionary.folder).entries["word"].to_pylist())
    assert "bread" in words and not words & {"currency", "language", "währung", "capital"}
