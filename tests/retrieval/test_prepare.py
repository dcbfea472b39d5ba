"""prepare: what goes in comes out once, in sources of one coverage, and nothing that leaks."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.config import build_config, to_plain
from cluster.errors import ConfigError, DataError
from cluster.storage import open_store
from retrieval.cleaning import is_empty, normalise
from retrieval.datasets import read_groups
from retrieval.groups import open_groups
from retrieval.prepare import PrepareConfig, prepare, prepared_name
from retrieval.records import Group, Pair

FIXTURES = Path(__file__).parent / "fixtures"
PARALLEL = {
    "dataset": "squad_parallel",
    "path": FIXTURES / "squad_parallel",
    "held_out_articles": 1,
    "validation_articles": 1,
}


def config_of(*sources: dict[str, Any], **fields: Any) -> PrepareConfig:
    return build_config(PrepareConfig, {"sources": list(sources), "min_groups": 1, **fields})


def long_file(path: Path, groups: list[Group]) -> dict[str, Any]:
    """Write groups as JSON lines; the fields of the data set that reads them."""
    rows = [
        {
            "id": group.id.partition("/")[2],
            "language": language,
            "query": pair.query,
            "passage": pair.passage,
            "negatives": list(pair.negatives),
            "passage_id": group.passage_id.partition("/")[2] or None,
        }
        for group in groups
        for language, pair in group.pairs.items()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    fields = {"dataset": "generic", "path": path, "name": path.stem, "passage_id": "passage_id"}
    return {**fields, "long": {"negatives": "negatives"}}


def plain_groups(name: str, count: int, languages: str = "en") -> list[Group]:
    return [
        Group(
            f"{name}/{number}",
            {code: Pair(f"q{number} {code} {name}", f"p{number} {code} {name}") for code in languages.split()},
        )
        for number in range(count)
    ]


def prepared(tmp_path: Path, config: PrepareConfig) -> tuple[dict[str, Group], dict[str, Any]]:
    """The prepared groups by id, and groups.json."""
    result = prepare(config, open_store(tmp_path / "root"))
    groups = list(open_groups(result).iter_groups())
    assert len({group.id for group in groups}) == len(groups)
    return {group.id: group for group in groups}, json.loads((result.folder / "groups.json").read_text("utf-8"))


TEXT = st.text(st.sampled_from("ab \n\u0301e\x07\u200b"), max_size=4)
PAIRS = st.dictionaries(
    st.sampled_from(["de", "en", "id"]),
    st.builds(Pair, TEXT, TEXT, st.lists(TEXT, max_size=2).map(tuple)),
    min_size=1,
)
GROUPS = st.lists(st.tuples(PAIRS, st.sampled_from(["", "set/x", "set/y"])), max_size=14).map(
    lambda drawn: [Group(f"set/{number}", pairs, passage) for number, (pairs, passage) in enumerate(drawn)]
)


def kept(pair: Pair) -> bool:
    return not is_empty(normalise(pair.query)) and not is_empty(normalise(pair.passage))


def expected_groups(groups: list[Group]) -> dict[str, dict[str, Pair]]:
    """Group id -> language -> pair in normal form; each pair of texts stays where it first stands."""
    seen: set[tuple[str, str, str]] = set()
    expected: dict[str, dict[str, Pair]] = {}
    for group in groups:
        for language, pair in group.pairs.items():
            query, passage = normalise(pair.query), normalise(pair.passage)
            if kept(pair) and (language, query, passage) not in seen:
                seen.add((language, query, passage))
                negatives = dict.fromkeys(map(normalise, pair.negatives))
                wrong = tuple(text for text in negatives if not is_empty(text) and text != passage)
                expected.setdefault(group.id, {})[language] = Pair(query, passage, wrong)
    return expected


def check_passage_ids(groups: list[Group], passage_id_of: dict[str, str]) -> None:
    """One id for all groups that share a passage or a given passage id, through others if need be; another for others."""
    components: list[tuple[set[str], set[str]]] = []  # ids of groups, and what they hold
    for group in groups:
        ids, held = {group.id}, {f"text {normalise(pair.passage)}" for pair in group.pairs.values() if kept(pair)}
        if not held:
            continue
        if group.passage_id:
            held.add(f"id {group.passage_id}")
        for other_ids, other_held in [component for component in components if component[1] & held]:
            components.remove((other_ids, other_held))
            ids, held = ids | other_ids, held | other_held
        components.append((ids, held))
    names = [{passage_id_of[id] for id in ids & passage_id_of.keys()} for ids, _ in components]
    assert all(len(of_component) <= 1 for of_component in names)
    assert len(set().union(*names)) == sum(map(len, names))
    assert "" not in passage_id_of.values()


@settings(max_examples=60, deadline=None)
@given(groups=GROUPS, row_group_rows=st.integers(1, 4), row_groups_per_shard=st.integers(1, 3), seed=st.integers(0, 3))
def test_what_goes_in_comes_out_once_in_sources_of_exact_coverage(
    tmp_path_factory: pytest.TempPathFactory,
    groups: list[Group],
    row_group_rows: int,
    row_groups_per_shard: int,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("prepare")
    config = config_of(
        long_file(folder / "set.jsonl", groups),
        row_group_rows=row_group_rows,
        shard_rows=row_group_rows * row_groups_per_shard,
        seed=seed,
    )
    expected = expected_groups(groups)
    if not expected:
        with pytest.raises(DataError, match=r"prepare: the sources leave no group|set\.jsonl: is empty"):
            prepare(config, open_store(folder / "root"))
        return
    result = prepare(config, open_store(folder / "root"))
    opened = open_groups(result)
    found: dict[str, Mapping[str, Pair]] = {}
    for source in opened.sources:
        of_source = list(source.iter_groups())
        assert len(of_source) == source.num_groups
        for group in of_source:
            assert tuple(sorted(group.pairs)) == source.languages
            assert group.id not in found
            found[group.id] = group.pairs
        rows = [
            pq.read_metadata(shard.path).row_group(number).num_rows
            for shard in source.shards
            for number in range(pq.read_metadata(shard.path).num_row_groups)
        ]
        assert rows[:-1] == [row_group_rows] * (len(rows) - 1)
        assert 0 < rows[-1] <= row_group_rows
        assert [shard.rows for shard in source.shards[:-1]] == [config.shard_rows] * (len(source.shards) - 1)
    assert found == expected
    assert len({source.languages for source in opened.sources}) == len(opened.sources)
    check_passage_ids(groups, {group.id: group.passage_id for group in opened.iter_groups()})


def test_real_form_data_becomes_sources_by_coverage(tmp_path: Path) -> None:
    groups, document = prepared(tmp_path, config_of({**PARALLEL, "split": "all"}))
    assert {source["name"]: source["num_groups"] for source in document["sources"]} == {
        "squad_parallel.en.es.sv": 1,
        "squad_parallel.en.es": 3,
        "squad_parallel.en.sv": 1,
        "squad_parallel.en": 2,
    }
    assert groups == {group.id: group for group in read_groups(config_of({**PARALLEL, "split": "all"}).sources[0])}
    assert document["dropped"] == document["examples"] == {}


def test_one_coverage_is_called_after_its_data_set_and_many_languages_get_a_short_name(tmp_path: Path) -> None:
    _, document = prepared(tmp_path, config_of({**PARALLEL, "split": "all"}, languages=["en"]))
    assert [source["name"] for source in document["sources"]] == ["squad_parallel"]
    many = " ".join(f"{first}{second}" for first in "abcdef" for second in "uvwx")
    two_coverages = [*plain_groups("set", 3, many), Group("set/x", {"en": Pair("q", "p")})]
    _, document = prepared(tmp_path, config_of(long_file(tmp_path / "set.jsonl", two_coverages)))
    assert [re.sub("[0-9a-f]{8}$", "*", source["name"]) for source in document["sources"]] == [
        "set.24-languages-*",
        "set.en",
    ]


def test_a_language_may_be_called_like_a_column(tmp_path: Path) -> None:
    # Indonesian is `id`: its passages must not stand in place of the passage ids, nor the other way round.
    groups = [Group("set/1", {"id": Pair("apa?", "ini"), "en": Pair("what?", "this")}, "set/p")]
    found, _ = prepared(tmp_path, config_of(long_file(tmp_path / "set.jsonl", groups)))
    assert found == {"set/1": groups[0]}


def test_small_coverages_are_merged_or_dropped_and_reported(tmp_path: Path) -> None:
    groups, document = prepared(tmp_path, config_of({**PARALLEL, "split": "all"}, min_groups=3, languages=["en", "es"]))
    # en+es: 4 groups; en alone: 3.
    assert {source["name"]: source["num_groups"] for source in document["sources"]} == {
        "squad_parallel.en.es": 4,
        "squad_parallel.en": 3,
    }
    groups, document = prepared(tmp_path, config_of({**PARALLEL, "split": "all"}, min_groups=4))
    # en+es+sv (1) joins en+es (3); en+sv (1) joins en (2), which is still too small and has no subset.
    assert {source["name"]: source["num_groups"] for source in document["sources"]} == {"squad_parallel": 4}
    assert document["dropped"] == {"groups_of_small_coverage": 3, "pairs_left_out_by_merge": 1}
    assert document["examples"]["pairs_left_out_by_merge"] == ["squad_parallel/q01: sv of en, es, sv"]
    assert set(groups) == {f"squad_parallel/{id}" for id in ("q01", "q03", "q04", "q07")}
    with pytest.raises(DataError, match=r"no language coverage has min_groups \(256\) groups.*lower min_groups"):
        prepared(tmp_path, config_of({**PARALLEL, "split": "all"}, min_groups=256))


def test_coverages_of_different_data_sets_are_never_merged(tmp_path: Path) -> None:
    one = long_file(tmp_path / "one.jsonl", plain_groups("one", 3, "de en"))
    other = long_file(tmp_path / "other.jsonl", plain_groups("other", 5))
    _, document = prepared(tmp_path, config_of(one, other, min_groups=4))
    assert [(source["name"], source["num_groups"]) for source in document["sources"]] == [("other", 5)]
    assert document["dropped"] == {"groups_of_small_coverage": 3}
    assert document["examples"]["groups_of_small_coverage"][0] == "one/0 (de, en)"


def test_a_repeated_pair_stays_with_the_first_group_that_has_it(tmp_path: Path) -> None:
    first = Group("set/1", {"en": Pair("q", "p"), "de": Pair("f", "a")})
    second = Group("set/2", {"en": Pair(" q", "p\n"), "de": Pair("f", "b")})
    third = Group("set/3", {"en": Pair("q", "p")})
    groups, document = prepared(tmp_path, config_of(long_file(tmp_path / "set.jsonl", [first, second, third])))
    assert {id: sorted(group.pairs) for id, group in groups.items()} == {"set/1": ["de", "en"], "set/2": ["de"]}
    assert groups["set/1"].passage_id == groups["set/2"].passage_id == "set/1"  # "p" was the passage of both
    assert document["dropped"] == {"groups_repeated": 1, "pairs_repeated": 2}
    assert document["examples"]["pairs_repeated"] == ["set/2 (en)", "set/3 (en)"]


def test_sources_of_several_data_sets_share_passage_ids(tmp_path: Path) -> None:
    one = long_file(tmp_path / "one.jsonl", [Group("one/1", {"en": Pair("q1", "same")}, "one/p")])
    other = long_file(tmp_path / "other.jsonl", [Group("other/1", {"de": Pair("q2", " same ")}, "other/p")])
    groups, document = prepared(tmp_path, config_of(one, other))
    assert {group.passage_id for group in groups.values()} == {"one/p"}
    assert [source["dataset"] for source in document["sources"]] == ["one", "other"]


def test_hard_negatives_are_kept_where_there_are_some(tmp_path: Path) -> None:
    groups = plain_groups("set", 3)
    groups[1] = Group("set/1", {"en": Pair("q1", "p1", ("far", "p2 en"))})
    found, document = prepared(tmp_path, config_of(long_file(tmp_path / "set.jsonl", groups)))
    assert document["sources"][0]["has_negatives"]
    assert [found[f"set/{number}"].pairs["en"].negatives for number in range(3)] == [(), ("far", "p2 en"), ()]


def test_the_order_is_a_shuffle_that_the_seed_alone_decides(tmp_path: Path) -> None:
    groups = plain_groups("set", 40)

    def order(groups: list[Group], seed: int) -> list[str]:
        config = config_of(long_file(tmp_path / "set.jsonl", groups), seed=seed)
        return [group.id for group in open_groups(prepare(config, open_store(tmp_path / "root"))).iter_groups()]

    assert order(groups, 0) == order(groups[::-1], 0)
    assert order(groups, 0) != order(groups, 1)
    assert order(groups, 0) != sorted(order(groups, 0))


def test_equal_inputs_give_equal_bytes_wherever_they_lie(tmp_path: Path) -> None:
    files = []
    for place in ("here", "there"):
        shutil.copytree(FIXTURES / "squad_parallel", tmp_path / place / "data")
        config = config_of({**PARALLEL, "path": tmp_path / place / "data", "split": "all"})
        files.append(prepare(config, open_store(tmp_path / place / "root")))
    assert files[0].name == files[1].name
    assert files[0].files == files[1].files


def test_preparing_again_does_nothing_until_the_content_changes(tmp_path: Path) -> None:
    store = open_store(tmp_path / "root")
    path = tmp_path / "set.jsonl"
    config = config_of(long_file(path, plain_groups("set", 5)))
    first = prepare(config, store)
    when = (first.folder / "groups.json").stat().st_mtime_ns
    assert prepare(config, store) == first
    assert (first.folder / "groups.json").stat().st_mtime_ns == when
    forced = prepare(config, store, force=True)
    assert forced.files == first.files
    assert (forced.folder / "groups.json").stat().st_mtime_ns > when
    path.write_text(path.read_text("utf-8").replace("q3 en", "Q3 en"), encoding="utf-8")  # as many bytes as before
    assert prepare(config, store).name != first.name
    assert build_config(PrepareConfig, to_plain(config)) == config


def test_the_name_depends_on_what_decides_the_groups_only(tmp_path: Path) -> None:
    source = {**PARALLEL, "split": "all"}
    name = prepared_name(config_of(source))
    assert prepared_name(config_of(source)) == name
    for other in (
        config_of(source, seed=1),
        config_of(source, min_groups=2),
        config_of(source, languages=["en"]),
        config_of({**source, "split_seed": 1}),
        config_of(source, evaluation=[{"dataset": "xquad_r", "path": FIXTURES / "xquad_r", "excerpt": True}]),
    ):
        assert prepared_name(other) != name


def xquad_r(**fields: Any) -> dict[str, Any]:
    return {"dataset": "xquad_r", "path": FIXTURES / "xquad_r", "excerpt": True, **fields}


LEAKS = [
    (Group("set/x3", {"en": Pair("Mine?", "Mine.")}), "has the id of a query of evaluation set xquad_r"),
    (
        Group("set/mine", {"tr": Pair("Kaç?", " Er sprach  acht Sprachen.")}),
        "holds a passage of evaluation set xquad_r (tr: 'Er sprach acht Sprachen.')",
    ),
    (
        Group("set/mine", {"en": Pair("What?", "A force changes motion. Newton stated three laws. [citation needed]")}),
        "(en: 'A force changes motion. Newton stated three laws. [citation ...')",
    ),
    (
        Group("set/mine", {"en": Pair("What?", "Mine.", ("He spoke eight languages.",))}),
        "holds a passage of evaluation",
    ),
]


@pytest.mark.parametrize(("planted", "said"), LEAKS)
@pytest.mark.parametrize("languages", [None, ["en"]])
def test_a_planted_leak_is_found(tmp_path: Path, planted: Group, said: str, languages: list[str] | None) -> None:
    groups = plain_groups("set", 9)
    groups[4] = planted
    source = long_file(tmp_path / "set.jsonl", groups)
    # Only English is evaluated in the second case: the German sentence must not be trained on all the same.
    evaluation = [xquad_r(languages=languages)]
    with pytest.raises(DataError, match=re.escape(said)) as refusal:
        prepared(tmp_path, config_of(source, evaluation=evaluation))
    assert str(refusal.value).startswith(f"leak: group {planted.id} of training source set ")
    assert "set on_leak: drop" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not any(path.is_file() for path in (tmp_path / "root").rglob("*"))
    found, document = prepared(tmp_path, config_of(source, evaluation=evaluation, on_leak="drop"))
    assert found.keys() == {group.id for group in groups} - {planted.id}
    assert document["dropped"] == {"groups_leaking": 1}
    assert said in document["examples"]["groups_leaking"][0]


def test_splits_of_one_data_set_do_not_leak_but_the_whole_does(tmp_path: Path) -> None:
    test = {**PARALLEL, "split": "test"}
    held_out = {group.id for group in read_groups(config_of(test).sources[0])}
    found, _ = prepared(tmp_path, config_of(PARALLEL, evaluation=[test]))
    assert held_out.isdisjoint(found)
    with pytest.raises(DataError, match=r"has the id of a query of evaluation set squad_parallel \(test\)"):
        prepared(tmp_path, config_of({**PARALLEL, "split": "all"}, evaluation=[test]))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"shard_rows": 1000}, "shard_rows (1000) must be a multiple of row_group_rows (256); for example 1024"),
        ({"sources": []}, "sources: Tuple should have at least 1 item"),
        ({"min_groups": 0}, "min_groups: Input should be greater than or equal to 1 (found 0)"),
        ({"row_groups": 5}, "row_groups: unknown key; did you mean 'row_group_rows'?"),
        ({"evaluation": [{"dataset": "xquad"}]}, "evaluation.0.dataset: unknown data set; did you mean 'xquad_r'?"),
    ],
)
def test_configurations_that_cannot_be_used_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        config_of(**{"sources": [PARALLEL], **fields})


def test_inputs_that_cannot_be_used_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    good = long_file(tmp_path / "set.jsonl", plain_groups("set", 3))
    cut = long_file(tmp_path / "cut.jsonl", plain_groups("cut", 3))
    cut["path"].write_bytes(cut["path"].read_bytes()[:-10])
    odd = long_file(tmp_path / "odd.jsonl", [Group("odd/\ud800", {"en": Pair("q", "p")})])
    for config, said in [
        (config_of(good, cut), "cut.jsonl: line 3: not valid JSON"),
        (config_of(good, {**good, "path": tmp_path / "gone.jsonl"}), "gone.jsonl: no such file"),
        (config_of(good, odd), "odd.jsonl: line 1: 'id' holds half a surrogate pair"),
        (config_of(good, good), "two groups have the id set/0; name each data set and split once"),
        (config_of(good, languages=["en", "fr"]), "no source has language 'fr'; they have en"),
        (config_of(good, xquad_r()), "xquad_r: is for evaluation only"),
    ]:
        with pytest.raises(DataError, match=re.escape(said)) as refusal:
            prepared(tmp_path, config)
        assert "\n" not in str(refusal.value)
    assert not any(path.is_file() for path in (tmp_path / "root").rglob("*"))


def test_a_repeated_id_is_named(tmp_path: Path) -> None:
    one = long_file(tmp_path / "one.jsonl", plain_groups("one", 5))
    two = {**long_file(tmp_path / "two.jsonl", plain_groups("two", 3)[2:]), "name": "one"}
    with pytest.raises(DataError, match="two groups have the id one/2"):
        prepared(tmp_path, config_of(one, two))
