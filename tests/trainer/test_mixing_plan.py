"""The plan: languages, rows and sources of every global batch."""

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.config import build_config
from cluster.errors import ConfigError, WorkError
from trainer.mixing.config import MixingConfig, SourceShape
from trainer.mixing.languages import balanced, ordered_pairs, parallel_languages
from trainer.mixing.ledger import Ledger
from trainer.mixing.permute import key_of, permute
from trainer.mixing.plan import CODE_SWITCHED, CROSS, MONO, MULTI, GlobalBatch, Plan
from trainer.mixing.ratios import KINDS
from trainer.mixing.rows import RowOrder

LANGUAGES = ("ar", "de", "el", "en", "es")


def shape(name: str, languages: int, groups: int, row_group_rows: int = 32) -> SourceShape:
    return SourceShape(name, LANGUAGES[:languages], groups, row_group_rows)


def make_plan(mix: Any, *sources: SourceShape, seed: int = 0, **options: Any) -> Plan:
    return Plan(
        build_config(MixingConfig, {"mix": mix, "batch": 12, **options}), sources or (shape("a", 4, 500),), seed
    )


mixes = st.sampled_from(
    [
        {"mono": 1},
        {"cross": 1},
        {"multi": 1},
        {"mono": 0.5, "cross": 0.5},
        {"mono": 0.2, "cross": 0.3, "multi": 0.5},
        {"mono": 0.4, "cross": 0.4, "code_switched": 0.2},
        {"multi": 0.1, "code_switched": 0.9},
    ]
)
sources = st.lists(st.tuples(st.integers(1, 5), st.integers(12, 900)), min_size=1, max_size=4).map(
    lambda drawn: tuple(shape(f"s{n}", languages, groups) for n, (languages, groups) in enumerate(drawn))
)


@settings(max_examples=40, deadline=None)
@given(
    mix=mixes,
    sources=sources,
    batch=st.integers(2, 12),
    granularity=st.sampled_from(["batch", "slot"]),
    seed=st.integers(0, 99),
)
def test_random_plans_keep_every_promise(
    mix: dict[str, float], sources: tuple[SourceShape, ...], batch: int, granularity: str, seed: int
) -> None:
    try:
        plan = make_plan(mix, *sources, batch=batch, granularity=granularity, seed=seed)
    except ConfigError as error:
        assert "mixing.mix" in str(error) or "mixing.positives" in str(error)
        return
    config, ledger = plan.config, Ledger(plan.config, plan.sources)
    kinds_so_far = np.zeros(len(KINDS))
    one_language = (MONO, CODE_SWITCHED)
    batch_languages: dict[tuple[int, int], list[int]] = {}
    for step in range(60):
        drawn = plan.batch(step)
        assert drawn.row.shape == (batch,) and len(set(drawn.row.tolist())) == batch
        assert drawn.row.min() >= 0 and drawn.row.max() < sources[drawn.source].num_groups
        used = drawn.passage_language >= 0
        np.testing.assert_array_equal(
            used.sum(axis=1), np.where(drawn.kind == MULTI, drawn.passage_language.shape[1], 1)
        )
        first = drawn.passage_language[:, 0]
        same = np.isin(drawn.kind, one_language)
        assert (first[same] == drawn.query_language[same]).all()
        assert (first[drawn.kind == CROSS] != drawn.query_language[drawn.kind == CROSS]).all()
        for languages in drawn.passage_language[drawn.kind == MULTI].tolist():
            assert len(set(languages)) == min(config.positives, len(sources[drawn.source].languages))
        if granularity == "batch":
            assert len(set(drawn.kind.tolist())) == 1
            if drawn.kind[0] in one_language:
                assert len(set(drawn.query_language.tolist())) == 1
                place = (drawn.source, int(drawn.kind[0]))
                batch_languages.setdefault(place, []).append(int(drawn.query_language[0]))
        kinds_so_far += np.bincount(drawn.kind, minlength=len(KINDS)) / batch
        target = [float(config.mix[0].shares[kind]) * (step + 1) for kind in KINDS]
        several_only = all(len(source.languages) > 1 for source in sources)
        if granularity == "batch":
            assert np.abs(kinds_so_far - target).max() <= 1 + 1e-9
        elif several_only:  # in slots: each kind is within one slot of its share after every batch
            assert np.abs(kinds_so_far - target).max() * batch <= 1 + 1e-9
        ledger.record(drawn)
    for (source, _), languages in batch_languages.items():
        choices = len(sources[source].languages)
        for end in range(1, len(languages) + 1):
            counts = np.bincount(languages[:end], minlength=choices)
            assert np.abs(counts - end / choices).max() <= 1
    ledger.check()


