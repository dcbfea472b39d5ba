"""Dropout: what is dropped, how often, and what becomes of the rest and of its gradient."""

import pytest
import torch

from retrieval.encoder.dropout import add_dropped, drop


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_so_many_are_dropped_and_the_mean_stays(probability: float, dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    x = torch.full((400_001,), 2.0, dtype=dtype, requires_grad=True)
    dropped = drop(x, probability)
    zero = dropped == 0
    # Every lane of the random words, and neighbours independent of each other: within 5 standard errors.
    for lane in range(4):
        share = zero[lane::4].double().mean()
        assert abs(share - probability) < 5 * (probability * (1 - probability) / 100_000) ** 0.5
    both = (zero[1:] & zero[:-1]).double().mean()
    assert abs(both - probability**2) < 5 * (probability**2 / 400_000) ** 0.5
    torch.testing.assert_close(dropped[~zero].detach().float(), torch.full((int((~zero).sum()),), 2 / (1 - probability)),
                               rtol=1e-2 if dtype == torch.bfloat16 else 1e-4, atol=0)  # fmt: skip
    assert float(dropped.detach().double().mean()) == pytest.approx(2.0, rel=3e-2)
    (gradient,) = torch.autograd.grad(dropped.sum(), x)
    torch.testing.assert_close(gradient, dropped.detach() / 2)


def test_a_seed_repeats_it_and_nothing_is_drawn_for_none() -> None:
    x = torch.arange(1.0, 25.0).view(2, 3, 4)

    def seeded(probability: float) -> torch.Tensor:
        torch.manual_seed(7)
        return drop(x, probability)

    assert torch.equal(seeded(0.5), seeded(0.5)) and seeded(0.5).shape == x.shape
    assert seeded(0.0) is x
    after = torch.rand(1)
    torch.manual_seed(7)
    assert torch.equal(torch.rand(1), after)
    assert torch.isfinite(seeded(1 - 1e-9)).all()


def test_added_to_a_residual_it_is_the_same_dropout_with_the_same_gradients() -> None:
    found = []
    for add in (add_dropped, lambda residual, x, probability: residual + drop(x, probability)):
        torch.manual_seed(3)
        residual, x = torch.randn(40, 33, requires_grad=True), torch.randn(40, 33, requires_grad=True)
        out = add(residual, x, 0.3)
        (out * torch.arange(33)).sum().backward()
        found.append((out.detach(), residual.grad, x.grad))
    torch.testing.assert_close(found[0], found[1])
    assert 0.2 < float((found[0][2][:, 1:] == 0).float().mean()) < 0.4
