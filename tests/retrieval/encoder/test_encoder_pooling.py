"""Pooling against a loop over texts, with anything at all in the padding."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.encoder.config import EncoderConfig
from retrieval.encoder.dual import IDENTITY, TANH, Dense, DualEncoder
from retrieval.encoder.pooling import pool


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5), padding=st.sampled_from([0.0, 7.0, float("nan")]))
def test_each_text_pools_as_if_it_were_alone(lengths: list[int], padding: float) -> None:
    state = torch.from_numpy(np.random.default_rng(sum(lengths)).normal(size=(len(lengths), 7, 3)).astype(np.float32))
    mask = torch.arange(7)[None] < torch.tensor(lengths)[:, None]
    state[~mask] = padding
    cls, mean, last = (pool(state, mask.long(), how) for how in ("cls", "mean", "last"))
    for row, length in enumerate(lengths):
        alone = state[row, :length]
        torch.testing.assert_close(cls[row], alone[0])
        torch.testing.assert_close(mean[row], alone.mean(0))
        torch.testing.assert_close(last[row], alone[-1])


def test_the_mean_is_taken_in_float32() -> None:
    # 4096 + 1 is 4096 in bfloat16: summed there, the ones would vanish.
    state = torch.tensor([4096.0, *[1.0] * 511], dtype=torch.bfloat16).reshape(1, 512, 1)
    assert pool(state, torch.ones(1, 512, dtype=torch.int64), "mean").item() == (4096 + 511) / 512


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_vectors_are_float32_of_length_one_whatever_the_weights(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layers = [Dense(8, 6, bias=True, activation=TANH), Dense(6, 4, bias=False, activation=IDENTITY)]
    encoder = DualEncoder(_Lookup(), 8, layers, EncoderConfig(name_or_path="lookup")).to(dtype)
    vectors = encoder(torch.tensor([[1, 2, 0], [3, 0, 0]]), torch.tensor([[1, 1, 0], [1, 0, 0]]))
    assert vectors.dtype == torch.float32 and vectors.shape == (2, 4) and encoder.dimension == 4
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    table, (tanh, last) = encoder.backbone.table.weight.float(), encoder.dense
    expected = torch.tanh((table[1] + table[2]) / 2 @ tanh.weight.float().T + tanh.bias.float()) @ last.weight.float().T
    torch.testing.assert_close(
        vectors[0], expected / expected.norm(), atol=1e-5 if dtype == torch.float32 else 0.03, rtol=0
    )


class _Lookup(torch.nn.Module):
    """The smallest transformer there is: its token states are its embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(4, 8)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> object:
        from transformers.modeling_outputs import BaseModelOutput

        return BaseModelOutput(last_hidden_state=self.table(input_ids))
