"""What runs on every training worker, and on every start of it: from the newest checkpoint to the trained encoder."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import DataError, MixlingualError
from cluster.logs import get_logger
from cluster.storage import Store, open_store, write_result_set
from retrieval.records import Collection
from trainer.checkpoint import Checkpoint, CheckpointWriter, latest, read_checkpoint
from trainer.config import TrainingConfig
from trainer.feed.stream import STREAM, Batches, FeedSpec
from trainer.listener import Listener, Telling
from trainer.mixing.ledger import Ledger
from trainer.ray_train import limit_threads
from trainer.schedule import warmup_steps
from trainer.telemetry import Telemetry

if TYPE_CHECKING:
    from ray.actor import ActorHandle

    from trainer.feed.in_process import LocalBatches
    from trainer.loop import Step
    from trainer.state import FullState

LEDGER_FILE = "ledger.json"
ENCODER_FOLDER = "encoder"
_logger = get_logger("worker")


@dataclass(frozen=True)
class TrainSpec:
    """All that a training run is made of; travels to every worker."""

    root: str
    """URI of the store."""
    name: str
    """Result set that the trained encoder becomes: `encoders/<fingerprint>`."""
    prefix: str
    """Where its checkpoints are meanwhile: `training/<fingerprint>`."""
    fingerprint: str
    seed: int
    encoder_folder: Path
    """The encoder to start from."""
    feed: FeedSpec
    training: TrainingConfig
    validation: Collection | None
    about: Mapping[str, Any]
    """What the result set says about itself."""
    start: str | None = None
    """Result set of the store that holds it, for machines without a copy; None where all share the folder."""
    board: "ActorHandle | None" = None
    """Told of every step by rank 0, and of errors that no retry mends by any rank."""


def next_step(spec: TrainSpec) -> int:
    """The step that training goes on with: where the newest readable checkpoint stands."""
    checkpoint = latest(open_store(spec.root), spec.prefix, spec.fingerprint)
    return checkpoint.step if checkpoint else 0


def _start_folder(spec: TrainSpec) -> Path:
    """The encoder to start from, in a folder of this machine."""
    if spec.start is None:
        return spec.encoder_folder
    return open_store(spec.root).fetch_folder(spec.start) / ENCODER_FOLDER


def run_worker(config: Mapping[str, Any]) -> None:
    """Ray Train's entry point on each worker."""
    import ray
    import ray.train

    spec: TrainSpec = config["spec"]
    if spec.board is not None and ray.get(spec.board.failure.remote()):
        return  # a retry would meet the same error; the driver raises it
    limit_threads(spec.training)
    with _reported(spec):
        stream = ray.train.get_dataset_shard(STREAM)
        prefetch = spec.training.feed.prefetch
        Run(spec, lambda first_step: Batches(stream, first_step, prefetch), Telling(spec.board)).finish()
    ray.train.report({"done": True})


