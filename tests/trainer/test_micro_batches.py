import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainer.micro_batches import cut_by_budget, cut_by_count, pad

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=40).map(np.array)


def padded(lengths: np.ndarray, rows: list[np.ndarray]) -> list[int]:
    return [len(row) * int(lengths[row].max()) for row in rows]


def test_long_texts_are_kept_apart_from_short_ones():
    lengths = np.array([10, 100, 10, 10, 10, 10, 100, 10, 10, 10, 10, 10])
    rows = cut_by_count(lengths, 2)
    assert [sorted(row) for row in rows] == [[1, 6], [0, 2, 3, 4, 5, 7, 8, 9, 10, 11]]
    assert padded(lengths, rows) == [200, 100]


@given(lengths=LENGTHS, data=st.data())
def test_every_text_is_in_exactly_one_of_the_wanted_number(lengths: np.ndarray, data):
    count = data.draw(st.integers(1, len(lengths)))
    rows = cut_by_count(lengths, count)
    assert len(rows) == count and all(len(row) for row in rows)
    assert sorted(np.concatenate(rows)) == list(range(len(lengths)))
    falling = lengths[np.concatenate(rows)]
    assert (np.diff(falling) <= 0).all()


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8).map(np.array), data=st.data())
def test_no_other_cut_has_a_smaller_largest_micro_batch(lengths: np.ndarray, data):
    count = data.draw(st.integers(1, len(lengths)))
    falling = np.sort(lengths)[::-1]

    def best(start: int, left: int) -> int:
        if left == 1:
            return int(falling[start] * (len(falling) - start))
        ends = range(start + 1, len(falling) - left + 2)
        return min(max(int(falling[start] * (end - start)), best(end, left - 1)) for end in ends)

    assert max(padded(lengths, cut_by_count(lengths, count))) == best(0, count)


@given(lengths=LENGTHS, budget=st.integers(1, 300))
def test_a_budget_is_kept_but_by_texts_longer_than_it(lengths: np.ndarray, budget: int):
    rows = cut_by_budget(lengths, budget)
    assert sorted(np.concatenate(rows)) == list(range(len(lengths)))
    assert all(size <= budget or len(row) == 1 for size, row in zip(padded(lengths, rows), rows, strict=True))


def test_nothing_to_cut_gives_nothing():
    assert cut_by_budget(np.array([], dtype=int), 10) == []


def test_padding():
    ids, mask = pad([np.array([5, 6, 7]), np.array([8])], pad_id=1)
    assert ids.tolist() == [[5, 6, 7], [8, 1, 1]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
