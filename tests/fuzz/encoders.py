"""Encoders' folders and checkpoints: JSON and safetensors, one file of an otherwise whole folder at a time."""

import functools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fuzz.stored import recommit, store_with
from fuzz.targets import Target

PREFIX = "training/abc"
STEP = f"{PREFIX}/checkpoints/step-00000003"
TEXTS = ("Where does it rain?", "Wo regnet es?", "It rains in the hills.", "Es regnet in den Bergen.")
WHOLE = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
"""Files that only the whole encoder reads, by libraries."""


@functools.cache
def tiny_encoder() -> dict[str, bytes]:
    """Path within the folder -> content, of a small encoder with a projection and an image tower."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from retrieval.encoder.config import EncoderConfig, FreshConfig, FreshImageConfig, ImageConfig
    from retrieval.encoder.folder import build_encoder, save_encoder

    fresh = FreshConfig(layers=1, hidden=8, heads=2, intermediate=8, vocabulary=64)
    image = ImageConfig(fresh=FreshImageConfig(layers=1, hidden=8, heads=2, intermediate=8, image_size=8, patch_size=4))
    config = EncoderConfig(fresh=fresh, image=image, projection=4, max_query_tokens=8, max_passage_tokens=16)
    with tempfile.TemporaryDirectory() as name:
        save_encoder(Path(name), *build_encoder(config, TEXTS))
        files = (path for path in Path(name).rglob("*") if path.is_file())
        return {path.relative_to(name).as_posix(): path.read_bytes() for path in files}


def write_encoder(folder: Path) -> None:
    """The small encoder as a folder; files that a reader put there before go."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in tiny_encoder().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _with(name: str, read: Callable[[Path], Any]) -> Callable[[bytes, Path], None]:
    def reader(data: bytes, folder: Path) -> None:
        place = folder / "encoder"
        if not place.exists():
            write_encoder(place)
        (place / name).write_bytes(data)
        read(place)

    return reader


def _modules(folder: Path) -> None:
    from retrieval.encoder.modules import read_modules

    read_modules(folder)


def _pixels(folder: Path) -> None:
    from retrieval.encoder.pixels import read_pixels

    read_pixels(folder / "image").encode(_picture(), "a picture")


@functools.cache
def _picture() -> bytes:
    from fuzz.binary_files import image_seeds

    return image_seeds()[1]


def _about(folder: Path) -> None:
    from retrieval.encoder.folder import saved_config

    saved_config(folder)


def _whole(folder: Path) -> None:
    from retrieval.encoder.folder import load_encoder

    encoder, tokens = load_encoder(folder)
    tokens(["rain"], "query")
    assert encoder.dimension


def _seed(name: str) -> Callable[[], Sequence[bytes]]:
    return lambda: [tiny_encoder()[name]]


def _tensors() -> dict[str, Any]:
    import torch

    return {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(3)}


def checkpoint_files() -> dict[str, bytes]:
    """The files of a small checkpoint."""
    from safetensors.torch import save

    moments = {f"{kind}/{name}": tensor for kind in ("exp_avg", "exp_avg_sq") for name, tensor in _tensors().items()}
    state = {
        "version": 1, "step": 3, "fingerprint": "f", "seed": 5, "optimizer_steps": 3, "progress": {"best": 0.5},
        "libraries": {"torch": "2"},
    }  # fmt: skip
    return {
        "weights.safetensors": save(_tensors()),
        "optimizer.safetensors": save(moments),
        "state.json": json.dumps(state).encode(),
    }


def _checkpoint(name: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        from trainer.checkpoint import latest, read_checkpoint

        store = store_with(folder, STEP, {"checkpoint": 3}, checkpoint_files())
        replace_in(folder / "root" / STEP, name, data)
        latest(store, PREFIX)
        read_checkpoint(store, PREFIX, 3)

    return read


def replace_in(place: Path, name: str, data: bytes) -> None:
    """Put other bytes into a result set, whose manifest knows them: what a stranger with the right to write can do."""
    import hashlib

    (place / name).write_bytes(data)
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (place / "manifest.json").write_text(json.dumps(manifest))
    recommit(place)


TARGETS = (
    Target("modules_json", _with("modules.json", _modules), _seed("modules.json"), cost=15),
    Target("pooling_json", _with("1_Pooling/config.json", _modules), _seed("1_Pooling/config.json"), cost=15),
    Target("dense_json", _with("2_Dense/config.json", _modules), _seed("2_Dense/config.json"), cost=15),
    Target("dense_weights", _with("2_Dense/model.safetensors", _modules), _seed("2_Dense/model.safetensors"), cost=15),
    Target(
        "pixels_json", _with("image/preprocessor_config.json", _pixels), _seed("image/preprocessor_config.json"), cost=5
    ),
    Target("encoder_json", _with("mixlingual.json", _about), _seed("mixlingual.json"), cost=5),
    *(Target(f"encoder_{name}", _with(name, _whole), _seed(name), cost=1500) for name in WHOLE),
    Target("encoder_image_config", _with("image/config.json", _whole), _seed("image/config.json"), cost=1500),
    Target(
        "encoder_image_projection",
        _with("image/projection.safetensors", _whole),
        _seed("image/projection.safetensors"),
        cost=1500,
    ),
    *(
        Target(
            f"checkpoint_{name.partition('.')[0]}",
            _checkpoint(name),
            (lambda name=name: [checkpoint_files()[name]]),
            cost=40,
        )
        for name in ("weights.safetensors", "optimizer.safetensors", "state.json")
    ),
)
