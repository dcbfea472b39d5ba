"""What can be set of an index; light to import."""

from typing import Literal, Self

from pydantic import Field, model_validator

from cluster.config import Config

Kind = Literal["flat", "fp16", "sq8", "ivf", "ivfpq", "ivfopq", "hnsw", "cagra"]


class IndexConfig(Config):
    """How vectors are indexed. Scores are inner products (cosines, since our vectors have length 1)."""

    kind: Kind = "flat"
    """flat: exact. fp16, sq8: all rows, in 2 bytes or 1 byte per number. ivf: the nearest of `lists` clusters, exact
    numbers. ivfpq: the same with product quantisation; ivfopq: after a rotation that is learnt for it (better, slow to
    learn). hnsw: a graph of neighbours; cagra: one that is built on a GPU, where FAISS can, and else as hnsw is."""
    factory: str | None = None
    """Any other FAISS index by its factory string (`OPQ32,IVF4096,PQ32`), instead of `kind`."""
    lists: int = Field(default=4096, ge=1)
    """Clusters of the ivf kinds; about 4 to 16 times the square root of the rows."""
    probes: int = Field(default=32, ge=1)
    """Clusters that a query looks into."""
    code_bytes: int = Field(default=32, ge=1)
    """Bytes per vector of ivfpq and ivfopq; must divide the dimensions (ivfopq brings them down to a multiple)."""
    neighbours: int = Field(default=32, ge=2)
    """Neighbours per node of hnsw."""
    build_width: int = Field(default=80, ge=1)
    """Candidates that hnsw looks at for each row it adds."""
    search_width: int = Field(default=128, ge=1)
    """Candidates that hnsw keeps while it searches (at least k)."""
    training_rows: int = Field(default=262_144, ge=1)
    """Rows that clusters and codes are learnt from, drawn once for all shards."""
    refine: int = Field(default=0, ge=0)
    """Take the best k x refine by the index and order them by their exact scores; 0 = take the index's word."""
    seed: int = Field(default=0, ge=0)
    """Of the draw of training rows."""

    @model_validator(mode="after")
    def _probes_within_lists(self) -> Self:
        if self.kind.startswith("ivf") and not self.factory and self.probes > self.lists:
            raise ValueError(f"probes {self.probes} exceed lists {self.lists}; a query can look into each list once")
        return self

    @property
    def exact(self) -> bool:
        """Whether answers are exact, and so the same for any number of shards."""
        return self.kind == "flat" and not self.factory

    def factory_string(self, dimension: int) -> str:
        """What FAISS makes the index from."""
        if self.factory:
            return self.factory
        rotated = dimension - dimension % self.code_bytes
        return {
            "flat": "Flat",
            "fp16": "SQfp16",
            "sq8": "SQ8",
            "ivf": f"IVF{self.lists},Flat",
            "ivfpq": f"IVF{self.lists},PQ{self.code_bytes}",
            "ivfopq": f"OPQ{self.code_bytes}_{rotated},IVF{self.lists},PQ{self.code_bytes}",
            "hnsw": f"HNSW{self.neighbours},Flat",
            "cagra": f"HNSW{self.neighbours},Flat",  # what it is without a GPU
        }[self.kind]


class ServiceConfig(Config):
    """How an index is spread and asked."""

    shards: int = Field(default=1, ge=1)
    """Parts of the index, each an actor with an equal slice of every language."""
    replicas: int = Field(default=1, ge=1)
    """Actors per shard; queries go to them in turn."""
    threads: int = Field(default=1, ge=1)
    """Threads (and logical CPUs) of one shard."""
    gpus: float = Field(default=0, ge=0)
    """GPUs of one shard; 0 searches on the CPU."""
    batch: int = Field(default=1024, ge=1)
    """Queries that are sent to the shards at once."""
    in_flight: int = Field(default=4, ge=1)
    """Batches under way; more are sent only when answers have come."""
    timeout_seconds: float = Field(default=300, gt=0)
    """A shard that takes longer for a batch is taken for lost and started again."""
    restarts: int = Field(default=3, ge=0)
    """How often one shard is brought back from its files before the search ends with an error."""

    @property
    def cpus_needed(self) -> float:
        """Logical CPUs of all shards."""
        return self.shards * self.replicas * self.threads

    @property
    def gpus_needed(self) -> float:
        """GPUs of all shards."""
        return self.shards * self.replicas * self.gpus
