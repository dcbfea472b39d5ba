"""Shards as Ray actors: batches of queries to all of them at once, their answers merged, lost shards brought back.

An answer is complete or an error: a shard that is lost or too slow is started again from its files and asked again.
Needs a connected Ray.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cluster.errors import ConfigError, DataError, MixlingualError, WorkError
from cluster.logs import get_logger
from retrieval.index.build import IndexSpec, build_empty, build_shard, open_shard
from retrieval.index.config import ServiceConfig
from retrieval.index.merge import merged

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

Answer = tuple[np.ndarray, np.ndarray]
"""Scores (Q, K) float32, falling, and rows (Q, K) int64; minus infinity and -1 where there are no more."""
LARGEST_K = 10_000
_logger = get_logger("index")


class ShardLostError(WorkError):
    """The process of a shard went while it opened its files."""


class ShardActor:
    """One shard in a process of its own."""

    def __init__(self, spec: IndexSpec, shard: int, gpu: bool) -> None:
        # Opened by `open`: what an actor's constructor raises does not reach its caller as it is.
        self._spec, self._number, self._gpu = spec, shard, gpu
        self._shard: Any = None
        self._busy = 0.0

    def open(self) -> int:
        """Read the files; gives the shard's number."""
        self._shard = open_shard(self._spec, self._number, self._gpu)
        return self._number

    def search(self, queries: np.ndarray, k: int, languages: frozenset[int] | None) -> tuple[np.ndarray, np.ndarray]:
        """See `FlatShard.search`."""
        started = time.perf_counter()
        # Arrays that come out of Ray's object store are read-only and may lie at any address; FAISS takes them as is.
        answer: tuple[np.ndarray, np.ndarray] = self._shard.search(
            np.ascontiguousarray(queries, np.float32), k, languages
        )
        self._busy += time.perf_counter() - started
        return answer

    def busy_seconds(self) -> float:
        """Seconds spent in searches so far; what is beyond them goes into transport and merging."""
        return self._busy


@dataclass(frozen=True)
class Recovery:
    """A shard that was lost and came back."""

    shard: int
    reason: str
    seconds: float
    """From the loss being noticed until it had opened its files again."""


@dataclass
class _Batch:
    """Queries under way: which actor was asked on behalf of each shard, and for what."""

    queries: "ObjectRef"
    actors: "list[ActorHandle]"
    answers: "list[ObjectRef]"


