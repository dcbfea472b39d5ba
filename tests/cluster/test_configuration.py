"""Configuration: strict, exact, safe YAML; overrides; and one line for everything that is wrong."""

from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError, model_validator

from cluster.config import (
    MAX_CONFIG_BYTES,
    Config,
    Share,
    build_config,
    load_config,
    parse_yaml,
    to_plain,
    with_overrides,
)
from cluster.errors import EXIT_USAGE, ConfigError


class Part(Config):
    """A part."""

    size: int = Field(default=3, ge=1)
    rate: float = 0.5
    share: Share = Fraction(1, 2)


class Whole(Config):
    """The whole."""

    name: str
    kind: Literal["fast", "slow"] = "fast"
    part: Part = Part()
    parts: tuple[Part, ...] = ()
    by_name: dict[str, Part] = {}
    limit: int | None = None

    @model_validator(mode="after")
    def _check(self) -> "Whole":
        if self.name == "bad":
            raise ValueError("bad is no name; use another")
        return self


def load(tmp_path: Path, text: str | bytes, *overrides: str) -> Whole:
    path = tmp_path / "run.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_config(Whole, path, overrides)


def problem(tmp_path: Path, text: str | bytes, *overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text, *overrides)
    assert error.value.exit_code == EXIT_USAGE
    assert "\n" not in str(error.value)
    return str(error.value).replace(f"{tmp_path}/", "")


def test_a_file_becomes_an_object_that_does_not_change(tmp_path: Path) -> None:
    config = load(tmp_path, "name: x\npart: {size: 7, share: 0.1}\nparts: [{rate: 1}]\nby_name: {a: {share: 2/6}}\n")
    assert config.part.size == 7 and config.part.share == Fraction(1, 10)
    assert config.parts[0].rate == 1.0 and config.by_name["a"].share == Fraction(1, 3)
    with pytest.raises(ValidationError):
        config.name = "y"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "run.yaml: is empty, expected a mapping"),
        ("- 1", "run.yaml: holds list, expected a mapping"),
        (
            "nam: x",
            "run.yaml: nam: unknown key; did you mean 'name'? known here: by_name, kind, limit, name, part, parts",
        ),
        ("name: x\npart: {sise: 1}", "part.sise: unknown key; did you mean 'size'? known here: rate, share, size"),
        ("name: x\nparts: [{}, {sise: 1}]", "parts.1.sise: unknown key; did you mean 'size'?"),
        ("name: x\nby_name: {a: {sise: 1}}", "by_name.a.sise: unknown key; did you mean 'size'?"),
        ("kind: fast", "run.yaml: name: missing; this field has no default"),
        ("name: bad", "run.yaml: bad is no name; use another"),
        ("name: x\nkind: medium", "kind: Input should be 'fast' or 'slow' (found 'medium')"),
        ("name: x\npart: {size: 0}", "part.size: Input should be greater than or equal to 1 (found 0)"),
        ("name: x\npart: {size: 1.5}", "part.size: Input should be a valid integer"),
        ("name: x\npart: {rate: .nan}", "part.rate: Input should be a finite number (found nan)"),
        ("name: x\npart: {rate: .inf}", "part.rate: Input should be a finite number (found inf)"),
        ("name: x\npart: {share: much}", "part.share: must be a number such as 0.5 or 1/2 (found 'much')"),
        ("name: x\npart: {share: 1/0}", "part.share: must be a number such as 0.5 or 1/2"),
        ("name: x\npart: {share: yes}", "part.share: must be a number such as 0.5 or 1/2 (found True)"),
        ("name: x\npart: {share: 1e999999999}", "part.share: must be a number such as 0.5 or 1/2"),
        ("name: x\npart: {share: .inf}", "part.share: must be a number such as 0.5 or 1/2"),
        (f"name: [x]\nkind: {'y' * 1000}", "name: Input should be a valid string"),
        ("name: x\nlimit: " + "y" * 1000, "yyy...)"),
        # YAML
        ("name:\tx\n\tkind: y", "run.yaml: line 1 not valid YAML: found character '\\t' that cannot start any token"),
        ("name: x\npart: [", "run.yaml: line 2 not valid YAML"),
        ("name: x\nname: y", "run.yaml: line 2: key 'name' stands twice; keep one"),
        ("name: x\npart: {size: 1, size: 1}", "run.yaml: line 2: key 'size' stands twice"),
        ("name: x\nparts: [&a {size: 1}, *a]", "run.yaml: line 2: YAML aliases (*a) are refused; write the value out"),
        ("name: x\npart:\n  <<: {size: 1}", "run.yaml: line 3 not valid YAML"),
        ("name: x\n? [a, b]\n: 1", "run.yaml: line 2: a key must be a plain word"),
        ("name: x\n---\nname: y", "expected a single document in the stream, but found another document"),
        ("name: !!python/object/apply:os.getcwd []", "could not determine a constructor for the tag"),
        ("name: !!int ''", "a value does not fit its tag"),
        ("name: !!bool x", "a value does not fit its tag"),
        ("name: !!timestamp x", "a value does not fit its tag"),
        ("name: !!float x", "a value does not fit its tag"),
        ("name: !!binary x", "not valid YAML"),
        ("name: " + "[" * 3000, "nested too deeply"),
        ('name: "\\ud800"', "run.yaml: line 1: holds half a surrogate pair"),
        ("name: a\0b", "not valid YAML: unacceptable character"),
        (b"name: \xff", "run.yaml: cannot be read as UTF-8 text"),
        (b"#" * (MAX_CONFIG_BYTES + 1), "run.yaml: larger than 1 MiB"),
        # Secrets
        ("name: x\npassword: y", "run.yaml: password: secrets do not belong in a configuration; set an environment"),
        ("name: x\npart: {aws_secret: y}", "part.aws_secret: secrets do not belong"),
        ("name: x\nparts: [{hf_token: y}]", "parts.0.hf_token: secrets do not belong"),
        ("name: x\nby_name: {a: {API-KEY: y}}", "by_name.a.API-KEY: secrets do not belong"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert said in problem(tmp_path, text)


def test_a_secret_is_not_repeated(tmp_path: Path) -> None:
    assert "hunter2" not in problem(tmp_path, "name: x\npassword: hunter2")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "none.yaml", "no such configuration file"), (tmp_path, "cannot be read as UTF-8")):
        with pytest.raises(ConfigError, match=f"^{path}: {said}"):
            load_config(Whole, path)


