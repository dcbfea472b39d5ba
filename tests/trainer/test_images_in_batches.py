"""Images in batches: which slots get them, what the feed makes of them, and that nothing else changes."""

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cluster.config import build_config, to_plain
from cluster.errors import ConfigError, DataError, WorkError
from cluster.fingerprint import hash64
from cluster.storage import open_store
from retrieval.encoder.config import EncoderConfig, FreshConfig
from retrieval.encoder.fresh import build_fresh
from retrieval.encoder.pixels import Pixels
from retrieval.groups import PreparedGroups, open_groups
from retrieval.prepare import PrepareConfig, prepare
from trainer.batch import is_image
from trainer.feed.collate import collate
from trainer.feed.config import FeedConfig
from trainer.feed.fetch import Fetcher
from trainer.feed.payload import from_row, to_table
from trainer.feed.stream import BatchMaker, FeedSpec
from trainer.mixing.config import MixingConfig, SourceShape
from trainer.mixing.images import IMAGE_ANSWERS, IMAGE_ASKS, TEXTS
from trainer.mixing.ledger import Ledger
from trainer.mixing.plan import CODE_SWITCHED, MONO, Plan

LANGUAGES = ("de", "en", "es", "zh")
IMAGE = len(LANGUAGES)
PIXELS = Pixels(16, 16)


def make_plan(share: str | int, seed: int = 0, images: tuple[bool, ...] = (True,), **options: object) -> Plan:
    fields = {"mix": {"mono": 0.5, "cross": 0.25, "multi": 0.25}, "batch": 8, "image_share": share, **options}
    sources = tuple(SourceShape(f"s{number}", LANGUAGES, 100, 32, has_images=has) for number, has in enumerate(images))
    return Plan(build_config(MixingConfig, fields), sources, seed)


def side_of(query: int, passages: np.ndarray) -> int:
    return IMAGE_ASKS if query == IMAGE else IMAGE_ANSWERS if (passages == IMAGE).any() else TEXTS


@settings(max_examples=25, deadline=None)
@given(
    share=st.sampled_from(["1/2", "0.3", "1", "2/3"]),
    granularity=st.sampled_from(["batch", "slot"]),
    code_switched=st.booleans(),
    seed=st.integers(0, 50),
)
def test_each_kind_of_each_source_keeps_its_share_at_every_step_and_all_else_stays(
    share: str, granularity: str, code_switched: bool, seed: int
) -> None:
    mix = (
        {"mono": 0.5, "cross": 0.2, "multi": 0.2, "code_switched": 0.1}
        if code_switched
        else {"mono": 0.5, "cross": 0.5}
    )
    options = {"mix": mix, "granularity": granularity, "images": (True, False, True)}
    plan, texts = make_plan(share, seed, **options), make_plan(0, seed, **options)
    ledger = Ledger(plan.config, plan.sources)
    counts: dict[tuple[int, int], np.ndarray] = {}
    for step in range(80):
        batch, same = plan.batch(step), texts.batch(step)
        assert batch.source == same.source
        np.testing.assert_array_equal(batch.row, same.row)
        np.testing.assert_array_equal(batch.kind, same.kind)
        for kind, query, passages, text_query, text_passages in zip(
            batch.kind,
            batch.query_language,
            batch.passage_language,
            same.query_language,
            same.passage_language,
            strict=True,
        ):
            side = side_of(query, passages)
            # An image takes one place; everything else is what it was.
            assert query == text_query or side == IMAGE_ASKS
            np.testing.assert_array_equal(passages[1:], text_passages[1:])
            assert passages[0] == text_passages[0] or side == IMAGE_ANSWERS
            counts.setdefault((batch.source, int(kind)), np.zeros(3))[side] += 1
        if granularity == "batch":
            sides = {side_of(*slot) for slot in zip(batch.query_language, batch.passage_language, strict=True)}
            assert len(sides) == 1
        for (source, kind), found in counts.items():
            part = Fraction(share) if source != 1 and kind != CODE_SWITCHED else Fraction(0)
            wanted = np.array([1 - part, part / 2, part / 2], dtype=float) * found.sum()
            assert np.abs(found - wanted).max() <= (8 if granularity == "batch" else 1) + 1e-9
        ledger.record(batch)
    ledger.check()
    found = ledger.summary()["images"]
    assert found["captions to images"] + found["images to captions"] == pytest.approx(
        sum(value[1:].sum() for value in counts.values()) / 8, abs=1e-3
    )


def test_ranks_take_neighbouring_slots_of_one_plan_and_a_resumed_plan_goes_on() -> None:
    plan = make_plan("1/2", granularity="slot")
    for step in range(5):
        whole = plan.batch(step)
        parts = [plan.batch(step).share(rank, 4) for rank in range(4)]
        np.testing.assert_array_equal(np.concatenate([part.query_language for part in parts]), whole.query_language)
    later = make_plan("1/2", granularity="slot").batch(2000)
    for step in (0, 1999):
        plan.batch(step)
    np.testing.assert_array_equal(plan.batch(2000).passage_language, later.passage_language)


