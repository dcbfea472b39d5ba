"""The configuration of a run: one YAML file from data to report. Light to import; validated before anything starts."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from cluster.config import Config, to_plain
from cluster.ray_runtime import RayConfig
from cluster.storage.storage_config import StorageConfig
from retrieval.datasets import AnyDataset
from retrieval.encoder.config import EncoderConfig
from retrieval.index.config import IndexConfig, ServiceConfig
from retrieval.languages import Languages
from retrieval.mining.config import MiningConfig
from retrieval.perturb.names import PerturbationName
from trainer.config import TrainingConfig
from trainer.mixing.config import MixingConfig
from trainer.mixing.ratios import Mix

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


def _plain_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("names are up to 64 letters, digits and . _ + - and begin with a letter or digit")
    return name


Name = Annotated[str, AfterValidator(_plain_name)]


class DataConfig(Config):
    """What is trained on, selected with and judged by."""

    train: tuple[AnyDataset, ...] = ()
    """Data sets to train on. Only `prepare` goes without any: it then counts what there is to evaluate on."""
    validation: AnyDataset | None = None
    """Data set whose groups select the encoder while it trains; None trains to the end and keeps the last weights."""
    evaluation: dict[Name, AnyDataset] = Field(default={})
    """Name -> data set to evaluate on. Their ids and passages are refused in training (leakage)."""
    languages: Languages | None = None
    """Languages to train on; None = all that the data sets have."""
    on_leak: Literal["refuse", "drop"] = "refuse"
    """What happens to training groups that the validation or evaluation data hold too."""
    min_groups: int = Field(default=256, ge=1)
    """Language coverages with fewer groups are merged into smaller coverages."""
    max_groups: int | None = Field(default=None, ge=1, exclude_if=lambda limit: limit is None)
    """Train on this many groups only: always the same ones, and all of those that a smaller limit takes."""
    row_group_rows: int = Field(default=256, ge=1)
    """Groups of one Parquet row group: the unit of reading."""

    @property
    def all_data_sets(self) -> tuple[Config, ...]:
        """Every data set, whatever for."""
        return (*self.train, *([self.validation] if self.validation else []), *self.evaluation.values())


class EvaluationConfig(Config):
    """How encoders are judged."""

    engine: Literal["exact", "faiss"] = Field(default="exact", exclude_if=lambda engine: engine == "exact")
    """`exact` ranks all passages and takes every measure. `faiss` searches the index of `index` and `search`, for what
    is too large for that, and takes what the best `depth` passages tell; only `mixlingual evaluate` does."""
    depth: int = Field(default=100, ge=100, le=9_999, exclude_if=lambda depth: depth == 100)
    """Passages that `faiss` looks for in each pool."""
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", exclude_if=lambda device: device == "auto")
    """Where `exact` counts ranks: `auto` takes a GPU where there is one that has room for the passages' vectors."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of encoding; bf16 is faster and changes ranks a little."""
    max_tokens_per_batch: int = Field(default=16384, ge=64)
    """Padded tokens that are encoded at once."""
    baselines: tuple[Literal["bm25", "untrained"], ...] = ("bm25", "untrained")
    """What stands beside the trained encoders: BM25, and the encoder as it was before training."""
    perturbations: tuple[PerturbationName, ...] = ()
    """Ways in which queries are worded otherwise, to be evaluated too (docs/measures.md)."""
    throughput: bool = False
    """Measure how fast each trained encoder is on this machine; no other result depends on it."""

    @field_validator("baselines", "perturbations")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"names one twice: {', '.join(names)}; keep one of each")
        return names


class EncodingConfig(Config):
    """How many processes turn texts into vectors; the vectors are the same, up to rounding."""

    workers: int = Field(default=0, ge=0)
    """Processes of the Ray cluster that encode what is large; with 0 this process encodes everything."""
    min_rows: int = Field(default=100_000, ge=0)
    """Texts from which on something is large; less is encoded in this process."""
    shard_rows: int = Field(default=32_768, ge=1)
    """Texts of a shard: what is encoded again at most when a process is killed."""
    threads: int = Field(default=1, ge=1)
    """Threads (and logical CPUs) of one process."""
    gpus: float = Field(default=0, ge=0)
    """GPUs of one process; 0 encodes on the CPU."""

    def spreads(self, rows: int) -> bool:
        """Whether so many texts are encoded over the cluster."""
        return self.workers > 0 and rows >= self.min_rows


