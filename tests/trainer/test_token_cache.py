"""A token cache changes no bit of any batch, and is refused where it is damaged or another's."""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich_groups.groups import WORDS, rich_groups

from cluster.config import build_config
from cluster.errors import DataError
from retrieval.dictionary import StoredDictionary, write_dictionary
from retrieval.dictionary_of_groups import dictionary_of
from retrieval.encoder.config import EncoderConfig
from retrieval.encoder.fresh import build_fresh
from retrieval.encoder.pixels import Pixels
from retrieval.encoder.tokens import Tokens
from retrieval.group_tokens import GroupTokens, open_group_tokens, write_group_tokens
from retrieval.groups import PreparedGroups
from retrieval.token_files import TokenWriter, open_tokens
from trainer.feed.collate import FeedBatch
from trainer.feed.config import FeedConfig
from trainer.feed.payload import from_row, to_table
from trainer.feed.stream import BatchMaker, FeedSpec
from trainer.mixing.config import MixingConfig, SourceShape
from trainer.mixing.plan import CODE_SWITCHED, Plan

ARCHITECTURES = ("xlm_roberta", "m2m100")
MIXES = (
    {"mono": 1},
    {"cross": 1},
    {"multi": 1},
    {"code_switched": 1},
    {"mono": "1/4", "cross": "1/4", "multi": "1/4", "code_switched": "1/4"},
)


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> PreparedGroups:
    return rich_groups(tmp_path_factory.mktemp("groups"))


@pytest.fixture(scope="module")
def dictionary(groups: PreparedGroups) -> StoredDictionary:
    write_dictionary(groups.folder.parent, dictionary_of(groups))
    return StoredDictionary(groups.folder.parent)


@pytest.fixture(scope="module")
def tokens() -> dict[str, Tokens]:
    fields = {"layers": 1, "hidden": 8, "heads": 1, "vocabulary": 200}
    sizes = {"max_query_tokens": 16, "max_passage_tokens": 24}
    configs = {
        name: build_config(EncoderConfig, {"fresh": fields | {"architecture": name}, **sizes}) for name in ARCHITECTURES
    }
    return {name: build_fresh(config, WORDS * 20)[1] for name, config in configs.items()}


@pytest.fixture(scope="module")
def caches(
    groups: PreparedGroups, tokens: dict[str, Tokens], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, GroupTokens]:
    found = {}
    for name, one in tokens.items():
        folder = tmp_path_factory.mktemp(name)
        write_group_tokens(folder, groups, one)
        found[name] = open_group_tokens(folder)
    return found


def assert_same(found: FeedBatch, expected: FeedBatch) -> None:
    for part in ("slots", "local"):
        for field in dataclasses.fields(getattr(expected, part)):
            one, other = getattr(getattr(found, part), field.name), getattr(getattr(expected, part), field.name)
            if isinstance(other, np.ndarray):
                one, other = [one], [other]
            if isinstance(other, Sequence) and len(other) and isinstance(other[0], np.ndarray):
                assert len(one) == len(other)
                for a, b in zip(one, other, strict=True):
                    assert a.dtype == b.dtype and a.shape == b.shape, field.name
                    np.testing.assert_array_equal(a, b, err_msg=field.name)
            else:
                assert one == other, field.name


@settings(max_examples=30, deadline=None)
@given(
    mix=st.sampled_from(MIXES),
    architecture=st.sampled_from(ARCHITECTURES),
    hard_negatives=st.sampled_from([0, 1, 2, 5, 50]),
    images=st.booleans(),
    ranks=st.sampled_from([1, 2, 4]),
    more=st.fixed_dictionaries(
        {"granularity": st.sampled_from(["batch", "slot"]), "sampling": st.sampled_from(["exact", "random"])}
    ),
    switched=st.sampled_from(["both", "queries"]),
    seed=st.integers(0, 1000),
    first=st.integers(0, 60),
)
def test_batches_are_the_same_with_and_without_a_token_cache(
    groups: PreparedGroups,
    dictionary: StoredDictionary,
    tokens: dict[str, Tokens],
    caches: dict[str, GroupTokens],
    mix: dict[str, object],
    architecture: str,
    hard_negatives: int,
    images: bool,
    ranks: int,
    more: dict[str, object],
    switched: str,
    seed: int,
    first: int,
) -> None:
    fields = {"mix": mix, "batch": 8, "window_rows": 24, "code_switching": {"texts": switched}, **more}
    only_switched = mix.keys() == {"code_switched"}
    fields |= {"image_share": "1/2"} if images and not only_switched else {}
    shapes = tuple(SourceShape.of(source) for source in groups.sources)
    plan = Plan(build_config(MixingConfig, fields), shapes, seed)
    feed = FeedConfig(hard_negatives=hard_negatives)
    spec = FeedSpec(plan, groups, tokens[architecture], feed, 9999, dictionary, Pixels(4, 4))
    steps = range(first, first + 5)
    for rank in (0, ranks - 1):
        plain = BatchMaker(spec, rank, ranks).make_all(steps)
        cached = BatchMaker(dataclasses.replace(spec, cache=caches[architecture]), rank, ranks).make_all(steps)
        one_by_one = BatchMaker(spec, rank, ranks)
        table = to_table(cached)
        for place, (step, batch, expected) in enumerate(zip(steps, cached, plain, strict=True)):
            assert_same(batch, expected)
            assert_same(one_by_one.make(step), expected)
            assert_same(from_row(table, place), expected)


