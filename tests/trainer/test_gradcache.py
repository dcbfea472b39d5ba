import numpy as np
import torch

from trainer.loss.gradcache import VectorPass

TEXTS = 7
ROWS = [np.array([4, 0]), np.array([6, 1, 2]), np.array([3]), np.array([5])]


class Run:
    """A small network with dropout, encoded as the engine does: every micro batch has its own seed."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.Dropout(0.5), torch.nn.Linear(16, 3)).double()
        self.inputs = torch.randn(TEXTS, 5, dtype=torch.float64)
        self.graphs: list[bool] = []
        self.lasts: list[bool] = []

    def encode(self, numbers) -> torch.Tensor:
        vectors = []
        for number in numbers:
            torch.manual_seed(number)
            vectors.append(self.net(self.inputs[ROWS[number]]))
        self.graphs += [vectors[0].requires_grad] * len(vectors)
        return torch.cat(vectors)

    def backward(self, surrogate: torch.Tensor, last: bool) -> None:
        surrogate.backward()
        self.lasts.append(last)

    def gradients(self, caching: bool, rows=ROWS) -> list[torch.Tensor]:
        forward = VectorPass(self.encode, rows, caching)
        vectors = forward.vectors.clone().requires_grad_()
        # A loss in which every vector meets every other one, as in a contrastive loss.
        (vectors @ vectors.T).softmax(1)[:, 0].log().sum().backward()
        forward.backward(vectors.grad, self.backward)
        return [parameter.grad for parameter in self.net.parameters()]


def direct() -> list[torch.Tensor]:
    run = Run()
    vectors = torch.empty(TEXTS, 3, dtype=torch.float64)
    vectors[np.concatenate(ROWS)] = run.encode(range(4))
    (vectors @ vectors.T).softmax(1)[:, 0].log().sum().backward()
    return [parameter.grad for parameter in run.net.parameters()]


def test_both_ways_give_the_gradient_of_one_graph_with_the_same_dropout():
    for caching in (False, True):
        torch.testing.assert_close(Run().gradients(caching), direct())


def test_caching_keeps_one_graph_at_a_time_and_marks_the_last():
    cached, plain = Run(), Run()
    cached.gradients(caching=True)
    plain.gradients(caching=False)
    assert cached.graphs == [False] * 4 + [True] * 4 and cached.lasts == [False, False, False, True]
    assert plain.graphs == [True] * 4 and plain.lasts == [True]


def test_a_single_micro_batch_is_encoded_once():
    run = Run()
    forward = VectorPass(lambda numbers: run.net(run.inputs), [np.arange(TEXTS)], caching=True)
    forward.backward(torch.ones(TEXTS, 3, dtype=torch.float64), run.backward)
    assert run.lasts == [True] and run.net[0].weight.grad is not None