@contextlib.contextmanager
def _reported(spec: TrainSpec) -> Iterator[None]:
    """Tell the driver of errors that would come again at every retry: ours, and whatever the feed raised."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
    except (MixlingualError, RayTaskError) as error:
        cause = innermost(error)
        # A process, a node or its data went: a retry finds others.
        lost = isinstance(cause, RayError) and not isinstance(cause, RayTaskError)
        if spec.board is not None and not lost:
            ray.get(spec.board.fail.remote(type(cause).__name__, str(cause)))
        raise


def innermost(error: BaseException) -> BaseException:
    """The error that began a chain, or ours that tells of it: Ray wraps what a task raised, several times over."""
    cause = getattr(error, "cause", None) or (None if isinstance(error, MixlingualError) else error.__cause__)
    return innermost(cause) if isinstance(cause, BaseException) else error


class Run:
    """One worker's part in a training run, from its newest checkpoint on.

    Args:
        spec: what is trained.
        batches: number of the first step -> this rank's batches from there on.
        listener: told how it goes; may end it early.
    """

    def __init__(self, spec: TrainSpec, batches: Callable[[int], "Batches | LocalBatches"], listener: Listener) -> None:
        from retrieval.encoder.folder import load_encoder
        from trainer.collapse import CollapseWatch
        from trainer.engine import Engine
        from trainer.notices import Notices
        from trainer.validate import Selection, Validator

        self.spec, self.listener = spec, listener
        self.store: Store = open_store(spec.root)
        checkpoint = latest(self.store, spec.prefix, spec.fingerprint)
        progress = dict(checkpoint.progress) if checkpoint else {}
        self.steps_done = checkpoint.step if checkpoint else 0
        if checkpoint:
            _logger.info("resuming %s at step %d", spec.prefix, self.steps_done)
        # Its own copy: DeepSpeed takes the encoder over, and the one of the last state is written by rank 0.
        self.encoder, self.tokens = load_encoder(_start_folder(spec))
        training = spec.training
        self.engine: Engine = Engine(
            self.encoder,
            self.tokens.pad_id,
            training.engine,
            training.loss,
            seed=spec.seed,
            state=checkpoint.state if checkpoint else None,
        )
        try:
            self.ledger = Ledger(spec.feed.plan.config, spec.feed.plan.sources, progress.get("ledger"))
            self.telemetry = Telemetry(progress.get("telemetry", ()))
            self._validated = self._validations()
            self.selection: Selection = Selection(**progress.get("selection", {}))
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
            raise DataError(
                f"{self.store.where(spec.prefix)}: the progress that the checkpoint of step {self.steps_done} tells "
                f"cannot be read ({error!r}); delete that checkpoint and start again"
            ) from None
        self.writer = CheckpointWriter(self.store, spec.prefix, training.checkpoint)
        self.validator: Validator | None = None
        if spec.validation is not None and training.validation.every:
            self.validator = Validator(spec.validation, self.tokens, spec.feed.pixels)
        self.collapse = CollapseWatch(warmup_steps(training.steps, training.schedule))
        self.batches = batches(self.steps_done)
        self.notices = Notices()

    def finish(self) -> bool:
        """Train what is left, then publish the encoder; False where the listener ended it before. Collective."""
        with contextlib.closing(self.notices):
            going = self._train()
        if going:
            self.ledger.check()
            self._publish()
        return going

    def _train(self) -> bool:
        """Train what is left, and save it; False where the listener ended it before."""
        going = all(self.listener.goes_on(step, record) for step, record in self._validated)
        for step in self._steps() if going else ():
            self._record(step)
            last = step.number == self.spec.training.steps
            validated = self._validate(step.number, last)
            stopping = self.selection.exhausted(self.spec.training.validation)
            notice = None if last else self.notices.news()
            if last or stopping or validated or notice or step.number % self.spec.training.checkpoint.every == 0:
                self._save(step.number)
            if notice:
                self.writer.wait()
                self.notices.heed()
                self._say("%s: checkpoint of step %d written", notice, step.number)
            if stopping:
                best = self.selection.best_step
                self._say("stopping early at step %d: no better validation since step %s", step.number, best)
                break
            if validated and not last and not self.listener.goes_on(step.number, validated):
                going = False
                break
        self.writer.wait()
        return going

    def close(self) -> None:
        """Let go of what would outlive this training in its process."""
        self.engine.close()

    def _validations(self) -> list[tuple[int, dict[str, Any]]]:
        """Step and record of the validations so far, but for one after the last step."""
        records = map(json.loads, self.telemetry.lines())
        last = self.spec.training.steps
        return [(one["step"], one) for one in records if one["event"] == "validation" and one["step"] < last]

    def _steps(self) -> "Iterator[Step]":
        from trainer.loop import train

        if self.steps_done >= self.spec.training.steps or self.selection.exhausted(self.spec.training.validation):
            return iter(())
        return train(self.engine, self.batches, self.ledger, self.spec.training)

    def _record(self, step: "Step") -> None:
        from trainer.mixing.ratios import KINDS
        from trainer.ranks import rank

        self.steps_done = step.number
        kinds = sorted({KINDS[kind] for kind in step.batch.kind.tolist()})
        self.telemetry.add(
            "step",
            step.number,
            loss=step.result.loss,
            accuracy=step.result.accuracy,
            kind="+".join(kinds),
            source=self.spec.feed.plan.sources[step.batch.source].name,
            learning_rate=step.learning_rate,
            grad_norm=step.result.grad_norm,
            data_wait_seconds=round(step.data_wait_seconds, 6),
            step_seconds=round(step.step_seconds, 6),
        )
        self.listener.step(step.number, {"loss": step.result.loss, "kind": "+".join(kinds)})
        if rank() == 0:
            self.collapse.saw(step.number, step.result.likeness)

    def _validate(self, steps_done: int, last: bool) -> dict[str, Any] | None:
        """The record of a validation, where one is due."""
        from trainer.validate import chosen_value

        config = self.spec.training.validation
        if self.validator is None or not (last or steps_done % config.every == 0):
            return None
        record = self.validator.measure(self.engine)
        value = chosen_value(record, config.measure)
        self.selection = self.selection.after(value, steps_done)
        self.telemetry.add("validation", steps_done, **record)
        self.listener.step(steps_done, {"validation": value})
        return record

    def _save(self, steps_done: int) -> None:
        from trainer.ranks import rank

        state = self.engine.full_state()
        if rank() != 0:
            return
        assert state is not None
        self.writer.save(self._checkpoint(steps_done, state), best_step=self._best_step())

    def _checkpoint(self, steps_done: int, state: "FullState") -> Checkpoint:
        progress = {
            "ledger": self.ledger.state(),
            "telemetry": self.telemetry.state(),
            "selection": asdict(self.selection),
        }
        return Checkpoint(
            step=steps_done, state=state, fingerprint=self.spec.fingerprint, seed=self.spec.seed, progress=progress
        )

    def _best_step(self) -> int | None:
        """Step of the checkpoint that becomes the encoder, where that is not the last one."""
        return self.selection.best_step if self.spec.training.validation.keep == "best" else None

    def _publish(self) -> None:
        """Write the encoder with the record of its training as one result set, then drop the checkpoints."""
        from retrieval.encoder.folder import load_encoder, save_encoder
        from trainer.ranks import rank

        if rank() != 0:
            return
        chosen = self._best_step() or self.steps_done
        weights = read_checkpoint(self.store, self.spec.prefix, chosen).state.weights
        about = dict(self.spec.about) | {"steps": self.steps_done, "chosen_step": chosen, "best": self.selection.best}
        encoder, tokens = load_encoder(_start_folder(self.spec))
        with write_result_set(self.store, self.spec.name, about) as folder:
            save_encoder(folder / ENCODER_FOLDER, encoder, tokens, weights)
            self.telemetry.write(folder / "telemetry.jsonl")
            summary = json.dumps(self.ledger.summary(), ensure_ascii=False, indent=1)
            (folder / LEDGER_FILE).write_text(summary, encoding="utf-8")

    def _say(self, message: str, *values: object) -> None:
        from trainer.ranks import rank

        if rank() == 0:
            _logger.info(message, *values)
