"""A pickle put where something is read: whatever reads it refuses it, and what the pickle would do does not happen."""

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fuzz.binary_files import groups_folder, vectors_folder
from fuzz.encoders import PREFIX, STEP, checkpoint_files, replace_in, write_encoder
from fuzz.stored import store_with

from cluster.errors import ConfigError, DataError, MixlingualError
from cluster.storage import open_result_set
from cluster.storage.cache import Cache
from cluster.storage.result_set import read_result_set
from retrieval.dictionary import DICTIONARY_FILE, read_dictionary
from retrieval.encode import VECTORS_FILE, read_vectors
from retrieval.encoder.folder import load_encoder
from retrieval.evaluate import PER_QUERY, PER_QUERY_BIAS, read_evaluation
from retrieval.groups import GROUPS_FILE, open_groups
from retrieval.images import decoded
from retrieval.index.vector_files import open_vector_files, part_name
from trainer.checkpoint import latest, read_checkpoint


class Creates:
    """Unpickling one creates a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "unpickled"


@pytest.fixture(params=["pickle", "torch", "numpy"])
def planted(request: pytest.FixtureRequest, trace: Path, tmp_path: Path) -> bytes:
    """A file that creates another one where it is unpickled, as Python, torch or numpy write it."""
    path = tmp_path / "planted"
    if request.param == "pickle":
        path.write_bytes(pickle.dumps(Creates(trace)))
        pickle.loads(path.read_bytes())  # noqa: S301 - to see that it would
    elif request.param == "torch":
        torch.save({"weight": Creates(trace)}, path)
        torch.load(path, weights_only=False)
    else:
        with path.open("wb") as file:
            np.save(file, np.array([Creates(trace)], dtype=object), allow_pickle=True)
        np.load(path, allow_pickle=True)
    assert trace.exists()
    trace.unlink()
    return path.read_bytes()


def refuse(read: Callable[[], object], trace: Path) -> str:
    """The error that a reader refuses with, and that nothing was created."""
    with pytest.raises(MixlingualError) as refusal:
        read()
    assert not trace.exists()
    return str(refusal.value)


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "state.json"])
def test_in_a_checkpoint(planted: bytes, trace: Path, tmp_path: Path, name: str) -> None:
    store = store_with(tmp_path, STEP, {"checkpoint": 3}, checkpoint_files())
    replace_in(tmp_path / "root" / STEP, name, planted)
    assert name in refuse(lambda: read_checkpoint(store, PREFIX, 3), trace)
    assert latest(store, PREFIX) is None and not trace.exists()


def test_beside_the_files_of_a_checkpoint(planted: bytes, trace: Path, tmp_path: Path) -> None:
    store = store_with(tmp_path, STEP, {"checkpoint": 3}, checkpoint_files())
    for name in ("weights.pt", "tuner.pkl", "trainer.pkl", ".metadata.pkl"):
        (tmp_path / "root" / STEP / name).write_bytes(planted)
    assert read_checkpoint(store, PREFIX, 3).step == 3 and not trace.exists()


@pytest.mark.parametrize("name", ["manifest.json", "COMMIT", "a.txt"])
def test_in_a_result_set(planted: bytes, trace: Path, tmp_path: Path, name: str) -> None:
    store = store_with(tmp_path, "runs/1", {}, {"a.txt": b"a"})
    (tmp_path / "root" / "runs" / "1" / name).write_bytes(planted)
    refuse(lambda: open_result_set(store, "runs/1"), trace)


def test_in_files_of_vectors(planted: bytes, trace: Path, tmp_path: Path) -> None:
    place = vectors_folder(tmp_path)
    (place / part_name(0)).write_bytes(planted)
    refuse(lambda: open_vector_files(place).read(0, 4), trace)
    (place / VECTORS_FILE).write_bytes(planted)
    refuse(lambda: read_vectors(place), trace)


def test_in_groups_tables_and_images(planted: bytes, trace: Path, tmp_path: Path) -> None:
    place = groups_folder(tmp_path)
    (place / "s" / "part-00000.parquet").write_bytes(planted)
    refuse(lambda: open_groups(place), trace)
    (place / GROUPS_FILE).write_bytes(planted)
    refuse(lambda: open_groups(place), trace)
    for name in (DICTIONARY_FILE, PER_QUERY, PER_QUERY_BIAS):
        (tmp_path / name).write_bytes(planted)
    refuse(lambda: read_dictionary(tmp_path), trace)
    refuse(lambda: read_evaluation(tmp_path), trace)
    refuse(lambda: decoded(planted, "image"), trace)


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "modules.json", "mixlingual.json",
        "1_Pooling/config.json", "2_Dense/model.safetensors", "2_Dense/config.json", "image/model.safetensors",
        "image/projection.safetensors", "image/preprocessor_config.json",
    ],
)  # fmt: skip
def test_in_an_encoders_folder(planted: bytes, trace: Path, tmp_path: Path, name: str) -> None:
    write_encoder(tmp_path / "e")
    (tmp_path / "e" / name).write_bytes(planted)
    refuse(lambda: load_encoder(tmp_path / "e"), trace)


@pytest.mark.parametrize("weights", ["model.safetensors", "2_Dense/model.safetensors", "image/model.safetensors"])
def test_in_place_of_an_encoders_weights(planted: bytes, trace: Path, tmp_path: Path, weights: str) -> None:
    write_encoder(tmp_path / "e")
    path = tmp_path / "e" / weights
    path.unlink()
    for name in ("pytorch_model.bin", "model.bin", "model.pt", "model.ckpt.index", "adapter_model.bin"):
        (path.parent / name).write_bytes(planted)
    assert "safetensors" in refuse(lambda: load_encoder(tmp_path / "e"), trace)


def test_beside_an_encoders_weights(planted: bytes, trace: Path, tmp_path: Path) -> None:
    write_encoder(tmp_path / "e")
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "adapter_model.bin", "adapter_config.json"):
        (tmp_path / "e" / name).write_bytes(planted)
    load_encoder(tmp_path / "e")
    assert not trace.exists()


def test_an_index_that_points_to_pickles(planted: bytes, trace: Path, tmp_path: Path) -> None:
    write_encoder(tmp_path / "e")
    shutil.move(tmp_path / "e" / "model.safetensors", tmp_path / "e" / "model-00001-of-00001.safetensors")
    (tmp_path / "e" / "pytorch_model-00001-of-00001.bin").write_bytes(planted)
    for name in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
        index = {
            "metadata": {},
            "weight_map": {"embeddings.word_embeddings.weight": "pytorch_model-00001-of-00001.bin"},
        }
        (tmp_path / "e" / name).write_text(json.dumps(index))
    assert "names 'pytorch_model-00001-of-00001.bin'" in refuse(lambda: load_encoder(tmp_path / "e"), trace)


@pytest.mark.parametrize("name", ["../other.safetensors", "/tmp/x.safetensors", "x.bin", "", 5])
def test_an_index_names_safetensors_beside_it_alone(tmp_path: Path, name: object) -> None:
    write_encoder(tmp_path / "e")
    (tmp_path / "e" / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": name}}))
    with pytest.raises(ConfigError, match="beside it only"):
        load_encoder(tmp_path / "e")


def test_in_a_cache(planted: bytes, trace: Path, tmp_path: Path) -> None:
    """A copy is named by its manifest's checksum: one that was changed is seen."""
    store_with(tmp_path, "runs/1", {}, {"a.txt": b"a"})
    folder = tmp_path / "root" / "runs" / "1"
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    cache = Cache(tmp_path / "cache", 1 << 30)
    copy = cache.get(digest, lambda target: shutil.copytree(folder, target, dirs_exist_ok=True))
    (copy / "a.txt").write_bytes(planted)
    with pytest.raises(DataError):
        read_result_set(cache.get(digest, lambda target: pytest.fail("fetched again")), "runs/1")
    assert not trace.exists()
