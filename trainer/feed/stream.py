"""Steps -> Ray Data -> batches: one ordered stream per rank, handed to Ray Train's workers.

Ray Data's own splitting does not give each rank its slice of every step, so each rank gets a stream of its own, over
step numbers, with `preserve_order`. The plan never sees the number of ranks; a rank takes its neighbouring slots.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cluster.errors import WorkError
from retrieval.dictionary import StoredDictionary
from retrieval.encoder.pixels import Pixels
from retrieval.encoder.tokens import Tokens
from retrieval.group_tokens import GroupTokens
from retrieval.groups import PreparedGroups
from trainer.feed.cached import CachedBatches
from trainer.feed.collate import Draft, FeedBatch, collate_all
from trainer.feed.config import FeedConfig
from trainer.feed.fetch import Fetcher, cached_rows
from trainer.feed.payload import from_row, to_table
from trainer.feed.switch import CodeSwitcher
from trainer.mixing.plan import Plan

if TYPE_CHECKING:
    from ray.actor import ActorHandle
    from ray.data import DataIterator, Dataset

STREAM = "train"


@dataclass(frozen=True)
class FeedSpec:
    """All that a feed is made of; travels into Ray's processes."""

    plan: Plan
    groups: PreparedGroups
    tokens: Tokens
    config: FeedConfig
    num_steps: int
    """Steps of the whole run."""
    dictionary: StoredDictionary | None = None
    """What code-switched batches are switched by; needed where the plan has any."""
    pixels: Pixels | None = None
    """What the encoder makes of images; needed where the plan has any."""
    cache: GroupTokens | None = None
    """Token ids of the groups; None = texts are tokenised as they come up."""


class BatchMaker:
    """Makes one rank's share of batches; in Ray Data an actor, so that its row groups stay cached.

    Several threads may call it: one reads while the texts of another are with the tokenizer, which needs no Python.
    """

    def __init__(
        self, spec: FeedSpec, rank: int, world_size: int, first_step: int = 0, board: "ActorHandle | None" = None
    ) -> None:
        self._spec, self._rank, self._world_size, self._first_step = spec, rank, world_size, first_step
        self._board = board
        self._reading = threading.Lock()
        cached = cached_rows(spec.plan.config.window_rows, spec.groups.row_group_rows, world_size)
        hard_negatives = spec.config.hard_negatives
        self.fetcher = Fetcher(spec.groups.here(), cached, hard_negatives, _switcher(spec))
        self._cached: CachedBatches | None = None
        if spec.cache is not None:
            spec.cache.check(spec.groups, spec.tokens)
            self._cached = CachedBatches(spec.cache.here(), self.fetcher, spec.tokens, hard_negatives, spec.pixels)

    def make(self, step: int) -> FeedBatch:
        """The rank's share of one step."""
        return self.make_all([step])[0]

    def make_all(self, steps: Sequence[int]) -> list[FeedBatch]:
        """The rank's shares of several steps."""
        sources = self._spec.groups.sources
        with self._reading:
            shares = [self._spec.plan.batch(step).share(self._rank, self._world_size) for step in steps]
            if self._cached is not None:
                return [self._cached.batch(slots) for slots in shares]
            drafts = [Draft(slots, self.fetcher.texts(slots), sources[slots.source].name) for slots in shares]
        return collate_all(drafts, self._spec.tokens, self._spec.pixels)

    def __call__(self, steps: dict[str, np.ndarray]) -> pa.Table:
        """A Ray Data batch of step numbers, counted from the first step of the stream -> one row per step."""
        try:
            return to_table(self.make_all([self._first_step + number for number in steps["id"].tolist()]))
        except Exception as error:
            # What Ray Data raises in the worker no longer says what went wrong here.
            if self._board is not None:
                import ray

                ray.get(self._board.fail.remote(type(error).__name__, str(error)))
            raise


def _switcher(spec: FeedSpec) -> CodeSwitcher | None:
    if spec.dictionary is None:
        return None
    return CodeSwitcher(spec.dictionary.read(), spec.plan.config.code_switching, spec.plan.seed)


def rank_stream(
    spec: FeedSpec, first_step: int, rank: int, world_size: int, board: "ActorHandle | None" = None
) -> "Dataset":
    """The ordered stream of one rank, from `first_step` to the end of the run; errors are noted on the board."""
    import ray.data
    from ray.data import ActorPoolStrategy

    per_task = spec.config.steps_per_task
    tasks = max(-(-(spec.num_steps - first_step) // per_task), 1)
    steps = ray.data.range(spec.num_steps - first_step, override_num_blocks=tasks)
    # On the data set's own context, and before anything is built on it: set later it has no effect.
    steps.context.execution_options.preserve_order = True
    steps.context.enable_progress_bars = False

    return steps.map_batches(
        BatchMaker,
        fn_constructor_args=(spec, rank, world_size, first_step, board),
        batch_size=per_task,
        batch_format="numpy",
        num_cpus=spec.config.cpus,
        compute=ActorPoolStrategy(size=1, max_concurrent_calls_per_actor=2, enable_true_multi_threading=True),
    )


def make_data_config(spec: FeedSpec, next_step: Callable[[], int], board: "ActorHandle | None") -> Any:
    """A Ray Train data configuration that gives every worker its own stream.

    Args:
        next_step: asked whenever a group of workers starts, the first time or again after a failure: the step to
            begin with, which is where the newest checkpoint stands.
        board: told of errors that a feed meets.
    """
    from ray.train import DataConfig

    class PlanDataConfig(DataConfig):
        """`configure` is called for each new group of workers, with their number."""

        def configure(self, datasets: Any, world_size: int, *_: Any, **__: Any) -> "list[dict[str, DataIterator]]":
            first = next_step()
            streams = (rank_stream(spec, first, rank, world_size, board) for rank in range(world_size))
            return [{STREAM: stream.iterator()} for stream in streams]

    return PlanDataConfig()


class Batches:
    """The batches of a stream, checked to come in order; measures how long training waits for them."""

    def __init__(self, stream: "DataIterator", first_step: int, prefetch: int) -> None:
        self._tables = stream.iter_batches(batch_size=1, batch_format="pyarrow", prefetch_batches=prefetch)
        self._next_step = first_step
        self.waited_seconds = 0.0
        """Seconds the last batch was waited for."""

    def __iter__(self) -> Iterator[FeedBatch]:
        started = time.perf_counter()
        for table in self._tables:
            batch = from_row(table, 0)
            if batch.slots.step < self._next_step:
                continue  # the stream began at an older checkpoint than the one that was loaded
            if batch.slots.step != self._next_step:
                raise WorkError(f"feed: step {batch.slots.step} came where {self._next_step} was due")
            self.waited_seconds = time.perf_counter() - started
            yield batch
            self._next_step += 1
            started = time.perf_counter()
