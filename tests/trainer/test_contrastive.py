import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.loss import LossConfig
from trainer.loss.contrastive import HARD_NEGATIVE, Texts, contrastive_loss, info_nce


def texts(vectors, slot, group=None, passage_id=None) -> Texts:
    """Texts whose groups and passage ids are all different where none are given."""
    own = range(100, 100 + len(slot))
    return Texts(
        torch.as_tensor(vectors, dtype=torch.float64),
        torch.tensor(slot),
        torch.tensor(group or [*own]),
        torch.tensor(passage_id or [*own]),
    )


def angles(*degrees: float) -> torch.Tensor:
    """Unit vectors in the plane."""
    radians = torch.tensor(degrees, dtype=torch.float64) * math.pi / 180
    return torch.stack([radians.cos(), radians.sin()], dim=1)


PLAIN = LossConfig(temperature=1.0, mask_same_group=False, mask_same_passage=False)


def test_one_positive_and_two_negatives_by_hand():
    query, passages = texts(angles(0), [0]), texts(angles(0, 60, 90), [0, 1, HARD_NEGATIVE])
    loss, correct = info_nce(query, passages, PLAIN)
    # cosines 1, 0.5 and 0
    assert loss.item() == pytest.approx(-math.log(math.e / (math.e + math.exp(0.5) + 1)))
    assert correct.tolist() == [True]


def test_two_positives_compete_with_negatives_and_not_with_each_other():
    query, passages = texts(angles(0), [0]), texts(angles(0, 60, 90), [0, 0, HARD_NEGATIVE])
    loss, _ = info_nce(query, passages, PLAIN)
    first, second = -math.log(math.e / (math.e + 1)), -math.log(math.exp(0.5) / (math.exp(0.5) + 1))
    assert loss.item() == pytest.approx((first + second) / 2)


def test_temperature_divides_the_cosines():
    query, passages = texts(angles(0), [0]), texts(angles(60, 90), [0, 1])
    loss, _ = info_nce(query, passages, PLAIN.model_copy(update={"temperature": 0.05}))
    assert loss.item() == pytest.approx(math.log1p(math.exp(-0.5 / 0.05)))


@pytest.mark.parametrize("mask", ["mask_same_group", "mask_same_passage"])
def test_a_masked_false_negative_counts_for_nothing(mask: str):
    shared = {"group" if mask == "mask_same_group" else "passage_id": [7, 7, 8]}
    query = texts(angles(0), [0], **{key: [7] for key in shared})
    passages = texts(angles(0, 0, 90), [0, 1, 2], **shared)
    unmasked, wrong = info_nce(query, passages, PLAIN)
    masked, right = info_nce(query, passages, PLAIN.model_copy(update={mask: True}))
    assert unmasked.item() == pytest.approx(-math.log(math.e / (math.e + math.e + 1)))
    assert masked.item() == pytest.approx(-math.log(math.e / (math.e + 1)))
    assert (wrong.item(), right.item()) == (False, True)  # a tie with a negative is no success


def test_a_query_without_negatives_has_no_loss_and_no_gradient():
    query = texts(angles(0), [0], group=[7])
    query.vectors.requires_grad_()
    loss, correct = info_nce(query, texts(angles(30, 60), [0, 1], group=[7, 7]), LossConfig())
    loss.sum().backward()
    assert loss.item() == 0 and correct.item()
    assert query.vectors.grad.tolist() == [[0, 0]]


def test_symmetric_averages_both_directions_by_hand():
    queries, passages = texts(angles(0, 90), [0, 1]), texts(angles(0, 60, 90), [0, 0, 1])
    result = contrastive_loss(queries, passages, queries, passages, PLAIN.model_copy(update={"symmetric": True}))

    def term(positive: float, *others: float) -> float:
        return -math.log(math.exp(positive) / (math.exp(positive) + sum(map(math.exp, others))))

    def cosine(degrees: float) -> float:
        return math.cos(math.radians(degrees))

    first = (term(1, 0) + term(0.5, 0)) / 2
    first_back = (term(1, 0) + term(0.5, cosine(30))) / 2
    second, second_back = term(1, cosine(30), 0), term(1, 0)
    assert result.loss.tolist() == pytest.approx([(first + first_back) / 2, (second + second_back) / 2])


def test_large_scores_stay_finite_and_exact():
    # Scores of +-2e5: exp of them overflows even in float64.
    query, passages = texts(angles(0), [0]), texts(angles(180, 0), [0, 1])
    query.vectors.requires_grad_()
    loss, _ = info_nce(query, passages, PLAIN.model_copy(update={"temperature": 1e-5}))
    loss.sum().backward()
    assert loss.item() == pytest.approx(2e5)
    assert torch.isfinite(query.vectors.grad).all()


@st.composite
def batches(draw) -> tuple[Texts, Texts, LossConfig]:
    """Queries with one to three positives each, hard negatives, shared groups and passage ids."""
    num_queries = draw(st.integers(1, 5))
    groups = draw(st.lists(st.integers(0, 3), min_size=num_queries, max_size=num_queries))
    passage_ids = draw(st.lists(st.integers(0, 3), min_size=num_queries, max_size=num_queries))
    slots = [s for s in range(num_queries) for _ in range(draw(st.integers(1, 3)))]
    hard = draw(st.integers(0, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))

    def vectors(count: int) -> torch.Tensor:
        drawn = torch.randn(count, 4, generator=generator, dtype=torch.float64)
        return torch.nn.functional.normalize(drawn, dim=1)

    own = [*range(50, 50 + hard)]
    queries = texts(vectors(num_queries), [*range(num_queries)], groups, passage_ids)
    passages = texts(
        vectors(len(slots) + hard),
        slots + [HARD_NEGATIVE] * hard,
        [groups[s] for s in slots] + own,
        [passage_ids[s] for s in slots] + own,
    )
    config = LossConfig(
        temperature=draw(st.sampled_from([0.05, 0.5, 1.0])),
        symmetric=draw(st.booleans()),
        mask_same_group=draw(st.booleans()),
        mask_same_passage=draw(st.booleans()),
    )
    return queries, passages, config


@settings(deadline=None)
@given(batches())
def test_array_code_equals_plain_loops(batch: tuple[Texts, Texts, LossConfig]):
    queries, passages, config = batch
    result = contrastive_loss(queries, passages, queries, passages, config)
    score = (queries.vectors @ passages.vectors.T / config.temperature).tolist()

    def same(i: int, p: int) -> bool:
        return bool(
            (config.mask_same_group and queries.group[i] == passages.group[p])
            or (config.mask_same_passage and queries.passage_id[i] == passages.passage_id[p])
        )

    def softmax_loss(positive: float, others: list[float]) -> float:
        return math.log(sum(math.exp(other - positive) for other in others) + 1)

    for i in range(len(queries.slot)):
        mine = [p for p in range(len(passages.slot)) if passages.slot[p] == i]
        rivals = [p for p in range(len(passages.slot)) if p not in mine and not same(i, p)]
        terms = []
        for p in mine:
            term = softmax_loss(score[i][p], [score[i][n] for n in rivals])
            if config.symmetric:
                others = [j for j in range(len(queries.slot)) if j != i and not same(j, p)]
                term = (term + softmax_loss(score[i][p], [score[j][p] for j in others])) / 2
            terms.append(term)
        assert result.loss[i].item() == pytest.approx(sum(terms) / len(terms), abs=1e-12)
        best = max(score[i][p] for p in mine)
        assert result.correct[i].item() == all(score[i][n] < best for n in rivals)
