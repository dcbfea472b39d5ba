"""A training run small enough for tests: four languages, a two-layer encoder, everything else as in a real run."""

import dataclasses
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.config import build_config
from cluster.storage import open_store
from retrieval.encoder.config import EncoderConfig
from retrieval.encoder.folder import build_encoder, load_encoder, save_encoder
from retrieval.groups import PreparedGroups, open_groups
from retrieval.prepare import PrepareConfig, prepare
from retrieval.records import collection_from_groups
from trainer.config import TrainingConfig
from trainer.feed.stream import BatchMaker, FeedSpec
from trainer.mixing.config import MixingConfig, SourceShape
from trainer.mixing.plan import Plan
from trainer.worker import TrainSpec

LANGUAGES = ("de", "en", "es", "id")
WORDS = {
    "de": ["Stadt", "Fluss", "Berg", "Brot", "Wein", "Haus", "Turm", "Garten", "Schule", "Markt"],
    "en": ["city", "river", "mountain", "bread", "wine", "house", "tower", "garden", "school", "market"],
    "es": ["ciudad", "río", "montaña", "pan", "vino", "casa", "torre", "jardín", "escuela", "mercado"],
    "id": ["kota", "sungai", "gunung", "roti", "anggur", "rumah", "menara", "taman", "sekolah", "pasar"],
}


def write_pairs(path: Path, number: int, seed: int = 0) -> None:
    """Parallel pairs as JSONL: a query names some things, its passage the same things among others."""
    import json

    draw = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for row in range(number):
            things = [draw.randrange(10) for _ in range(6)]
            fields: dict[str, Any] = {"key": f"{row}", "doc": f"doc{row // 2}-{seed}"}
            for language, words in WORDS.items():
                names = [words[thing] for thing in things]
                fields[f"q_{language}"] = f"{' '.join(names[:3])} {row}?"
                fields[f"p_{language}"] = f"{' '.join(names)} {row // 2 * 2 + row % 2}."
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")


def pairs_fields(path: Path, **more: Any) -> dict[str, Any]:
    """The data-set configuration that reads `write_pairs`' file."""
    columns = {language: {"query": f"q_{language}", "passage": f"p_{language}"} for language in LANGUAGES}
    return {"dataset": "generic", "path": str(path), "id": "key", "wide": columns} | more


def small_groups(root: Path, number: int = 300) -> PreparedGroups:
    """Prepared groups below a root."""
    path = root / "pairs.jsonl"
    write_pairs(path, number)
    fields = {"sources": [pairs_fields(path)], "min_groups": 8, "row_group_rows": 32}
    return open_groups(prepare(build_config(PrepareConfig, fields), open_store(root)))


def small_plan(groups: PreparedGroups, mix: Any, batch: int = 16, seed: int = 0, **options: Any) -> Plan:
    """A plan over prepared groups."""
    shapes = tuple(SourceShape(s.name, s.languages, s.num_groups, s.row_group_rows) for s in groups.sources)
    return Plan(build_config(MixingConfig, {"mix": mix, "batch": batch, **options}), shapes, seed)


def small_spec(
    root: Path,
    steps: int,
    workers: int = 1,
    dropout: float = 0.1,
    batch: int = 16,
    fresh: Mapping[str, Any] | None = None,
    **training: Any,
) -> TrainSpec:
    """A whole training run below a root; the same root always gives the same run.

    Args:
        fresh: sizes of the encoder that differ from the usual ones.
        training: fields of TrainingConfig.
    """
    groups = small_groups(root)
    usual = {"layers": 2, "hidden": 32, "heads": 2, "intermediate": 64, "vocabulary": 300, "dropout": dropout}
    encoder_config = build_config(EncoderConfig, {"fresh": usual | dict(fresh or {})})
    texts = [text for g in groups.iter_groups() for pair in g.pairs.values() for text in (pair.query, pair.passage)]
    encoder, tokens = build_encoder(encoder_config, texts)
    start = root / "start"
    save_encoder(start, encoder, tokens)
    fields = {
        "steps": steps,
        "workers": workers,
        "threads_per_worker": 1,
        "engine": {"learning_rate": 3e-3, "zero_stage": 1},
        "checkpoint": {"every": 20},
        "validation": {"every": 50},
    }
    config = build_config(TrainingConfig, fields | training)
    mix = {"mono": "1/3", "cross": "1/3", "multi": "1/3"}
    chosen = [group for group, _ in zip(groups.iter_groups(), range(30), strict=False)]
    return TrainSpec(
        root=str(root),
        name="encoders/small",
        prefix="training/small",
        fingerprint="small",
        seed=5,
        encoder_folder=start,
        feed=FeedSpec(small_plan(groups, mix, batch), groups, tokens, config.feed, steps),
        training=config,
        validation=collection_from_groups("validation", chosen, LANGUAGES),
        about={"stage": "test"},
    )


def with_training(spec: TrainSpec, **changes: Any) -> TrainSpec:
    """The same run with other settings of where and how fast it runs."""
    return dataclasses.replace(spec, training=spec.training.model_copy(update=changes))


def plain_losses(spec: TrainSpec, steps: int | None = None) -> list[float]:
    """The run's first steps, or all, in plain steps: one process, no Ray, every batch made on the spot."""
    from trainer.engine import Engine
    from trainer.ranks import process_group
    from trainer.schedule import learning_rate

    encoder, tokens = load_encoder(spec.encoder_folder)
    maker, training = BatchMaker(spec.feed, rank=0, world_size=1), spec.training
    peak, found = training.engine.learning_rate, []
    with process_group():
        engine = Engine(encoder, tokens.pad_id, training.engine, training.loss, seed=spec.seed)
        for step in range(steps or training.steps):
            rate = learning_rate(step, training.steps, peak, training.schedule)
            found.append(engine.train_step(maker.make(step).local, rate).loss)
        engine.close()
    return found
