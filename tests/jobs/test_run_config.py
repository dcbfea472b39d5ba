"""The configuration of a run: what fits together, what is stored, and what decides the names of results."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from end_to_end.small_job import job_fields

from cluster.config import build_config, load_config, parse_yaml, read_mapping, to_plain, with_overrides
from cluster.errors import ConfigError, DataError
from jobs.check import check
from jobs.config import RunConfig, plain_config
from jobs.stages import Stages
from trainer.mixing.ratios import KINDS

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(
    path
    for path in (ROOT / "jobs" / "configs").rglob("*.yaml")
    if path.name != "nightly.yaml" and "mixes" not in read_mapping(path)
)
"""Of runs; the configurations of a night and of studies of mixes are of other forms."""


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return job_fields(tmp_path_factory.mktemp("job"))


def changed(fields: dict[str, Any], *overrides: str) -> RunConfig:
    return build_config(RunConfig, with_overrides(fields, overrides))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_the_configurations_we_ship_are_valid_and_survive_being_stored(path: Path) -> None:
    config = load_config(RunConfig, path)
    assert build_config(RunConfig, to_plain(config)) == config
    stored = plain_config(config)
    assert "root" not in stored and "ray" not in stored
    assert build_config(RunConfig, stored) == config.model_copy(
        update={name: RunConfig.model_fields[name].get_default() for name in ("root", "ray")}
    )


def test_arms_share_everything_but_the_mix(fields: dict[str, Any]) -> None:
    config = changed(fields, "mixing.positives=3", "arms.late=[{mono: 1}, {step: 9, multi: 1}]")
    arms = config.all_arms
    assert list(arms) == ["X-X", "hybrid", "late"]
    assert [arm.positives for arm in arms.values()] == [3, 3, 3]
    assert dict(zip(KINDS, arms["hybrid"].mix[0].shares.values(), strict=True)) == {
        "mono": Fraction(1, 2),
        "cross": Fraction(1, 2),
        "multi": 0,
        "code_switched": 0,
    }
    assert [knot.step for knot in arms["late"].mix] == [0, 9]
    assert list(changed(fields, "arms={}", "mixing.mix={multi: 1}").all_arms) == ["mix"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("arms.BM25={mono: 1}", "arms: 'BM25' is the name of a baseline; call the arm something else"),
        ("arms.untrained={mono: 1}", "arms: 'untrained' is the name of a baseline"),
        ("arms={'../x': {mono: 1}}", "names are up to 64 letters, digits and . _ + -"),
        ("arms={a/b: {mono: 1}}", "names are up to 64 letters"),
        (f"name={'x' * 65}", "names are up to 64 letters"),
        ("name=.x", "names are up to 64 letters"),
        ("root=", "root: Input should be a valid string"),
        ("root=''", "root: String should have at least 1 character"),
        ("arms.hybrid={mono: 0.6, cross: 0.5}", "the shares of a mix must add up to 1, these add up to 1.1"),
        ("arms.hybrid={mono: 1.5, cross: -0.5}", "must not be negative: mono=1.5, cross=-0.5"),
        ("arms.hybrid=[]", "arms.hybrid: "),
        ("data.train.0.dataset=atlass", "data.train.0.dataset: unknown data set; did you mean 'atlas'?"),
        ("data.train.0={path: x}", "data.train.0.dataset: missing; name one of the data sets"),
        ("data.train.0={dataset: atlas, splitt: x}", "data.train.0.splitt: unknown key; did you mean 'split'?"),
        (
            "data.train.0={dataset: atlas, languages: [en, xx]}",
            "data.train.0.languages: the atlas has no language 'xx'",
        ),
        ("data.evaluation.test.idd=x", "data.evaluation.test.idd: unknown key; did you mean 'id'?"),
        ("data.languages=[en, en]", "data.languages: 'en' stands twice"),
        ("data.languages=[no, en]", "write the Norwegian code in quotes"),
        ("data.languages=[../x]", "'../x' is not a language code"),
        ("data.on_leak=ignore", "data.on_leak: Input should be 'refuse' or 'drop' (found 'ignore')"),
        ("evaluation.baselines=[bm25, bm25]", "evaluation.baselines: names one twice: bm25, bm25"),
        ("encoder.fresh=", "give exactly one of name_or_path (existing weights) and fresh (new ones), not neither"),
        ("encoder.fresh.heads=3", "hidden 16 is not a multiple of heads 3"),
        ("training.min_workers=2", "training: min_workers 2 exceeds workers 1"),
        ("training.validation.measure=mAP", "training.validation.measure: must be a setting and a measure"),
    ],
)
def test_fields_that_do_not_fit_are_named(fields: dict[str, Any], override: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        changed(fields, override)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["training.workers=3"], "mixing.batch: 16 is not divisible by 3 workers (training.workers); use 15 or 18"),
        (["data.train.0.path=/nowhere/x.jsonl"], "/nowhere/x.jsonl: no such file"),
        (["data.evaluation.test.path=/nowhere/x.jsonl"], "/nowhere/x.jsonl: no such file"),
        (["data.validation.path=/nowhere/x.jsonl"], "/nowhere/x.jsonl: no such file"),
        (["data.languages=[en]"], "arm hybrid: mixing.mix: all but mono batches need groups in two languages"),
        (["data.train.0.languages=[en]"], "arm hybrid: mixing.mix: all but mono batches need groups in two"),
        (["data.train.0.languages=[en, de]", "data.languages=[en, es]"], "no data set of data.train has 'es'; they"),
        (
            ["arms={m: {multi: 1}}", "mixing.positives=3", "data.languages=[en, de]"],
            "arm m: mixing.positives: 3 parallel passages asked for, but no source has over 2 languages",
        ),
        (
            ["arms={m: [{step: 5, mono: 1}, {step: 5, cross: 1}]}", "data.languages=[en, de]"],
            "arm m: mixing.mix: steps must rise from one mix to the next, found 5, 5",
        ),
        (["training.validation.measure=multi.map"], "training.validation.measure: unknown measure 'map'; known: mAP"),
        (["root=s3x://bucket"], "root 's3x://bucket': unknown scheme 's3x:'"),
    ],
)
def test_what_can_be_known_beforehand_is_checked_beforehand(
    fields: dict[str, Any], overrides: list[str], said: str
) -> None:
    with pytest.raises((ConfigError, DataError)) as error:
        check(changed(fields, *overrides))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_valid_configuration_is_told_in_lines(fields: dict[str, Any]) -> None:
    lines = check(changed(fields), root="elsewhere")
    assert lines[0] == "configuration small: valid" and lines[-1].endswith("/elsewhere")
    assert "arms: X-X, hybrid" in lines and "evaluate on test = test" in lines
    # A measure that nothing selects by is not looked at.
    check(changed(fields, "training.validation={every: 0, measure: multi.x}"))


def test_names_of_results_follow_what_decides_them(fields: dict[str, Any], tmp_path: Path) -> None:
    """Each stage is named by its inputs: changing one renames what depends on it, and nothing else."""

    def names(*overrides: str) -> dict[str, str]:
        config = build_config(RunConfig, with_overrides(fields, overrides))
        stages = Stages(config, str(tmp_path))
        return {
            "groups": stages.groups.name,
            "start": stages.start.name,
            "X-X": stages.trained_name("X-X"),
            "hybrid": stages.trained_name("hybrid"),
            "bm25": stages.evaluation_name("BM25", "test"),
            "untrained": stages.evaluation_name("untrained", "test"),
        }

    before = names()
    assert len(set(before.values())) == len(before)
    for overrides, renamed in (
        ([], set()),
        (["name=other", "root=elsewhere", "ray.object_store_mib=100"], set()),
        (["training.workers=2", "training.feed.prefetch=9", "training.checkpoint.every=7"], set()),
        (["training.engine.zero_stage=3", "training.max_failures=0", "training.threads_per_worker=2"], set()),
        (["evaluation.max_tokens_per_batch=100", "evaluation.baselines=[]"], set()),
        (["arms.hybrid={cross: 1}"], {"hybrid"}),
        (["arms.hybrid={cross: 1/2, mono: 2/4}"], set()),
        (["training.steps=16"], {"X-X", "hybrid"}),
        (["training.engine.learning_rate=2e-3"], {"X-X", "hybrid"}),
        (["seed=1"], {"X-X", "hybrid"}),
        (["mixing.batch=24"], {"X-X", "hybrid"}),
        # What is judged by may not be trained on, so groups are prepared again; but the same groups train the same.
        (["data.validation="], {"groups", "X-X", "hybrid"}),
        (["data.evaluation.again={dataset: atlas, split: test, limit: 5}"], {"groups"}),
        (["encoder.fresh.seed=1"], {"start", "X-X", "hybrid", "untrained"}),
        (["data.languages=[de, en]"], {"groups", "start", "X-X", "hybrid", "untrained"}),
        (["evaluation.precision=bf16"], {"untrained"}),
        (["data.evaluation.test.languages=[de, en]"], {"groups", "bm25", "untrained"}),
    ):
        after = names(*overrides)
        assert {name for name in before if before[name] != after[name]} == renamed, overrides


def test_data_elsewhere_with_the_same_content_is_the_same_data(fields: dict[str, Any], tmp_path: Path) -> None:
    def names(*overrides: str) -> list[str]:
        stages = Stages(build_config(RunConfig, with_overrides(fields, overrides)), str(tmp_path / "root"))
        return [stages.groups.name, stages.trained_name("X-X"), stages.evaluation_name("BM25", "test")]

    parts = {"data.train.0": "train", "data.validation": "validation", "data.evaluation.test": "test"}
    moved = []
    for field, name in parts.items():
        copy = tmp_path / f"{name}.jsonl"
        copy.write_bytes((Path(fields["root"]).parent / f"{name}.jsonl").read_bytes())
        moved.append(f"{field}.path={copy}")
    before = names()
    assert names(*moved) == before
    (tmp_path / "test.jsonl").write_bytes((tmp_path / "test.jsonl").read_bytes().replace(b"river", b"stream"))
    assert [a == b for a, b in zip(before, names(*moved), strict=True)] == [False, True, False]


def test_row_groups_of_any_size_can_be_prepared(fields: dict[str, Any], tmp_path: Path) -> None:
    for rows in (7, 70_000):
        stages = Stages(changed(fields, f"data.row_group_rows={rows}"), str(tmp_path))
        assert stages.groups.name.startswith("groups/")


def test_validation_texts_are_in_the_form_of_training_texts(fields: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "validation.jsonl"
    lines = [
        '{"key": "a", "q_en": "  two\\u00a0 words ", "p_en": "cafe\\u0301"}',
        '{"key": "b", "q_en": " ", "p_en": "nobody asks"}',
        '{"key": "c", "q_en": "x", "p_en": "y", "q_de": "z", "p_de": "w"}',
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    wide = "{en: {query: q_en, passage: p_en}, de: {query: q_de, passage: p_de}}"
    override = f"data.validation={{dataset: generic, path: {path}, id: key, wide: {wide}}}"
    validation = Stages(changed(fields, override), str(tmp_path)).validation
    assert validation is not None
    assert sorted(validation.query_texts) == ["two words", "x", "z"]
    assert sorted(validation.passage_texts) == ["café", "w", "y"]


def test_cross_figures_need_two_languages_to_validate_on(fields: dict[str, Any], tmp_path: Path) -> None:
    config = changed(fields, "training.validation.measure=cross.mAP", "data.validation.languages=[en]")
    with pytest.raises(ConfigError, match=r"validation\.measure: cross\.mAP needs .* has en; use multi\.mAP"):
        _ = Stages(config, str(tmp_path)).validation


def test_what_is_not_there_is_named(fields: dict[str, Any], tmp_path: Path) -> None:
    stages = Stages(changed(fields), str(tmp_path))
    with pytest.raises(ConfigError, match="arms: has no 'x'; it has X-X, hybrid"):
        stages.mixing("x")
    with pytest.raises(ConfigError, match=r"data\.evaluation: has no 'x'; it has test"):
        stages.collection("x")
    with pytest.raises(DataError, match="arm hybrid is not trained; train it first"):
        stages.encoder("hybrid")
    assert stages.untrained_arms() == ["X-X", "hybrid"]
    assert stages.retrievers() == ["X-X", "hybrid", "BM25", "untrained"]


def test_stored_text_is_yaml_that_gives_the_configuration_back(fields: dict[str, Any]) -> None:
    import yaml

    config = changed(fields, "arms.late=[{mono: 1}, {step: 9, multi: 1/3, cross: 2/3}]")
    text = yaml.safe_dump(to_plain(config), allow_unicode=True)
    assert build_config(RunConfig, parse_yaml(text, "stored")) == config