def test_a_mark_at_the_beginning_of_the_file_does_no_harm(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbfname: x").name == "x"


BASE = "name: x\npart: {size: 1}\nparts: [{size: 1}, {size: 2}]\nby_name: {a: {size: 1}}\n"


@pytest.mark.parametrize(
    ("override", "read", "value"),
    [
        ("name=y", lambda c: c.name, "y"),
        ("name = 'a=b'", lambda c: c.name, "a=b"),
        ("part.size=9", lambda c: c.part.size, 9),
        ("part={size: 9, share: 1/3}", lambda c: (c.part.size, c.part.share), (9, Fraction(1, 3))),
        ("parts.1.size=9", lambda c: [p.size for p in c.parts], [1, 9]),
        ("parts.0={rate: 2}", lambda c: [(p.size, p.rate) for p in c.parts], [(3, 2.0), (2, 0.5)]),
        ("parts=[]", lambda c: c.parts, ()),
        ("by_name.b.size=9", lambda c: {name: p.size for name, p in c.by_name.items()}, {"a": 1, "b": 9}),
        ("limit=5", lambda c: c.limit, 5),
        ("limit=", lambda c: c.limit, None),
        ("part.share=0.3", lambda c: c.part.share, Fraction(3, 10)),
    ],
)
def test_overrides_reach_every_field(tmp_path: Path, override: str, read: Any, value: Any) -> None:
    assert read(load(tmp_path, BASE, override)) == value


def test_the_last_override_counts_and_the_fields_given_stay_as_they_are(tmp_path: Path) -> None:
    assert load(tmp_path, BASE, "part.size=5", "part={}", "part.size=6", "part.rate=1").part.size == 6
    fields = {"part": {"size": 1}, "parts": [{"size": 1}]}
    with_overrides(fields, ["part.size=2", "parts.0.size=2", "new.deep.er=1"])
    assert fields == {"part": {"size": 1}, "parts": [{"size": 1}]}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("name", "override 'name': expected field.name=value"),
        ("=x", "override '=x': expected field.name=value"),
        ("part.sise=1", "run.yaml: part.sise: unknown key; did you mean 'size'?"),
        ("part.size.x=1", "override 'part.size.x=1': 'x' is inside a plain value"),
        ("part.size.x.y=1", "override 'part.size.x.y=1': 'x' is inside a plain value"),
        ("parts.2.size=1", "override 'parts.2.size=1': '2' is not an item of a list of 2; use 0 to 1"),
        ("parts.-1.size=1", "'-1' is not an item of a list of 2"),
        ("parts.x=1", "'x' is not an item of a list of 2"),
        ("parts.²=1", "'²' is not an item of a list of 2"),
        ("name=[", "override 'name=[': line 1 not valid YAML"),
        ("name=*a", "override 'name=*a': line 1: YAML aliases (*a) are refused"),
        ("name={a: 1, a: 2}", "line 1: key 'a' stands twice"),
        ("name=", "run.yaml: name: Input should be a valid string (found None)"),
        ("part.secret_key=x", "run.yaml: part.secret_key: secrets do not belong"),
    ],
)
def test_overrides_that_cannot_be_used_are_named(tmp_path: Path, override: str, said: str) -> None:
    assert said in problem(tmp_path, BASE, override)


def test_an_item_of_an_empty_list_cannot_be_set(tmp_path: Path) -> None:
    assert "'0' is not an item of a list of 0; set the whole list" in problem(
        tmp_path, "name: x\nparts: []", "parts.0=1"
    )


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_shares_are_exact_and_survive_being_stored(numerator: int, denominator: int) -> None:
    share = Fraction(numerator, denominator)
    part = build_config(Part, {"share": f"{numerator}/{denominator}"})
    assert part.share == share
    assert build_config(Part, parse_yaml(yaml.safe_dump(to_plain(part)), "stored")) == part


@settings(deadline=None)
@given(st.decimals(0, 10, places=6))
def test_decimals_mean_what_they_say(value: Any) -> None:
    for written in (str(value), float(value)):
        part = build_config(Part, {"share": written})
        assert part.share == Fraction(str(value))
        assert build_config(Part, to_plain(part)) == part
    assert build_config(Part, parse_yaml(f"share: {value}", "text")).share == Fraction(str(value))


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet="ab: -[]{}&*!|>'\"\n\t#?,%@`~.01\\u/<=", max_size=40))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        parse_yaml(text, "text")
    except ConfigError as error:
        assert str(error).startswith("text:") and "\n" not in str(error)


def test_documented_fields_carry_their_docstrings() -> None:
    from trainer.config import TrainingConfig

    assert TrainingConfig.model_fields["steps"].description == "Optimiser steps, one global batch each."
