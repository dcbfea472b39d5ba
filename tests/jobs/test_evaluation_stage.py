"""Evaluations of a run without training: streamed, perturbed, timed; found again, and named as before."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from distributed.small_run import WORDS
from end_to_end.small_job import job_fields

from cluster.config import build_config, with_overrides
from cluster.errors import ConfigError
from cluster.storage import write_result_set
from jobs import encoding
from jobs.config import RunConfig
from jobs.encoding import read_collection_vectors
from jobs.run import report, report_arms, run
from jobs.stages import Stages
from retrieval.dictionary import WORD, read_dictionary
from retrieval.encode import encode_texts
from retrieval.encoder.folder import load_encoder
from retrieval.evaluate import evaluate_vectors, read_evaluation
from retrieval.perturb.names import PerturbationName
from retrieval.report import write_report
from trainer.worker import ENCODER_FOLDER

PERTURBED = "evaluation.perturbations=[typing_noise, code_switching, lower_case]"
TIMED = "evaluation.throughput=true"
ARM = "arms={hybrid: {mono: 0.5, cross: 0.5}}"


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run whose only arm is the encoder it starts from, as if training had changed nothing."""
    fields = job_fields(tmp_path_factory.mktemp("job"))
    stages = stages_of(fields)
    about = {"stage": "train", "steps": 0, "chosen_step": 0, "groups": stages.groups.name, "seed": 0}
    with write_result_set(stages.store, stages.trained_name("hybrid"), about) as folder:
        shutil.copytree(stages.start.folder / ENCODER_FOLDER, folder / ENCODER_FOLDER)
        (folder / "telemetry.jsonl").write_text("", encoding="utf-8")
        (folder / "ledger.json").write_text(json.dumps({"steps": 0, "batch": 16, "kinds": {}}), encoding="utf-8")
    return fields


def stages_of(fields: dict[str, Any], *overrides: str) -> Stages:
    return Stages(build_config(RunConfig, with_overrides(fields, [ARM, *overrides])))


@pytest.fixture(scope="module")
def judged(fields: dict[str, Any]) -> Stages:
    """A run with everything that is evaluated and measured."""
    stages = stages_of(fields, PERTURBED, TIMED)
    for retriever in stages.retrievers():
        stages.judging.judged(retriever, "test")
    return stages


def test_what_is_written_as_it_comes_is_what_the_vectors_give(judged: Stages) -> None:
    written = read_evaluation(judged.evaluation("hybrid", "test").folder)
    vectors = read_collection_vectors(judged.vectors("hybrid", "test").folder)
    expected = evaluate_vectors(judged.collection("test"), *vectors)
    assert written.per_query.equals(expected.per_query)
    assert json.dumps(written.summary) == json.dumps(expected.summary)


def test_encoders_with_one_tokenizer_tokenise_a_collection_once(judged: Stages) -> None:
    vectors = {arm: judged.vectors(arm, "test") for arm in ("hybrid", "untrained")}
    assert len({found.about["tokens"] for found in vectors.values()}) == 1
    collection = judged.collection("test")
    names = np.array(collection.languages)
    encoder, tokens = load_encoder(judged.encoder("hybrid").folder / ENCODER_FOLDER)
    queries, passages = read_collection_vectors(vectors["hybrid"].folder)
    for found, texts, role, language in (
        (queries, collection.query_texts, "query", collection.query_language),
        (passages, collection.passage_texts, "passage", collection.passage_language),
    ):
        np.testing.assert_array_equal(found, encode_texts(encoder, tokens, texts, role, names[language].tolist()))


def test_more_to_evaluate_changes_no_name_of_what_is_there(fields: dict[str, Any], judged: Stages) -> None:
    plain = stages_of(fields)
    for retriever in plain.retrievers():
        assert plain.evaluation_name(retriever, "test") == judged.evaluation_name(retriever, "test")
    names = [one.name for one in judged.judging.judged("hybrid", "test")]
    assert len(set(names)) == 1 + 3 + 1 and names[0] == plain.evaluation_name("hybrid", "test")
    assert [name.partition("/")[0] for name in names] == ["evaluations"] * 4 + ["throughput"]
    assert names[:4] == [one.name for one in stages_of(fields, PERTURBED).judging.judged("hybrid", "test")]
    assert plain.judging.judged("hybrid", "test")[0].files == judged.evaluation("hybrid", "test").files


@pytest.mark.parametrize("perturbation", ["typing_noise", "code_switching"])
def test_perturbed_queries_search_the_same_passages(judged: Stages, perturbation: PerturbationName) -> None:
    """The other way: encode every query as it stands in the file, passages too, and evaluate that in memory."""
    found = judged.judging.perturbed("hybrid", "test")[perturbation]
    collection = judged.collection("test")
    asked = pq.read_table(found.path("perturbed_queries.parquet"))
    assert asked["query_id"].to_pylist() == list(collection.query_ids)
    texts = asked["text"].to_pylist()
    assert [new != old for new, old in zip(texts, collection.query_texts, strict=True)] == asked["changed"].to_pylist()
    assert any(asked["changed"].to_pylist())
    encoder, tokens = load_encoder(judged.encoder("hybrid").folder / ENCODER_FOLDER)
    vectors = (
        encode_texts(encoder, tokens, texts, "query"),
        encode_texts(encoder, tokens, collection.passage_texts, "passage"),
    )
    expected = evaluate_vectors(collection, *vectors).per_query
    for column in ("mAP", "R@1", "nDCG@10"):
        written = read_evaluation(found.folder).per_query[column].to_numpy()
        np.testing.assert_allclose(written, expected[column].to_numpy(), atol=1e-6)
    drops = pq.read_table(found.path("robustness.parquet")).to_pylist()
    (overall,) = [
        row for row in drops if (row["setting"], row["query_language"], row["measure"]) == ("mono", "*", "mAP")
    ]
    assert overall["num_changed"] == sum(asked["changed"].to_pylist())
    assert overall["relative_drop"] == pytest.approx(1 - overall["perturbed"] / overall["clean"])