def test_the_ledger_refuses_an_image_that_is_to_find_itself() -> None:
    plan = make_plan("1/2")
    ledger = Ledger(plan.config, plan.sources)
    batch = next(batch for batch in map(plan.batch, range(50)) if (batch.query_language == IMAGE).all())
    batch.passage_language[:, 0] = IMAGE
    ledger.steps = batch.step
    ledger.record(batch)
    with pytest.raises(WorkError, match="find itself"):
        ledger.check()


def test_shares_without_images_and_impossible_shares_are_refused_and_none_is_not_stored() -> None:
    with pytest.raises(ConfigError, match=r"mixing\.image_share: no training source has images"):
        make_plan("1/2", images=(False,))
    with pytest.raises(ConfigError, match="image_share"):
        build_config(MixingConfig, {"image_share": 1.5})
    assert "image_share" not in to_plain(MixingConfig())
    assert to_plain(build_config(MixingConfig, {"image_share": "1/3"}))["image_share"] == "1/3"


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> PreparedGroups:
    source = {"dataset": "drawn_scenes", "languages": list(LANGUAGES), "limit": 40}
    config = build_config(PrepareConfig, {"sources": [source], "min_groups": 1, "row_group_rows": 8})
    return open_groups(prepare(config, open_store(str(tmp_path_factory.mktemp("root")))))


@pytest.fixture(scope="module")
def spec(groups: PreparedGroups) -> FeedSpec:
    source = groups.sources[0]
    shape = SourceShape(
        source.name, source.languages, source.num_groups, source.row_group_rows, None, source.has_images
    )
    config = build_config(
        MixingConfig, {"mix": {"mono": 0.5, "multi": 0.5}, "batch": 8, "image_share": "1/2", "granularity": "slot"}
    )
    encoder_config = EncoderConfig(fresh=FreshConfig(layers=1, hidden=8, heads=1, intermediate=8, vocabulary=200))
    texts = (pair.query for group in groups.iter_groups(images=False) for pair in group.pairs.values())
    _, tokens = build_fresh(encoder_config, texts)
    return FeedSpec(Plan(config, (shape,), 3), groups, tokens, FeedConfig(), 20, pixels=PIXELS)


def test_the_feed_brings_the_groups_own_images_and_the_payload_keeps_them(spec: FeedSpec) -> None:
    maker = BatchMaker(spec, rank=1, world_size=2)
    of_group = {hash64(group.id): group for group in spec.groups.iter_groups()}
    batches = [maker.make(step) for step in range(4)]
    seen = set()
    for batch, row in zip(batches, range(4), strict=True):
        back = from_row(to_table(batches), row)
        for name in ("query_ids", "passage_ids"):
            inputs, again = getattr(batch.local, name), getattr(back.local, name)
            group_of = batch.local.query_group if name == "query_ids" else batch.local.passage_group
            for one, other, group in zip(inputs, again, group_of.tolist(), strict=True):
                np.testing.assert_array_equal(one, other)
                assert is_image(one) == is_image(other)
                if is_image(one):
                    picture = Image.open(io.BytesIO(of_group[group].image)).resize((16, 16), Image.Resampling.BICUBIC)
                    np.testing.assert_array_equal(one, np.asarray(picture))
                    seen.add(name)
    assert seen == {"query_ids", "passage_ids"}


def test_images_are_read_only_where_a_slot_has_one(spec: FeedSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    columns: list[list[str] | None] = []
    read = type(spec.groups.sources[0]).read_row_group

    def noted(source, number, wanted=None):
        columns.append(wanted)
        return read(source, number, wanted)

    monkeypatch.setattr(type(spec.groups.sources[0]), "read_row_group", noted)
    texts = Plan(build_config(MixingConfig, {"mix": {"mono": 1}, "batch": 8}), spec.plan.sources, 3)
    Fetcher(spec.groups, 1000).texts(texts.batch(0))
    assert columns and not any("image" in wanted for wanted in columns if wanted) and None not in columns


def test_a_damaged_image_is_named_by_its_group(spec: FeedSpec) -> None:
    slots = next(batch for batch in map(spec.plan.batch, range(20)) if (batch.query_language == IMAGE).any())
    texts = Fetcher(spec.groups, 1000).texts(slots)
    place = next(number for number, slot in enumerate(texts) if isinstance(slot.query, bytes))
    cut = type(texts[place])(
        **{name: getattr(texts[place], name) for name in texts[place].__slots__} | {"query": texts[place].query[:200]}
    )
    with pytest.raises(DataError, match=f"image of group {texts[place].group_id}: not a whole image"):
        collate(slots, [*texts[:place], cut, *texts[place + 1 :]], spec.tokens, "drawn_scenes", PIXELS)


def test_monolingual_batches_keep_their_captions_in_one_language() -> None:
    plan = make_plan(1)
    for step in range(40):
        batch = plan.batch(step)
        if batch.kind[0] == MONO:
            languages = {*batch.query_language.tolist(), *batch.passage_language.ravel().tolist()} - {IMAGE}
            assert len(languages) == 1


def test_groups_say_nothing_of_where_they_lie(groups: PreparedGroups) -> None:
    assert all(isinstance(group.image, bytes) for group in groups.iter_groups())
    assert not list(Path(groups.folder).rglob("*.png"))
