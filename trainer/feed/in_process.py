"""Steps -> batches made in the training process itself, a few ahead, by a thread.

For many short trainings in one process: Ray Data's processes take longer to start than such a training takes.
"""

import queue
import threading
import time
from collections.abc import Iterator

from trainer.feed.collate import FeedBatch
from trainer.feed.stream import BatchMaker, FeedSpec


class LocalBatches:
    """One rank's batches in step order, as `Batches` gives them; to be closed where not all are taken."""

    def __init__(self, spec: FeedSpec, first_step: int, rank: int, world_size: int) -> None:
        self.waited_seconds = 0.0
        """Seconds the last batch was waited for."""
        self._steps = range(first_step, spec.num_steps)
        self._ready: queue.Queue[FeedBatch | BaseException] = queue.Queue(maxsize=spec.config.prefetch)
        self._closed = threading.Event()
        maker = BatchMaker(spec, rank, world_size)
        self._thread = threading.Thread(target=self._make, args=(maker,), name="feed", daemon=True)
        self._thread.start()

    def _make(self, maker: BatchMaker) -> None:
        try:
            for step in self._steps:
                if not self._put(maker.make(step)):
                    return
        except BaseException as error:  # raised again where the batch is asked for
            self._put(error)

    def _put(self, item: FeedBatch | BaseException) -> bool:
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def __iter__(self) -> Iterator[FeedBatch]:
        for _ in self._steps:
            started = time.perf_counter()
            item = self._ready.get()
            if isinstance(item, BaseException):
                raise item
            self.waited_seconds = time.perf_counter() - started
            yield item

    def close(self) -> None:
        """Make no more."""
        self._closed.set()
        self._thread.join()
