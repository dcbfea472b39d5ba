"""How values are written and marked, and how names are made fit to show."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.report.measures import MAP, RANK_DISTANCE, Measure, interval, marks, number
from retrieval.report.results import Estimate
from retrieval.report.text import columns, isolated, label, listed, mix_text, parts_of, slug, visible

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.7984, ".798"), (1.0, "1.000"), (0.0, ".000"), (-0.0121, "−.012"), (-0.0001, ".000"), (None, "–")],
)
def test_shares_have_three_decimals_and_no_leading_zero(value: float | None, text: str) -> None:
    assert number(value, MAP) == text


@pytest.mark.parametrize(("value", "text"), [(287.4, "287"), (12.34, "12.3"), (0.0, "0.0"), (1583.2, "1,583")])
def test_ranks_have_no_decimals_beyond_a_hundred(value: float, text: str) -> None:
    assert number(value, RANK_DISTANCE) == text


def test_an_interval_is_two_numbers_or_nothing() -> None:
    assert interval(Estimate(mean=0.5, low=0.4, high=0.6), MAP) == ".400–.600"
    assert interval(Estimate(mean=0.5, low=0.4), MAP) == ""


def test_marks_by_hand() -> None:
    values = {
        "far": Estimate(mean=0.50, low=0.48, high=0.52),
        "near": Estimate(mean=0.70, low=0.66, high=0.74),
        "top": Estimate(mean=0.75, low=0.73, high=0.77),
        "alone": Estimate(mean=0.74),
        "none": None,
    }
    assert marks(values, MAP) == {"far": "", "near": "close", "top": "best", "alone": "", "none": ""}
    assert marks(values, RANK_DISTANCE) == {"far": "best", "near": "", "top": "", "alone": "", "none": ""}


def test_one_arm_alone_is_not_called_best() -> None:
    assert marks({"only": Estimate(mean=0.5, low=0.4, high=0.6), "other": None}, MAP) == {"only": "", "other": ""}


ESTIMATES = st.builds(
    lambda mean, below, above: Estimate(mean=mean, low=mean - below, high=mean + above),
    st.floats(0, 1),
    st.floats(0, 0.3),
    st.floats(0, 0.3),
)


@given(st.dictionaries(st.text(), ESTIMATES, min_size=2), st.sampled_from([MAP, RANK_DISTANCE]))
def test_nothing_beats_the_best_and_close_means_overlap(values: dict[str, Estimate], measure: Measure) -> None:
    marked = marks(values, measure)
    best = [name for name in values if marked[name] == "best"]
    assert best
    sign = 1 if measure.higher_is_better else -1
    for name, one in values.items():
        assert sign * one.mean <= sign * values[best[0]].mean
        overlaps = any(one.low <= values[top].high and values[top].low <= one.high for top in best)
        assert (marked[name] == "close") == (name not in best and overlaps)


@given(ANY_TEXT)
def test_nothing_invisible_is_left(text: str) -> None:
    shown = visible(text)
    for character in shown:
        assert unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.bidirectional(character) not in (
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        )
    shown.encode("utf-8")
    assert shown == "".join(visible(character) for character in text)


@given(ANY_TEXT, st.integers(2, 40))
def test_a_label_keeps_to_its_width(text: str, width: int) -> None:
    shown = label(text, width)
    assert columns(shown) <= width
    assert shown == visible(text) or shown.endswith("…")


def test_wide_characters_take_two_columns_and_marks_none() -> None:
    assert columns("mBERT") == 5
    assert columns("混合") == 4
    assert columns("e\u0301") == 1
    assert label("混合訓練モデル", 8) == "混合訓…"


@given(ANY_TEXT)
def test_a_name_cannot_break_out_of_its_place_in_a_sentence(name: str) -> None:
    assert parts_of(f"Best is {isolated(name)} by far.") == ["Best is ", label(name), " by far."]


@given(st.lists(ANY_TEXT))
def test_a_slug_is_safe_as_file_name_and_id(parts: list[str]) -> None:
    assert set(slug(*parts)) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert slug(*parts)


def test_lists_and_mixes_in_words() -> None:
    assert [listed(["a", "b", "c"][:count]) for count in range(4)] == ["none", "a", "a and b", "a, b and c"]
    assert mix_text({"cross": "1/2", "mono": "1/2", "multi": "0"}) == "mono 1/2 + cross 1/2"
    assert mix_text({"mono": "1"}) == "mono"
    assert mix_text(None) == "–"
