import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from cluster.errors import DataError
from cluster.storage import open_store
from trainer.checkpoint import (
    Checkpoint,
    CheckpointConfig,
    CheckpointWriter,
    checkpoint_name,
    latest,
    read_checkpoint,
    write_checkpoint,
)
from trainer.state import FullState, load_weights

PREFIX = "runs/abc"


def checkpoint(step: int, fingerprint: str = "f", size: int = 4) -> Checkpoint:
    def tensors(offset: float) -> dict[str, torch.Tensor]:
        return {"a.weight": torch.full((size, 3), float(step) + offset), "a.bias": torch.arange(3.0) + offset}

    state = FullState(
        weights=tensors(0), first_moments=tensors(0.25), second_moments=tensors(0.5), optimizer_steps=step
    )
    return Checkpoint(step=step, state=state, fingerprint=fingerprint, seed=5, progress={"best": 0.5, "waited": [1]})


def steps_in(root: Path) -> list[int]:
    return sorted(int(path.name[5:]) for path in (root / PREFIX / "checkpoints").iterdir())


def same_tensors(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_what_is_written_comes_back(tmp_path: Path):
    written = checkpoint(120)
    write_checkpoint(open_store(tmp_path), PREFIX, written)
    read = latest(open_store(tmp_path), PREFIX, "f")
    assert read is not None
    assert (read.step, read.seed, read.fingerprint, read.progress) == (120, 5, "f", {"best": 0.5, "waited": [1]})
    assert read.state.optimizer_steps == 120
    for part in ("weights", "first_moments", "second_moments"):
        assert same_tensors(getattr(read.state, part), getattr(written.state, part))


def test_a_checkpoint_is_made_of_safetensors_and_json_alone(tmp_path: Path):
    write_checkpoint(open_store(tmp_path), PREFIX, checkpoint(120))
    folder = tmp_path / PREFIX / "checkpoints" / "step-00000120"
    assert sorted(path.name for path in folder.iterdir()) == [
        "COMMIT",
        "manifest.json",
        "optimizer.safetensors",
        "state.json",
        "weights.safetensors",
    ]


def test_the_last_ones_and_the_best_are_kept(tmp_path: Path):
    writer = CheckpointWriter(open_store(tmp_path), PREFIX, CheckpointConfig(keep_last=2))
    for step in (10, 20, 30, 40, 50):
        writer.save(checkpoint(step), best_step=20 if step >= 20 else None)
    writer.wait()
    assert steps_in(tmp_path) == [20, 40, 50]


def test_a_damaged_checkpoint_is_named_and_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    store = open_store(tmp_path)
    for step in (10, 20):
        write_checkpoint(store, PREFIX, checkpoint(step))
    damaged = tmp_path / checkpoint_name(PREFIX, 20) / "optimizer.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(DataError, match=r"optimizer\.safetensors: damaged"):
        read_checkpoint(store, PREFIX, 20)
    with caplog.at_level(logging.WARNING, "mixlingual"):
        found = latest(store, PREFIX)
    assert found is not None and found.step == 10
    assert "step 20" in caplog.text and "optimizer.safetensors" in caplog.text


def test_a_run_that_comes_to_a_damaged_checkpoint_again_replaces_it(tmp_path: Path):
    store = open_store(tmp_path)
    for step in (10, 20, 30):
        write_checkpoint(store, PREFIX, checkpoint(step))
    (tmp_path / checkpoint_name(PREFIX, 20) / "state.json").write_text("{}")
    (tmp_path / checkpoint_name(PREFIX, 30) / "weights.safetensors").unlink()
    writer = CheckpointWriter(store, PREFIX, CheckpointConfig(keep_last=2))
    writer.save(checkpoint(20))
    writer.wait()
    assert steps_in(tmp_path) == [10, 20]  # what lies beyond step 20 belongs to a past that was given up
    assert read_checkpoint(store, PREFIX, 20).step == 20


def test_an_error_in_the_background_is_raised_by_the_next_call(tmp_path: Path):
    (tmp_path / PREFIX).mkdir(parents=True)
    (tmp_path / PREFIX / "checkpoints").write_text("a file where the folder should be")
    writer = CheckpointWriter(open_store(tmp_path), PREFIX, CheckpointConfig())
    writer.save(checkpoint(10))
    with pytest.raises(OSError, match="checkpoints"):
        writer.save(checkpoint(20))
    writer.wait()  # raised once, not for ever


def test_nothing_saved_is_no_checkpoint(tmp_path: Path):
    assert latest(open_store(tmp_path), PREFIX) is None


def test_another_configuration_is_refused(tmp_path: Path):
    write_checkpoint(open_store(tmp_path), PREFIX, checkpoint(10, fingerprint="other"))
    with pytest.raises(DataError, match=r"step-00000010: written by configuration other, this is f; resume with"):
        latest(open_store(tmp_path), PREFIX, "f")


def test_a_process_killed_while_writing_leaves_the_checkpoint_before_it(tmp_path: Path):
    # 400 MB to write, hash and flush take long enough to be met in the middle.
    script = """
import sys
sys.path.insert(0, sys.argv[2])
from test_checkpoint import PREFIX, checkpoint
from cluster.storage import open_store
from trainer.checkpoint import CheckpointConfig, CheckpointWriter
writer = CheckpointWriter(open_store(sys.argv[1]), PREFIX, CheckpointConfig())
writer.save(checkpoint(10))
writer.save(checkpoint(20, size=12_000_000))
writer.wait()
"""
    repository = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parent)],
        env=os.environ | {"PYTHONPATH": str(repository)},
    )
    try:
        first = tmp_path / checkpoint_name(PREFIX, 10) / "COMMIT"
        while not (first.exists() and any((tmp_path / ".staging").glob("*/*.safetensors"))):
            assert process.poll() is None, "the writer ended before it could be killed"
            time.sleep(0.001)
        committed = steps_in(tmp_path)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert committed == [10]
    found = latest(open_store(tmp_path), PREFIX)
    assert found is not None and found.step == 10


def test_weights_that_do_not_fit_are_refused_by_name():
    encoder = torch.nn.Linear(3, 4)
    with pytest.raises(DataError, match=r"checkpoint: 'bias' has shape \(5,\), the encoder's has \(4,\); resume with"):
        load_weights(encoder, {"weight": torch.zeros(4, 3), "bias": torch.zeros(5)})
    with pytest.raises(DataError, match=r"'scale' is only in the checkpoint \(1 such names\)"):
        load_weights(encoder, {"weight": torch.zeros(4, 3), "bias": torch.zeros(4), "scale": torch.zeros(1)})
    with pytest.raises(DataError, match="'bias' is only in the encoder"):
        load_weights(encoder, {"weight": torch.zeros(4, 3)})
