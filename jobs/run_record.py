"""A finished run's stages -> the record that its result set carries."""

from datetime import UTC, datetime
from typing import Any

from cluster.documents import parse_json
from jobs.records import ArmRecord, RunRecord
from jobs.stages import BM25, UNTRAINED, Stages


def run_record(stages: Stages) -> dict[str, Any]:
    """The record of a run whose stages are done, as plain values."""
    config = stages.config
    record = RunRecord(
        name="",
        title=config.name,
        finished=datetime.now(UTC).replace(microsecond=0),
        revision=config.revision,
        collections={name: stages.collection_fingerprint(name) for name in config.data.evaluation},
        arms=tuple(_arm(stages, retriever) for retriever in stages.retrievers()),
    )
    return record.model_dump(mode="json")


def _arm(stages: Stages, retriever: str) -> ArmRecord:
    evaluations = {name: stages.evaluation(retriever, name) for name in stages.config.data.evaluation}
    return ArmRecord(
        name=retriever,
        role="baseline" if retriever in (BM25, UNTRAINED) else "trained",
        encoder=None if retriever == BM25 else stages.encoder(retriever).name,
        evaluations={name: evaluation.name for name, evaluation in evaluations.items()},
        figures={
            name: headline_figures(parse_json(evaluation.path("summary.json").read_text(encoding="utf-8")))
            for name, evaluation in evaluations.items()
        },
    )


def headline_figures(summary: dict[str, Any]) -> dict[str, Any]:
    """Setting -> measure -> estimate: what one wants to see of an evaluation at a glance."""
    from retrieval.report.measures import HEADLINE, RANK_DISTANCE

    shown = [measure.key for measure in HEADLINE]
    figures = {
        setting: {measure: values[measure] for measure in shown if measure in values}
        for setting, values in summary["settings"].items()
    }
    distance = summary["bias"].get(RANK_DISTANCE.key) or {}
    if distance.get("mean") is not None:
        figures["bias"] = {RANK_DISTANCE.key: distance}
    return figures