def test_only_queries_that_changed_are_encoded_again(
    fields: dict[str, Any], judged: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[tuple[str, int]] = []

    def spy(model: Any, tokens: Any, texts: Any, role: Any, languages: Any, **options: Any) -> np.ndarray:
        encoded.append((role, len(texts)))
        return encode_texts(model, tokens, texts, role, languages, **options)

    monkeypatch.setattr(encoding, "encode_texts", spy)
    stages = stages_of(fields, "evaluation.perturbations=[no_diacritics]")
    found = stages.judging.perturbed("untrained", "test")["no_diacritics"]
    changed = pq.read_table(found.path("perturbed_queries.parquet"))["changed"].to_pylist()
    assert 0 < sum(changed) < len(changed)  # río, jardín
    assert encoded == [("query", sum(changed))]


def test_an_index_gives_what_the_best_passages_tell(fields: dict[str, Any], judged: Stages) -> None:
    stages = stages_of(fields, "evaluation.engine=faiss", "evaluation.perturbations=[lower_case]")
    assert stages.evaluation_name("BM25", "test") == judged.evaluation_name("BM25", "test")
    assert stages.evaluation_name("hybrid", "test") != judged.evaluation_name("hybrid", "test")
    found = read_evaluation(stages.judging.evaluation("hybrid", "test").folder)
    expected = read_evaluation(judged.evaluation("hybrid", "test").folder)
    names = [name for name in found.per_query.column_names if name in expected.per_query.column_names]
    assert set(expected.per_query.column_names) - set(names) == {"mAP", "MRR"} and found.summary["depth"] == 100
    for name in names:  # scores are rounded otherwise, so a rank may differ by one now and then
        same = [
            a == b for a, b in zip(found.per_query[name].to_pylist(), expected.per_query[name].to_pylist(), strict=True)
        ]
        assert np.mean(same) > 0.98, name
    drops = pq.read_table(stages.judging.perturbed("hybrid", "test")["lower_case"].path("robustness.parquet"))
    assert set(drops["measure"].to_pylist()) == {"R@1", "nDCG@10"}
    other = stages_of(fields, "evaluation.engine=faiss", "index.kind=sq8")
    assert other.evaluation_name("hybrid", "test") != stages.evaluation_name("hybrid", "test")
    spread = stages_of(fields, "evaluation.engine=faiss", "search.shards=3")
    assert spread.evaluation_name("hybrid", "test") == stages.evaluation_name("hybrid", "test")
    for needs_all in (lambda: run(stages.config), lambda: report(stages)):
        with pytest.raises(ConfigError, match="evaluation.engine: faiss leaves out mAP and rank distance"):
            needs_all()


def test_words_are_switched_by_training_groups_alone(judged: Stages) -> None:
    dictionary = read_dictionary(judged.dictionary.folder)
    assert judged.dictionary.about["groups"] == judged.groups.name
    assert dictionary.translation("house", "en", "de") == "Haus"
    known = {word.lower() for words in WORDS.values() for word in words}
    asked = pq.read_table(judged.judging.perturbed("BM25", "test")["code_switching"].path("perturbed_queries.parquet"))
    for text in asked["text"].to_pylist():
        assert {word.lower() for word in WORD.findall(text)} <= known


def test_speed_is_measured_once_and_of_trained_encoders(judged: Stages) -> None:
    speed = judged.judging.throughput("hybrid", "test")
    assert speed is not None
    figures = json.loads(speed.path("throughput.json").read_text(encoding="utf-8"))
    assert figures["queries"] == figures["passages"] == 120 and figures["queries_per_second"] > 0
    assert list(figures["latency_ms"]) == ["encode", "search", "both"]
    assert all(list(found) == ["p50", "p95", "p99"] for found in figures["latency_ms"].values())
    assert judged.judging.throughput("BM25", "test") is judged.judging.throughput("untrained", "test") is None


def test_the_report_shows_all_of_it(judged: Stages, tmp_path: Path) -> None:
    files = write_report(tmp_path, "a run", {}, report_arms(judged))
    summary = files.summary.read_text(encoding="utf-8")
    assert "### Queries in other words" in summary and "### Speed" in summary
    assert "| BM25 |" in summary.partition("Typing noise:")[2].partition("### ")[0]
    with (tmp_path / "tables" / "perturbations.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["arm"] for row in rows} == {"hybrid", "BM25", "untrained"}
    assert {row["perturbation"] for row in rows} == {"typing_noise", "code_switching", "lower_case"}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "evaluation.perturbations=[typos]",
            "evaluation.perturbations.0: .*'typing_noise', 'no_diacritics', .*'typos'",
        ),
        ("evaluation.perturbations=[lower_case, lower_case]", "evaluation.perturbations: names one twice"),
        ("evaluation.throughput=fast", "evaluation.throughput: "),
    ],
)
def test_mistakes_are_named(fields: dict[str, Any], override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        stages_of(fields, override)
