"""Training state <-> result sets `checkpoints/step-00000120`, written while training goes on.

Any world size and ZeRO stage resumes from them:

weights.safetensors     the encoder, float32
optimizer.safetensors   AdamW's moments: exp_avg/<name>, exp_avg_sq/<name>
state.json              step, fingerprint of the configuration, seed, the loop's own progress, library versions

There is no pickle in it. Dropout and data order are pure functions of seed and step, so the step is their whole state.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cluster.config import Config, describe
from cluster.documents import parse_json
from cluster.errors import DataError
from cluster.logs import get_logger
from cluster.storage import ResultSet, Store, open_result_set, write_result_set
from cluster.storage.result_set import COMMIT
from trainer.state import FullState

VERSION = 1
_WEIGHTS, _OPTIMIZER, _STATE = "weights.safetensors", "optimizer.safetensors", "state.json"
_FIRST, _SECOND = "exp_avg/", "exp_avg_sq/"
_STEP = re.compile("step-([0-9]{8})")
_logger = get_logger("checkpoint")


class CheckpointConfig(Config):
    """When training state is saved and how much of it is kept."""

    every: int = Field(default=200, ge=1)
    """Steps between checkpoints; the last step is saved too."""

    keep_last: int = Field(default=2, ge=1)
    """Newest checkpoints to keep; the best one is kept besides. With 2, a damaged one leaves another to resume from."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Everything a run needs to go on."""

    step: int
    """Steps done: training goes on with this step number of the plan."""

    state: FullState
    """Weights and optimiser."""

    fingerprint: str
    """Of the configuration that must be the same on resume."""

    seed: int
    """Of the plan and of dropout."""

    progress: Mapping[str, Any] = field(default_factory=dict)
    """What the loop wants back, in plain JSON values: early stopping, best score so far."""


class CheckpointWriter:
    """Saves checkpoints of one run below `<prefix>/checkpoints`, in the background; used by rank 0 alone.

    At most one is on its way. What goes wrong in the background is raised by the next call.
    """

    def __init__(self, store: Store, prefix: str, config: CheckpointConfig) -> None:
        self._store, self._prefix, self._config = store, prefix, config
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def save(self, checkpoint: Checkpoint, best_step: int | None = None) -> None:
        """Start to write a checkpoint; first wait for the one before it.

        Args:
            checkpoint: its tensors must not change any more (`Engine.full_state` gives copies).
            best_step: step of the checkpoint that is kept however old it gets; perhaps this one.
        """
        self.wait()
        # Not a daemon: a process that ends in good order finishes the file first.
        self._thread = threading.Thread(target=self._write, args=(checkpoint, best_step), name="checkpoint")
        self._thread.start()

    def wait(self) -> None:
        """Return when everything saved so far stands in the store.

        Raises:
            Exception: what kept the last checkpoint from being written.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _write(self, checkpoint: Checkpoint, best_step: int | None) -> None:
        try:
            write_checkpoint(self._store, self._prefix, checkpoint)
            committed = sorted(_committed_steps(self._store, self._prefix))
            # A later step stands there only if it could not be read when this run resumed from an earlier one.
            reached = [step for step in committed if step <= checkpoint.step]
            kept = {*reached[-self._config.keep_last :], best_step}
            for step in committed:
                if step not in kept:
                    self._store.delete(checkpoint_name(self._prefix, step))
        except BaseException as error:
            self._error = error


def checkpoint_name(prefix: str, step: int) -> str:
    """Name of the result set that holds the state after `step` steps."""
    return f"{prefix}/checkpoints/step-{step:08d}"


def write_checkpoint(store: Store, prefix: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint now; one that stands at the same step is replaced.

    A run meets its own earlier step again only when it could not read what stood there.
    """
    from safetensors.torch import save_file

    name = checkpoint_name(prefix, checkpoint.step)
    store.delete(name)
    state = checkpoint.state
    moments = {_FIRST + name: tensor for name, tensor in state.first_moments.items()}
    moments |= {_SECOND + name: tensor for name, tensor in state.second_moments.items()}
    about = {
        "version": VERSION,
        "step": checkpoint.step,
        "fingerprint": checkpoint.fingerprint,
        "seed": checkpoint.seed,
        "optimizer_steps": state.optimizer_steps,
        "progress": dict(checkpoint.progress),
        "libraries": _versions(),
    }
    with write_result_set(
        store, name, {"checkpoint": checkpoint.step, "fingerprint": checkpoint.fingerprint}
    ) as folder:
        save_file({name: tensor.contiguous() for name, tensor in state.weights.items()}, folder / _WEIGHTS)
        save_file({name: tensor.contiguous() for name, tensor in moments.items()}, folder / _OPTIMIZER)
        (folder / _STATE).write_text(json.dumps(about, indent=1, allow_nan=False), encoding="utf-8")


