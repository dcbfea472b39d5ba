"""Vectors in bulk: the same as one text at a time, whatever the order, the batches and the precision; and on disk."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.errors import DataError
from retrieval.encode import encode_texts, read_vectors, write_vectors
from retrieval.encoder.config import EncoderConfig, FreshConfig
from retrieval.encoder.dual import DualEncoder
from retrieval.encoder.folder import build_encoder
from retrieval.encoder.tokens import Tokens

WORDS = ["the", "river", "rises", "in", "a", "forest", "and", "ends", "where", "many", "ships", "meet", "the", "sea"]
TEXTS = [" ".join(WORDS[first : first + 1 + number % 9]) for number, first in enumerate(list(range(12)) * 3)]


@pytest.fixture(scope="module")
def made() -> tuple[DualEncoder, Tokens]:
    fresh = FreshConfig(layers=3, hidden=64, heads=4, intermediate=128, vocabulary=200)
    encoder, tokens = build_encoder(EncoderConfig(fresh=fresh, projection=24), TEXTS)
    for parameter in encoder.backbone.parameters():  # vectors further apart than those of freshly drawn weights
        parameter.data *= 2
    return encoder, tokens


def test_bulk_equals_one_text_at_a_time(made: tuple[DualEncoder, Tokens]) -> None:
    encoder, tokens = made
    vectors = encode_texts(encoder, tokens, TEXTS, "passage", max_tokens_per_batch=64)
    assert vectors.dtype == np.float32 and vectors.shape == (len(TEXTS), 24)
    with torch.no_grad():
        for row, text in enumerate(TEXTS):
            inputs = {name: torch.from_numpy(array) for name, array in tokens([text], "passage").items()}
            np.testing.assert_allclose(vectors[row], encoder(**inputs)[0].numpy(), atol=1e-5)


def recorded(
    made: tuple[DualEncoder, Tokens], texts: list[str], max_tokens: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Vectors of the texts, and the token ids of every batch that went through the encoder."""
    batches: list[np.ndarray] = []
    hook = made[0].register_forward_pre_hook(
        lambda _, __, inputs: batches.append(inputs["input_ids"].numpy()), with_kwargs=True
    )
    try:
        return encode_texts(*made, texts, "query", max_tokens_per_batch=max_tokens), batches
    finally:
        hook.remove()


@settings(max_examples=10, deadline=None)
@given(rows=st.permutations(range(len(TEXTS))), repeats=st.lists(st.integers(0, len(TEXTS) - 1), max_size=9))
def test_order_and_repetition_change_no_bit(
    made: tuple[DualEncoder, Tokens], rows: list[int], repeats: list[int]
) -> None:
    reference, reference_batches = recorded(made, TEXTS, 100)
    chosen = [*rows, *repeats]
    vectors, batches = recorded(made, [TEXTS[row] for row in chosen], 100)
    np.testing.assert_array_equal(vectors, reference[chosen])
    assert [batch.tolist() for batch in batches] == [batch.tolist() for batch in reference_batches]


@pytest.mark.parametrize("max_tokens", [1, 40, 100, 10_000])
def test_batches_stay_within_their_tokens(made: tuple[DualEncoder, Tokens], max_tokens: int) -> None:
    _, batches = recorded(made, TEXTS, max_tokens)
    assert sum(len(batch) for batch in batches) == len(set(TEXTS))
    assert all(batch.size <= max_tokens or len(batch) == 1 for batch in batches)
    assert len(batches) == 1 or max_tokens < 10_000


def test_bfloat16_keeps_the_vectors(made: tuple[DualEncoder, Tokens]) -> None:
    full = encode_texts(*made, TEXTS, "query")
    half = encode_texts(*made, TEXTS, "query", precision="bf16")
    assert half.dtype == np.float32 and not np.array_equal(half, full)
    assert (full * half).sum(1).min() >= 0.9999


def test_roles_differ_and_the_mode_is_left_as_it_was(made: tuple[DualEncoder, Tokens]) -> None:
    encoder, tokens = made
    encoder.train()
    queries = encode_texts(encoder, tokens, TEXTS, "query")
    assert encoder.training and encoder.backbone.training
    encoder.eval()
    np.testing.assert_array_equal(encode_texts(encoder, tokens, TEXTS, "query"), queries)  # no dropout was at work
    assert not np.allclose(encode_texts(encoder, tokens, TEXTS, "passage"), queries, atol=1e-3)
    assert not encoder.training


def test_weights_put_in_place_while_encoding_can_be_trained_on(made: tuple[DualEncoder, Tokens]) -> None:
    encoder, tokens = made
    layer = encoder.dense[0]

    def gather(*_: object) -> None:  # what ZeRO-3 does before a forward; it keeps small weights afterwards
        layer.weight.data = layer.weight.data.clone()

    hook = layer.register_forward_pre_hook(gather)
    encode_texts(encoder, tokens, TEXTS, "query")
    hook.remove()
    inputs = {name: torch.from_numpy(array) for name, array in tokens(TEXTS, "query").items()}
    encoder(**inputs).sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    encoder.zero_grad()


def test_no_texts_give_no_vectors(made: tuple[DualEncoder, Tokens], tmp_path: Path) -> None:
    vectors = encode_texts(*made, [], "query", languages=[])
    assert vectors.shape == (0, 24) and vectors.dtype == np.float32
    write_vectors(tmp_path, vectors)
    assert read_vectors(tmp_path).shape == (0, 24)


def test_languages_must_go_with_the_texts(made: tuple[DualEncoder, Tokens]) -> None:
    with pytest.raises(DataError, match="2 texts but 1 languages"):
        encode_texts(*made, ["a", "b"], "query", languages=["en"])


def test_vectors_come_back_from_disk(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 3))
    write_vectors(tmp_path / "new", vectors)
    back = read_vectors(tmp_path / "new")
    np.testing.assert_array_equal(back, vectors.astype(np.float32))
    assert isinstance(back, np.memmap) and not back.flags.writeable


def test_files_that_hold_no_vectors_are_one_line_errors(tmp_path: Path) -> None:
    path = tmp_path / "vectors.npy"
    with pytest.raises(DataError, match="missing; encode"):
        read_vectors(tmp_path)
    write_vectors(tmp_path, np.ones((40, 30)))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="cannot be read as an array") as caught:
        read_vectors(tmp_path)
    assert "\n" not in str(caught.value)
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read as an array"):
        read_vectors(tmp_path)
    path.write_bytes(pickle.dumps([[1.0]]))
    with pytest.raises(DataError, match="cannot be read as an array"):
        read_vectors(tmp_path)
    np.save(path, np.ones(3))
    with pytest.raises(DataError, match=r"holds float64 \(3,\)"):
        read_vectors(tmp_path)