def test_texts_are_read_only_where_they_are_switched(
    groups: PreparedGroups, dictionary: StoredDictionary, tokens: dict[str, Tokens], caches: dict[str, GroupTokens]
) -> None:
    shapes = tuple(SourceShape.of(source) for source in groups.sources)
    plan = Plan(build_config(MixingConfig, {"mix": {"mono": 0.5, "code_switched": 0.5}, "batch": 8}), shapes, 0)
    spec = FeedSpec(plan, groups, tokens["xlm_roberta"], FeedConfig(), 99, dictionary, None, caches["xlm_roberta"])
    maker = BatchMaker(spec, 0, 1)
    seen = set()
    for step in range(12):
        before = maker.fetcher.row_groups_read
        is_switched = bool((maker.make(step).slots.kind == CODE_SWITCHED).any())
        assert is_switched or maker.fetcher.row_groups_read == before
        seen.add(is_switched)
    assert seen == {False, True} and maker.fetcher.row_groups_read


@pytest.mark.parametrize(("largest", "dtype"), [(65535, np.uint16), (65536, np.int32)])
def test_ids_are_kept_in_two_bytes_where_they_fit(tmp_path: Path, largest: int, dtype: type) -> None:
    texts = [np.array(ids, np.int32) for ids in ([0, largest], [], [7], [largest] * 3)]
    with TokenWriter(tmp_path / "a" / "texts", largest + 1) as writer:
        for first in range(0, 4, 2):
            writer.add(texts[first : first + 2])
        writer.add([])
    found = open_tokens(tmp_path / "a" / "texts")
    assert found.ids.dtype == dtype and len(found) == 4
    assert [ids.tolist() for ids in found.texts(np.array([3, 0, 1, 1]))] == [[largest] * 3, [0, largest], [], []]
    assert all(ids.dtype == np.int32 for ids in found.texts(np.arange(4)))


def test_a_cache_of_other_groups_or_another_tokenizer_is_refused(
    groups: PreparedGroups, tokens: dict[str, Tokens], caches: dict[str, GroupTokens]
) -> None:
    cache = caches["m2m100"]
    cache.check(groups, tokens["m2m100"])
    with pytest.raises(DataError, match="of another tokenizer"):
        cache.check(groups, tokens["xlm_roberta"])
    with pytest.raises(DataError, match="of other groups"):
        cache.check(dataclasses.replace(groups, sources=groups.sources[1:]), tokens["m2m100"])


@pytest.mark.parametrize(
    ("file", "size", "message"),
    [
        ("ids", 200, "cannot be read as an array"),
        ("bounds", None, "missing"),
        ("hashes", 0, "cannot be read as an array"),
        ("negatives", None, "missing"),
        ("negative_hashes", None, "missing"),
    ],
)
def test_a_damaged_file_is_named(
    caches: dict[str, GroupTokens], tmp_path: Path, file: str, size: int | None, message: str
) -> None:
    shutil.copytree(caches["xlm_roberta"].folder, tmp_path / "copy")
    path = tmp_path / "copy" / "rich" / f"part-00001.{file}.npy"
    path.unlink() if size is None else path.write_bytes(path.read_bytes()[:size])
    source = open_group_tokens(tmp_path / "copy").source(0)
    with pytest.raises(DataError, match=f"part-00001.{file}.npy: {message}"):
        source.hashes(np.array([20]))
        source.negative_hashes(np.array([20]), np.array([8]))


def test_files_that_do_not_go_together_are_refused(caches: dict[str, GroupTokens], tmp_path: Path) -> None:
    shutil.copytree(caches["xlm_roberta"].folder, tmp_path / "copy")
    folder = tmp_path / "copy" / "rich"
    shutil.copy(folder / "part-00000.ids.npy", folder / "part-00001.ids.npy")
    with pytest.raises(DataError, match=r"part-00001.bounds.npy: ends at \d+, its file of ids holds \d+"):
        open_group_tokens(tmp_path / "copy").source(0).hashes(np.array([20]))
    shutil.copy(folder / "part-00000.bounds.npy", folder / "part-00001.bounds.npy")
    with pytest.raises(DataError, match=r"part-00001.bounds.npy: holds \d+ texts, expected \d+"):
        open_group_tokens(tmp_path / "copy").source(0).hashes(np.array([20]))
    for content, message in (
        ("{}", "cannot be read"),
        ('{"version": 9, "tokens": "", "sources": []}', "has version 9"),
    ):
        (tmp_path / "copy" / "tokens.json").write_text(content)
        with pytest.raises(DataError, match=message):
            open_group_tokens(tmp_path / "copy")
