"""Code-switched batches, from the plan to token ids: whose texts are switched, by what, and that nothing else moves."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from distributed.small_run import LANGUAGES, WORDS, small_groups, small_plan

from cluster.config import build_config
from cluster.errors import ConfigError, WorkError
from retrieval.dictionary import Dictionary, StoredDictionary, write_dictionary
from retrieval.dictionary_of_groups import dictionary_of
from retrieval.encoder.config import EncoderConfig
from retrieval.encoder.folder import build_encoder
from retrieval.encoder.tokens import Tokens
from retrieval.groups import PreparedGroups
from trainer.feed.config import FeedConfig
from trainer.feed.fetch import Fetcher, SlotTexts
from trainer.feed.stream import BatchMaker, FeedSpec
from trainer.feed.switch import CodeSwitcher
from trainer.mixing.config import CodeSwitchingConfig, MixingConfig, SourceShape
from trainer.mixing.ledger import Ledger
from trainer.mixing.plan import CODE_SWITCHED, MONO, GlobalBatch, Plan
from trainer.mixing.ratios import KINDS

MIX = {"mono": 0.4, "cross": 0.4, "code_switched": 0.2}


# The plan


def make_plan(mix: Any, *sources: SourceShape, seed: int = 7, **options: Any) -> Plan:
    return Plan(build_config(MixingConfig, {"mix": mix, "batch": 12, **options}), sources, seed)


def shape(name: str, languages: str, groups: int, switchable: str | None = None) -> SourceShape:
    known = None if switchable is None else tuple(switchable.split())
    return SourceShape(name, tuple(languages.split()), groups, 32, known)


def digest(plan: Plan) -> str:
    """Of everything in some batches, near and far."""
    found = hashlib.sha256()
    for step in (0, 1, 5, 63, 1030):
        batch = plan.batch(step)
        for name in ("kind", "row", "query_language", "passage_language"):
            values = getattr(batch, name)
            found.update(f"{name}{values.dtype}{values.shape}".encode() + values.tobytes())
        found.update(str((batch.step, batch.source)).encode())
    return found.hexdigest()[:16]


CHANGING = [{"step": 0, "mono": 1}, {"step": 40, "cross": 0.5, "multi": 0.5}]


@pytest.mark.parametrize(
    ("mix", "options", "sources", "expected"),
    [
        ({"mono": 1}, {}, 3, "e65ab148e665805f"),
        ({"mono": 0.5, "cross": 0.5}, {}, 3, "de35706ea264bcac"),
        ({"mono": "1/3", "cross": "1/3", "multi": "1/3"}, {}, 3, "fe6344d55850fb38"),
        ({"mono": 0.2, "cross": 0.3, "multi": 0.5}, {"granularity": "slot"}, 3, "35131bf3b41029a9"),
        ({"mono": 0.2, "cross": 0.3, "multi": 0.5}, {"sampling": "random"}, 3, "a51494ede84e7759"),
        (CHANGING, {}, 3, "ebe7f245616344f4"),
        (CHANGING, {"granularity": "slot"}, 2, "6d37e7a52c0861bc"),
        ({"multi": 1}, {"sampling": "random", "positives": 3}, 3, "89dbf35738f0b187"),
    ],
)
def test_batches_without_the_kind_are_what_they_were_before_it_existed(
    mix: Any, options: dict[str, Any], sources: int, expected: str
) -> None:
    shapes = (shape("a", "ar de el en", 500), shape("b", "ar de el", 200), shape("c", "ar", 90))
    assert digest(make_plan(mix, *shapes[:sources], **options)) == expected


@pytest.mark.parametrize("granularity", ["batch", "slot"])
@pytest.mark.parametrize("sampling", ["exact", "random"])
def test_only_languages_with_a_dictionary_are_switched(granularity: str, sampling: str) -> None:
    sources = (shape("a", "de en th zh", 300, "de en"), shape("b", "en es zh", 100, "en es"), shape("c", "th", 60, ""))
    plan = make_plan(MIX, *sources, granularity=granularity, sampling=sampling)
    counts: dict[str, int] = {}
    for step in range(300):
        batch = plan.batch(step)
        names = np.array(sources[batch.source].languages)[batch.query_language]
        for name in names[batch.kind == CODE_SWITCHED].tolist():
            counts[f"{batch.source} {name}"] = counts.get(f"{batch.source} {name}", 0) + 1
    assert counts.keys() == {"0 de", "0 en", "1 en", "1 es"}
    if sampling == "exact":  # equal within one unit: a batch of 12, or a slot
        unit = 12 if granularity == "batch" else 1
        assert abs(counts["0 de"] - counts["0 en"]) <= unit and abs(counts["1 en"] - counts["1 es"]) <= unit


def test_a_changing_mix_brings_the_kind_in_within_one_batch_of_its_share() -> None:
    plan = make_plan([{"step": 0, "mono": 1}, {"step": 100, "code_switched": 1}], shape("a", "de en", 300))
    ledger = Ledger(plan.config, plan.sources)
    switched = 0
    for step in range(100):
        batch = plan.batch(step)
        ledger.record(batch)
        switched += int(batch.kind[0] == CODE_SWITCHED)
        assert abs(switched - step * (step + 1) / 200) < 1  # the sum of shares 0/100 + 1/100 + ... + step/100
    ledger.check()


def test_a_source_that_nothing_can_be_switched_in_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"mixing\.mix: code_switched .* source b has none \(th, zh\)"):
        make_plan(MIX, shape("a", "de en", 300, "de en"), shape("b", "th zh", 300, ""))
    make_plan({"mono": 0.5, "cross": 0.5}, shape("b", "th zh", 300, ""))


def test_the_ledger_counts_the_kind_and_holds_it_to_one_language() -> None:
    plan = make_plan(MIX, shape("a", "de en es", 300, "de en"))
    ledger = Ledger(plan.config, plan.sources)
    for step in range(50):
        ledger.record(plan.batch(step))
    ledger.check()
    summary = ledger.summary()
    assert summary["kinds"]["code_switched"] == {"share": "1/5", "count": 10}
    assert summary["languages"]["code_switched"] == {"de": 60, "en": 60, "es": 0}
    batch = next(batch for step in range(9) if (batch := plan.batch(step)).kind[0] == CODE_SWITCHED)
    spoiled = Ledger(plan.config, plan.sources)
    spoiled.record(replace(batch, step=0, query_language=(batch.query_language + 1) % 3))
    with pytest.raises(WorkError, match="code-switched batch held a pair in two languages"):
        spoiled.check()


def test_a_ledger_of_three_kinds_goes_on() -> None:
    """Out of a checkpoint that was written when there were three."""
    plan = make_plan({"mono": 0.5, "cross": 0.5}, shape("a", "de en es", 300))
    whole, first = Ledger(plan.config, plan.sources), Ledger(plan.config, plan.sources)
    for step in range(20):
        whole.record(plan.batch(step))
    for step in range(10):
        first.record(plan.batch(step))
    state = first.state()
    state |= {name: state[name][:3] for name in ("slots", "query_languages", "pairs")}
    second = Ledger(plan.config, plan.sources, state)
    for step in range(10, 20):
        second.record(plan.batch(step))
    assert second.summary() == whole.summary()


# The texts

ENTRIES = [
    ("en", "de", "bread", "Brot"),
    ("en", "de", "old", "alt"),
    ("de", "en", "brot", "bread"),
    ("de", "en", "alt", "old"),
]


def by_hand() -> Dictionary:
    columns = list(zip(*sorted(ENTRIES), strict=True))
    names = ("source_language", "target_language", "word", "translation")
    return Dictionary(pa.table(dict(zip(names, columns, strict=True)) | {"texts": [9] * 4, "score": [99.0] * 4}))


SLOT = SlotTexts("g1", "p1", "Old bread?", "en", ["Bread is old."], ["en"], ["No bread here.", "Old."], ["en", "en"])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ("both", ("Alt Brot?", ["Brot is alt."], ["No Brot here.", "Alt."])),
        ("queries", ("Alt Brot?", ["Bread is old."], ["No bread here.", "Old."])),
    ],
)
def test_all_words_of_a_slot_by_hand(texts: str, expected: tuple[str, list[str], list[str]]) -> None:
    config = build_config(CodeSwitchingConfig, {"share": 1, "texts": texts})
    found = CodeSwitcher(by_hand(), config, seed=0).switched(SLOT, step=3)
    assert (found.query, found.passages, found.negatives) == expected
    kept = ("group_id", "passage_id", "query_language", "passage_languages", "negative_languages")
    assert [getattr(found, name) for name in kept] == [getattr(SLOT, name) for name in kept]


def test_each_text_has_draws_of_its_own_decided_by_seed_step_and_group() -> None:
    slot = replace(SLOT, query="old bread", passages=["old bread"], negatives=["old bread"], negative_languages=["en"])
    switcher = CodeSwitcher(by_hand(), CodeSwitchingConfig(share=0.5), seed=0)
    drawn = [switcher.switched(slot, step) for step in range(200)]
    assert drawn == [switcher.switched(slot, step) for step in range(200)]
    queries, passages, negatives = (
        np.array([text == "alt bread" for text in texts])
        for texts in (
            [found.query for found in drawn],
            [found.passages[0] for found in drawn],
            [found.negatives[0] for found in drawn],
        )
    )
    for one, other in ((queries, passages), (passages, negatives), (queries, negatives)):
        assert 70 < one.sum() < 130 and 70 < (one == other).sum() < 130  # 3 standard deviations are 21
    other_seed = CodeSwitcher(by_hand(), CodeSwitchingConfig(share=0.5), seed=1)
    assert drawn != [other_seed.switched(slot, step) for step in range(200)]
    assert drawn != [switcher.switched(replace(slot, group_id="g2"), step) for step in range(200)]


# The feed


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> PreparedGroups:
    return small_groups(tmp_path_factory.mktemp("groups"), number=120)


@pytest.fixture(scope="module")
def dictionary(groups: PreparedGroups) -> StoredDictionary:
    write_dictionary(groups.folder.parent, dictionary_of(groups))
    return StoredDictionary(groups.folder.parent)


@pytest.fixture(scope="module")
def tokens(groups: PreparedGroups) -> Tokens:
    texts = [pair.passage for group in groups.iter_groups() for pair in group.pairs.values()]
    fields = {"fresh": {"layers": 1, "hidden": 8, "heads": 1, "vocabulary": 200}}
    return build_encoder(build_config(EncoderConfig, fields), texts)[1]


def texts_of(groups: PreparedGroups, plan: Plan, step: int, switcher: CodeSwitcher | None = None) -> list[SlotTexts]:
    return Fetcher(groups, 10_000, switcher=switcher).texts(plan.batch(step))


def test_the_dictionary_of_prepared_groups_knows_their_words(dictionary: StoredDictionary) -> None:
    known = dictionary.read()
    for source in LANGUAGES:
        for target in set(LANGUAGES) - {source}:
            right = [
                known.translation(w, source, target) == t for w, t in zip(WORDS[source], WORDS[target], strict=True)
            ]
            assert sum(right) >= 9


def test_very_many_languages_meet_in_one(groups: PreparedGroups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.dictionary_of_groups._MOST_LANGUAGES", 3)
    known = dictionary_of(groups)
    assert known.targets("en") == ("de", "es", "id")
    assert {known.targets(language) for language in ("de", "es", "id")} == {("en",)}


@pytest.mark.parametrize("granularity", ["batch", "slot"])
def test_code_switched_slots_are_switched_and_no_others(
    groups: PreparedGroups, dictionary: StoredDictionary, granularity: str
) -> None:
    plan = small_plan(groups, MIX, granularity=granularity)
    switcher = CodeSwitcher(dictionary.read(), plan.config.code_switching, plan.seed)
    mono = replace_kind(plan)
    words = {word.lower(): language for language, known in WORDS.items() for word in known}
    seen = 0
    for step in range(20):
        found, plain = texts_of(groups, plan, step, switcher), texts_of(groups, mono, step)
        for kind, switched, slot in zip(plan.batch(step).kind, found, plain, strict=True):
            if kind != CODE_SWITCHED:
                assert switched == slot
                continue
            for text, before in ((switched.query, slot.query), (switched.passages[0], slot.passages[0])):
                changed = [a for a, b in zip(text.split(), before.split(), strict=True) if a != b]
                foreign = [words[word.lower().strip("?.")] != slot.query_language for word in changed]
                assert changed and all(foreign) and len(changed) <= round(0.5 * len(before.split()))
                seen += 1
    assert seen >= 2 * 16 * 3


def replace_kind(plan: Plan) -> Plan:
    """The same plan, whose code-switched slots say that they are monolingual."""

    class Unswitched(Plan):
        def batch(self, step: int) -> GlobalBatch:
            batch = super().batch(step)
            return replace(batch, kind=np.where(batch.kind == CODE_SWITCHED, MONO, batch.kind))

    return Unswitched(plan.config, plan.sources, plan.seed)


def test_ranks_and_masks_do_not_see_the_switching(
    groups: PreparedGroups, dictionary: StoredDictionary, tokens: Tokens
) -> None:
    plan = small_plan(groups, {"mono": 0.5, "code_switched": 0.5}, granularity="slot")
    spec = FeedSpec(plan, groups, tokens, FeedConfig(), 6, dictionary)
    unswitched = FeedSpec(replace_kind(plan), groups, tokens, FeedConfig(), 6)
    whole = BatchMaker(spec, 0, 1)
    plain = BatchMaker(unswitched, 0, 1)
    differs = 0
    for step in range(6):
        expected = whole.make(step).local
        for ranks in (2, 4):
            shares = [BatchMaker(spec, rank, ranks).make(step).local for rank in range(ranks)]
            for name in ("query_ids", "passage_ids"):
                found = [ids.tolist() for share in shares for ids in getattr(share, name)]
                assert found == [ids.tolist() for ids in getattr(expected, name)]
        before = plain.make(step).local
        for name in ("query_group", "passage_group", "query_passage_id", "passage_passage_id", "passage_positive"):
            np.testing.assert_array_equal(getattr(expected, name), getattr(before, name))
        for ids, other, kind in zip(expected.query_ids, before.query_ids, expected.kinds, strict=True):
            assert kind == KINDS[CODE_SWITCHED] or ids.tolist() == other.tolist()
            differs += ids.tolist() != other.tolist()
    assert differs >= 40  # of about 48