class RunMiningConfig(MiningConfig):
    """Hard negatives for the training groups, by an encoder that was trained without any."""

    arm: str
    """Whose encoder mines; it is trained first, on the groups as they are. `untrained` takes the one to start from."""


class RunConfig(Config):
    """A whole run: prepare, train one encoder per arm, evaluate, report."""

    name: Name
    """Title of the run and of its report."""
    seed: int = Field(default=0, ge=0)
    """Of data order, languages and dropout. (The initial weights have `encoder.fresh.seed`.)"""
    root: str = Field(default="mixlingual-root", min_length=1)
    """Folder or URI that everything is kept under; `--root` overrides it."""
    revision: str = Field(default="", max_length=200)
    """Of the code, or of anything else that decides results and that no fingerprint sees: with another one, encoders
    and evaluations are made anew. `mixlingual nightly` fills it in."""
    storage: StorageConfig = StorageConfig()
    """How an `s3:` root is spoken to."""
    data: DataConfig
    encoder: EncoderConfig
    mixing: MixingConfig = MixingConfig()
    """Batches; `mixing.mix` is used where there are no arms."""
    arms: dict[Name, Mix] = Field(default={})
    """Name -> mix: each is trained from the same start on the same groups. Empty = one arm with `mixing.mix`."""
    training: TrainingConfig = TrainingConfig()
    mining: RunMiningConfig | None = Field(default=None, exclude_if=lambda mining: mining is None)
    """Train with mined negatives, `training.feed.hard_negatives` of them per query."""
    evaluation: EvaluationConfig = EvaluationConfig()
    encoding: EncodingConfig = EncodingConfig()
    """How collections and mined passages are encoded."""
    index: IndexConfig = IndexConfig()
    """How `mixlingual index` arranges the passages of a collection."""
    search: ServiceConfig = ServiceConfig()
    """How it spreads and asks them."""
    ray: RayConfig = RayConfig()

    @model_validator(mode="after")
    def _fits_together(self) -> "RunConfig":
        taken = {"BM25", "untrained"} & self.arms.keys()
        if taken:
            raise ValueError(f"arms: '{min(taken)}' is the name of a baseline; call the arm something else")
        if self.mining is not None:
            if self.mining.arm not in (*self.all_arms, "untrained"):
                known = ", ".join([*self.all_arms, "untrained"])
                raise ValueError(f"mining.arm: there is no '{self.mining.arm}'; there are {known}")
            if not self.training.feed.hard_negatives:
                raise ValueError("mining: training.feed.hard_negatives is 0, so no negative would be used; set it")
        return self

    @property
    def all_arms(self) -> Mapping[str, MixingConfig]:
        """Name -> mixing of every encoder to train."""
        if not self.arms:
            return {"mix": self.mixing}
        return {name: self.mixing.model_copy(update={"mix": mix}) for name, mix in self.arms.items()}


_NOT_IN_A_RUN = ("root", "storage", "encoding", "index", "search", "ray")
"""Where things are kept, and what `run` does not read."""


def plain_config(config: RunConfig) -> dict[str, Any]:
    """The configuration as it is stored with a run's results."""
    return {name: value for name, value in to_plain(config).items() if name not in _NOT_IN_A_RUN}


NOT_IN_A_RESULT = {
    "training": (
        "workers",
        "min_workers",
        "resize_seconds",
        "cpus_per_worker",
        "gpus_per_worker",
        "threads_per_worker",
        "max_failures",
    ),
    "feed": ("steps_per_task", "prefetch", "token_cache", "cpus"),
    "engine": ("zero_stage", "gradient_caching"),
}
"""Settings of where and how fast, which leave the result as it is (up to the rounding of sums)."""


def result_deciding(training: TrainingConfig) -> dict[str, Any]:
    """The training fields that decide its result."""
    plain = to_plain(training)
    fields = {name: value for name, value in plain.items() if name not in (*NOT_IN_A_RESULT["training"], "checkpoint")}
    for part in ("feed", "engine"):
        fields[part] = {name: value for name, value in fields[part].items() if name not in NOT_IN_A_RESULT[part]}
    return fields


def result_deciding_mix(mixing: MixingConfig) -> dict[str, Any]:
    """The mixing fields that decide what is trained on: how texts are switched only where any are."""
    plain = to_plain(mixing)
    if not mixing.uses("code_switched"):
        plain.pop("code_switching")
    return plain