def test_random_access_gives_what_walking_gives() -> None:
    walked = make_plan(
        {"mono": "1/3", "cross": "1/3", "multi": "1/3"}, shape("a", 4, 300), shape("b", 3, 200), shape("c", 1, 90)
    )
    batches = [walked.batch(step) for step in range(2500)]
    for step in (0, 1023, 1024, 2499):
        fresh = make_plan({"mono": "1/3", "cross": "1/3", "multi": "1/3"}, *walked.sources)
        for name, value in vars(fresh.batch(step)).items():
            np.testing.assert_array_equal(value, getattr(batches[step], name))


def test_mixes_with_one_seed_draw_the_same_groups_in_the_same_order() -> None:
    mixes = [{"mono": 1}, {"cross": 1}, {"mono": 0.5, "cross": 0.5}, {"multi": 1}, {"mono": 0.6, "code_switched": 0.4}]
    plans = [make_plan(mix, shape("a", 4, 300), shape("b", 3, 200)) for mix in mixes]
    for step in range(80):
        first, *others = [plan.batch(step) for plan in plans]
        for other in others:
            assert other.source == first.source
            np.testing.assert_array_equal(other.row, first.row)
    other_seed = make_plan({"mono": 1}, seed=1)
    assert other_seed.batch(0).row.tolist() != make_plan({"mono": 1}).batch(0).row.tolist()


def test_ordered_pairs_come_up_equally_often() -> None:
    plan = make_plan({"cross": 1}, shape("a", 4, 500))
    pairs: Counter[tuple[int, int]] = Counter()
    for step in range(25):  # 300 slots over 12 ordered pairs
        drawn = plan.batch(step)
        pairs.update(zip(drawn.query_language.tolist(), drawn.passage_language[:, 0].tolist(), strict=True))
    assert set(pairs) == set(itertools.permutations(range(4), 2))
    assert set(pairs.values()) == {25}


def test_multilingual_batches_balance_queries_and_passages() -> None:
    plan = make_plan({"multi": 1}, shape("a", 4, 500), positives=3)
    query, passage = np.zeros(4, int), np.zeros(4, int)
    for step in range(20):  # 240 queries, 720 passages
        drawn = plan.batch(step)
        query += np.bincount(drawn.query_language, minlength=4)
        passage += np.bincount(drawn.passage_language.ravel(), minlength=4)
    assert query.tolist() == [60] * 4
    assert passage.tolist() == [180] * 4


@settings(max_examples=60, deadline=None)
@given(
    groups=st.integers(5, 700),
    row_group_rows=st.sampled_from([1, 7, 32, 256]),
    batch=st.integers(2, 60),
    window=st.sampled_from([1, 50, 200, 10_000]),
    seed=st.integers(0, 9),
)
def test_an_epoch_never_repeats_a_row(groups: int, row_group_rows: int, batch: int, window: int, seed: int) -> None:
    batch = min(batch, groups)
    order = RowOrder("a", groups, row_group_rows, batch, window, seed)
    for epoch in range(2):
        numbers = range(epoch * order.batches_per_epoch, (epoch + 1) * order.batches_per_epoch)
        rows = np.concatenate([order.rows(number) for number in numbers])
        assert len(np.unique(rows)) == len(rows) == groups // batch * batch
        assert rows.min() >= 0 and rows.max() < groups


def test_epochs_differ_and_leave_out_other_rows() -> None:
    order = RowOrder("a", 103, 16, 10, 1000, 0)
    epochs = [np.concatenate([order.rows(e * 10 + n) for n in range(10)]) for e in range(30)]
    assert epochs[0].tolist() != epochs[1].tolist()
    left_out = Counter(row for epoch in epochs for row in set(range(103)) - set(epoch.tolist()))
    assert len(left_out) > 40  # 30 epochs x 3 rows each, spread out