@dataclass
class SearchService:
    """An index ready to be asked, on all machines of a Ray cluster. Use it in a `with` block."""

    spec: IndexSpec
    config: ServiceConfig
    recoveries: list[Recovery] = field(default_factory=list)

    def __enter__(self) -> Self:
        try:
            self._build()
            self._actors = [[self._start(shard) for _ in range(self.config.replicas)] for shard in self._shards]
            self._wait([actor.open.remote() for replicas in self._actors for actor in replicas])
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self._restarts = dict.fromkeys(self._shards, 0)
        self._batches_sent = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray

        for replicas in getattr(self, "_actors", ()):
            for actor in replicas:
                ray.kill(actor)

    @property
    def _shards(self) -> range:
        return range(self.spec.num_shards)

    def search(self, queries: np.ndarray, k: int, languages: Sequence[int] | None = None) -> Answer:
        """The `k` best rows of every query: by falling score, equal scores by row.

        Args:
            queries: (Q, D).
            k: 1 to 10,000.
            languages: search only these (indices into the vectors' languages); all where None.

        Returns:
            Scores (Q, k) float32 and rows (Q, k) int64, the same for any number of shards where the index is exact.

        Raises:
            ConfigError: `k` is out of range.
            WorkError: a shard was lost more often than `restarts` allows.
        """
        batches = (queries[first : first + self.config.batch] for first in range(0, len(queries), self.config.batch))
        answers = list(self.stream(batches, k, languages))
        if not answers:
            return np.empty((0, k), np.float32), np.empty((0, k), np.int64)
        return np.concatenate([scores for scores, _ in answers]), np.concatenate([rows for _, rows in answers])

    def stream(self, batches: Iterable[np.ndarray], k: int, languages: Sequence[int] | None = None) -> Iterator[Answer]:
        """Answers to batches of queries, in their order; the next batch is read when a place is free for it."""
        if not 1 <= k <= LARGEST_K:
            raise ConfigError(f"k: {k} is out of range; ask for 1 to {LARGEST_K:,} rows")
        chosen = None if languages is None else frozenset(languages)
        under_way: deque[_Batch] = deque()
        for queries in batches:
            under_way.append(self._send(queries, k, chosen))
            if len(under_way) >= self.config.in_flight:
                yield self._gather(under_way.popleft(), k, chosen)
        while under_way:
            yield self._gather(under_way.popleft(), k, chosen)

    def busy_seconds(self) -> list[float]:
        """Seconds that each shard has spent searching, by its busiest replica."""
        import ray

        return [max(ray.get([actor.busy_seconds.remote() for actor in replicas])) for replicas in self._actors]

    def _send(self, queries: np.ndarray, k: int, languages: frozenset[int] | None) -> _Batch:
        import ray

        shared = ray.put(np.ascontiguousarray(queries, np.float32))
        replica = self._batches_sent % self.config.replicas
        self._batches_sent += 1
        actors = [self._actors[shard][replica] for shard in self._shards]
        return _Batch(shared, actors, [actor.search.remote(shared, k, languages) for actor in actors])

    def _gather(self, batch: _Batch, k: int, languages: frozenset[int] | None) -> Answer:
        answers = [self._answer(batch, shard, k, languages) for shard in self._shards]
        return merged([scores for scores, _ in answers], [rows for _, rows in answers], k)

    def _answer(self, batch: _Batch, shard: int, k: int, languages: frozenset[int] | None) -> Answer:
        """One shard's answer, from another actor for it where the one that was asked is lost."""
        import ray
        from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

        while True:
            try:
                return ray.get(batch.answers[shard], timeout=self.config.timeout_seconds)
            except RayTaskError as error:
                raise _own(error) from error
            except GetTimeoutError:
                lost = f"no answer in {self.config.timeout_seconds:g} s"
            except RayActorError as error:
                lost = str(error).strip().splitlines()[0]
            batch.actors[shard] = self._replacement(batch.actors[shard], shard, lost)
            batch.answers[shard] = batch.actors[shard].search.remote(batch.queries, k, languages)

    def _replacement(self, actor: "ActorHandle", shard: int, lost: str) -> "ActorHandle":
        """An actor that is there for a shard; a new one unless an earlier batch already found the loss."""
        import ray

        replicas = self._actors[shard]
        if actor not in replicas:
            return replicas[self._batches_sent % len(replicas)]
        started, reason = time.monotonic(), lost
        while True:
            self._restarts[shard] += 1
            if self._restarts[shard] > self.config.restarts:
                raise WorkError(
                    f"shard {shard} of {self.spec.name} was lost {self._restarts[shard]} times ({lost}); look at its "
                    "machine's memory, or raise search.restarts or search.timeout_seconds"
                )
            _logger.warning("shard %d: %s; starting it again from its files", shard, lost)
            ray.kill(actor)
            replicas[replicas.index(actor)] = new = self._start(shard)
            try:
                self._wait([new.open.remote()])
                break
            except ShardLostError as error:  # while it opened its files
                actor, lost = new, str(error)
        self.recoveries.append(Recovery(shard, reason, time.monotonic() - started))
        _logger.warning("shard %d is back after %.1f s", shard, self.recoveries[-1].seconds)
        return new

    def _start(self, shard: int) -> "ActorHandle":
        import ray

        actor: Any = (
            ray.remote(ShardActor)
            .options(
                num_cpus=self.config.threads,
                num_gpus=self.config.gpus,
                scheduling_strategy="SPREAD",
                # FAISS, BLAS and our own loops all read this at their start.
                runtime_env={"env_vars": {"OMP_NUM_THREADS": str(self.config.threads)}},
            )
            .remote(self.spec, shard, self.config.gpus > 0)
        )
        return actor

    def _build(self) -> None:
        """Build the shards that are not there, side by side."""
        import ray

        if self.spec.config.exact:
            return
        # Learning the clusters is one task with all its threads; the shards wait for it.
        learnt = ray.remote(build_empty).options(num_cpus=self.config.threads).remote(self.spec)
        self._wait([learnt])
        build = ray.remote(build_shard).options(num_cpus=self.config.threads, scheduling_strategy="SPREAD")
        self._wait([build.remote(self.spec, shard) for shard in self._shards])

    @staticmethod
    def _wait(references: "Sequence[ObjectRef]") -> None:
        import ray
        from ray.exceptions import RayActorError, RayTaskError

        try:
            ray.get(list(references))
        except RayTaskError as error:
            raise _own(error) from error
        except RayActorError as error:
            line = str(error).strip().splitlines()[0]
            raise ShardLostError(
                f"a shard was lost while it opened its files ({line}); look at its machine's memory"
            ) from error


def _own(error: BaseException) -> BaseException:
    """The error of ours inside what Ray raised, if there is one."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, MixlingualError):
        return cause
    known = next((kind for kind in (ConfigError, DataError, WorkError) if isinstance(error, kind)), None)
    return known(str(cause or error)) if known else error