def read_checkpoint(store: Store, prefix: str, step: int) -> Checkpoint:
    """Read the checkpoint of one step.

    Raises:
        DataError: there is none, or it is damaged; the file is named.
    """
    return _read(open_result_set(store, checkpoint_name(prefix, step)))


def latest(store: Store, prefix: str, fingerprint: str | None = None) -> Checkpoint | None:
    """The newest checkpoint that can be read, or None; damaged ones are passed over with a warning that names them.

    Args:
        store: where the run lives.
        prefix: name of the run.
        fingerprint: of the configuration that wants to resume.

    Raises:
        DataError: the checkpoint is that of another configuration.
    """
    for step in sorted(_committed_steps(store, prefix), reverse=True):
        try:
            checkpoint = read_checkpoint(store, prefix, step)
        except DataError as error:
            _logger.warning("checkpoint of step %d passed over: %s", step, error)
            continue
        if fingerprint is not None and checkpoint.fingerprint != fingerprint:
            raise DataError(
                f"{store.where(checkpoint_name(prefix, step))}: written by configuration {checkpoint.fingerprint}, "
                f"this is {fingerprint}; resume with the configuration it was written by, or start under another name"
            )
        return checkpoint
    return None


class _About(BaseModel):
    """`state.json`, apart from what only people read."""

    model_config = ConfigDict(extra="ignore", strict=True)

    version: int
    step: int = Field(ge=0)
    fingerprint: str
    seed: int
    optimizer_steps: int = Field(ge=0)
    progress: dict[str, Any]


def _read(files: ResultSet) -> Checkpoint:
    about = _about(files.path(_STATE))
    moments = _tensors(files.path(_OPTIMIZER))
    return Checkpoint(
        step=about.step,
        fingerprint=about.fingerprint,
        seed=about.seed,
        progress=about.progress,
        state=FullState(
            weights=_tensors(files.path(_WEIGHTS)),
            first_moments=_below(moments, _FIRST),
            second_moments=_below(moments, _SECOND),
            optimizer_steps=about.optimizer_steps,
        ),
    )


def _about(path: Path) -> _About:
    try:
        fields = parse_json(path.read_bytes())
        if isinstance(fields, dict) and fields.get("version") != VERSION:
            raise DataError(
                f"{path}: checkpoint version {fields.get('version')}, this program reads {VERSION}; resume with the "
                "program that wrote it"
            )
        return _About.model_validate(fields)
    except ValidationError as error:
        raise DataError(f"{path}: {describe(error, _About)}; resume from another checkpoint") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); resume from another checkpoint") from None


def _tensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, MemoryError) as error:
        raise DataError(f"{path}: not a safetensors file ({error}); resume from another checkpoint") from None


def _below(tensors: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _committed_steps(store: Store, prefix: str) -> Iterator[int]:
    """Steps whose checkpoint has its commit object; what a killed process left half-written has none."""
    for key in store.list(f"{prefix}/checkpoints"):
        folder, _, name = key.rpartition("/")
        found = _STEP.fullmatch(folder.rpartition("/")[2])
        if name == COMMIT and found:
            yield int(found[1])


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {library: version(library) for library in ("torch", "deepspeed", "transformers", "safetensors")}