def test_a_short_row_group_sits_out_in_few_epochs() -> None:
    """Five rows of 1,605 sit out of every epoch; 32 row groups, the short one among them, stand in the last window."""
    order, epochs = RowOrder("a", 16 * 100 + 5, 16, 8, 512, 0), 300
    times = 0
    for epoch in range(epochs):
        rows = order.rows_of(epoch * order.batches_per_epoch, order.batches_per_epoch)
        times += not np.isin(np.arange(1600, 1605), rows).any()
    assert 0 < times < 3 * epochs / 32


@pytest.mark.parametrize(
    ("ranks", "row_group_rows", "batch", "window"),
    [(8, 64, 512, 16_384), (64, 64, 4096, 65_536), (64, 256, 1024, 16_384), (64, 256, 8192, 16_384)],
)
def test_all_ranks_together_read_little_more_than_the_data(
    ranks: int, row_group_rows: int, batch: int, window: int
) -> None:
    order = RowOrder("a", 512 * 400 + 77, row_group_rows, batch, window, 5)
    per_rank = order.batch // ranks
    seen: set[tuple[int, int, int]] = set()
    windows = max(order.window_rows // order.batch, 1)
    for number in range(order.batches_per_epoch):
        row_group = order.rows(number) // order.row_group_rows
        for rank in range(ranks):
            mine = np.unique(row_group[rank * per_rank : (rank + 1) * per_rank])
            seen.update((number // windows, rank, int(group)) for group in mine)
    row_groups = -(-order.num_groups // order.row_group_rows)
    assert len(seen) <= 1.2 * row_groups


@settings(deadline=None)
@given(size=st.integers(1, 5000), key=st.integers(0, 2**64 - 1))
def test_permutations_are_permutations_and_invert(size: int, key: int) -> None:
    sent = permute(np.arange(size), size, np.uint64(key))
    assert sorted(sent.tolist()) == list(range(size))
    np.testing.assert_array_equal(permute(sent, size, np.uint64(key), inverse=True), np.arange(size))


def test_permutations_are_pinned() -> None:
    """Computed orders are part of a run's identity: they must never change with a machine or a numpy version."""
    assert permute(np.arange(8), 8, key_of(0, "pinned")).tolist() == PINNED_ORDER
    assert make_plan({"mono": 0.5, "cross": 0.5}).batch(3).row.tolist() == PINNED_ROWS


def test_permutations_look_uniform() -> None:
    places = np.array([permute(np.arange(5), 5, key_of(0, n))[0] for n in range(2000)])
    assert np.abs(np.bincount(places, minlength=5) - 400).max() < 80


@settings(deadline=None)
@given(choices=st.sampled_from([1, 2, 6, 110, 2000]), start=st.integers(0, 10**9))
def test_balanced_choices_use_each_once_a_cycle(choices: int, start: int) -> None:
    first = start // choices * choices
    drawn = balanced(first + np.arange(choices), choices, key_of("x"))
    assert sorted(drawn.tolist()) == list(range(choices))


def test_ordered_pairs_cover_all_but_the_diagonal() -> None:
    first, second = ordered_pairs(np.arange(20), 5)
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == set(itertools.permutations(range(5), 2))


def test_parallel_languages_are_distinct() -> None:
    drawn = parallel_languages(np.arange(50), 7, 3, key_of("y"))
    assert all(len(set(row)) == 3 for row in drawn.tolist())


def test_the_shares_of_ranks_make_up_the_batch() -> None:
    drawn = make_plan({"mono": 0.5, "multi": 0.5}, granularity="slot").batch(7)
    for ranks in (1, 2, 4):
        parts = [drawn.share(rank, ranks) for rank in range(ranks)]
        np.testing.assert_array_equal(np.concatenate([part.row for part in parts]), drawn.row)
        np.testing.assert_array_equal(np.concatenate([part.kind for part in parts]), drawn.kind)


@pytest.mark.parametrize(
    ("mix", "shapes", "options", "says"),
    [
        ({"cross": 1}, [shape("a", 1, 50)], {}, "mixing.mix: all but mono batches need groups in two languages"),
        ({"mono": 1}, [shape("a", 3, 5)], {}, "mixing.batch: 12 exceeds the 5 groups of source a"),
        ({"multi": 1}, [shape("a", 3, 50)], {"positives": 4}, "mixing.positives: 4"),
        ([{"step": 9, "mono": 1}, {"step": 9, "cross": 1}], [shape("a", 3, 50)], {}, "steps must rise"),
        ({"mono": 1}, [], {}, "data.train"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(
    mix: Any, shapes: list[SourceShape], options: dict[str, Any], says: str
) -> None:
    config = build_config(MixingConfig, {"mix": mix, "batch": 12, **options})
    with pytest.raises(ConfigError, match="mixing|data") as error:
        Plan(config, tuple(shapes), 0)
    assert says in str(error.value)


def test_single_language_sources_fill_monolingual_steps_only() -> None:
    plan = make_plan({"mono": 0.25, "cross": 0.75}, shape("parallel", 3, 300), shape("english", 1, 300))
    sources = Counter((plan.batch(step).source, int(plan.batch(step).kind[0])) for step in range(400))
    assert sources[(0, CROSS)] == 300
    assert sources[(1, MONO)] == 100  # by size it would have had half of all steps; a quarter is what fits


class TestLedger:
    def batches(self, plan: Plan, steps: int) -> list[GlobalBatch]:
        return [plan.batch(step) for step in range(steps)]

    def test_counts_what_was_trained_on(self) -> None:
        plan = make_plan({"mono": 0.5, "cross": 0.5})
        ledger = Ledger(plan.config, plan.sources)
        for drawn in self.batches(plan, 40):
            ledger.record(drawn)
        ledger.check()
        summary = ledger.summary()
        assert summary["kinds"] == {"mono": {"share": "1/2", "count": 20}, "cross": {"share": "1/2", "count": 20}}
        assert summary["languages"]["mono"] == {"ar": 60, "de": 60, "el": 60, "en": 60}
        assert sum(count for _, _, count in summary["pairs"]["cross"]) == 240
        assert summary["largest_prefix_deviation"] <= 1

    def test_state_continues_where_it_stopped(self) -> None:
        plan = make_plan({"mono": 0.4, "multi": 0.6}, shape("a", 4, 300), shape("b", 2, 200))
        whole, first = Ledger(plan.config, plan.sources), Ledger(plan.config, plan.sources)
        for drawn in self.batches(plan, 30):
            whole.record(drawn)
        for drawn in self.batches(plan, 11):
            first.record(drawn)
        second = Ledger(plan.config, plan.sources, first.state())
        for drawn in self.batches(plan, 30)[11:]:
            second.record(drawn)
        assert second.summary() == whole.summary()

    def test_notices_a_wrong_order_a_wrong_language_and_a_wrong_mix(self) -> None:
        plan = make_plan({"mono": 0.5, "cross": 0.5})
        with pytest.raises(WorkError, match="step 3 reached the loss, 0 was due"):
            Ledger(plan.config, plan.sources).record(plan.batch(3))
        mono = next(drawn for drawn in self.batches(plan, 10) if drawn.kind[0] == MONO)
        spoiled = GlobalBatch(0, 0, mono.kind, mono.row, (mono.query_language + 1) % 4, mono.passage_language)
        ledger = Ledger(plan.config, plan.sources)
        ledger.record(spoiled)
        with pytest.raises(WorkError, match="two languages"):
            ledger.check()
        ledger = Ledger(plan.config, plan.sources)
        for step in range(5):
            ledger.record(GlobalBatch(step, 0, mono.kind, mono.row, mono.query_language, mono.passage_language))
        with pytest.raises(WorkError, match=r"strayed 2\.50"):
            ledger.check()


PINNED_ORDER = [3, 2, 7, 4, 0, 6, 5, 1]
PINNED_ROWS = [107, 289, 353, 52, 339, 250, 184, 468, 82, 26, 401, 142]
