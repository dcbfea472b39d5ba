"""Fingerprints: the same inputs give the same name in every process, different inputs different names."""

import hashlib
import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.config import Config
from cluster.fingerprint import canonical, file_sha256, fingerprint

ROOT = Path(__file__).parents[2]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


class Options(Config):
    size: int = 1
    share: Fraction = Fraction(1, 3)
    path: Path = Path("a/b")


def test_a_name_worked_out_by_hand() -> None:
    text = '{"a":[1,2.5,null,true],"b":"ü"}'
    assert fingerprint({"b": "ü", "a": (1, 2.5, None, True)}) == hashlib.sha256(text.encode()).hexdigest()[:16]


@settings(deadline=None)
@given(VALUES, VALUES)
def test_equal_values_and_only_they_share_a_name(first: Any, second: Any) -> None:
    def written(value: Any) -> str:
        return json.dumps(value, sort_keys=True)

    assert (fingerprint(first) == fingerprint(second)) == (written(first) == written(second))
    assert fingerprint(canonical(first)) == fingerprint(first)


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.integers(), min_size=2), st.randoms())
def test_the_order_of_keys_says_nothing(mapping: dict[str, int], random: Any) -> None:
    keys = list(mapping)
    random.shuffle(keys)
    assert fingerprint({key: mapping[key] for key in keys}) == fingerprint(mapping)


def test_values_that_are_not_json_have_one_form_each() -> None:
    assert canonical({"s": {"b", "a"}, "f": frozenset([2, 1])}) == {"s": ["a", "b"], "f": [1, 2]}
    assert canonical(Options()) == {"size": 1, "share": "1/3", "path": "a/b"}
    assert fingerprint(Options()) == fingerprint(Options(share=Fraction(2, 6))) != fingerprint(Options(size=2))


@pytest.mark.parametrize("value", [object(), print, b"bytes", {1: "a"}, [{"x": 1j}], {"a", 1}])
def test_what_has_no_stable_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        fingerprint({"value": value})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_cannot_write_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        fingerprint([value])


def test_other_processes_give_the_same_name() -> None:
    code = "from cluster.fingerprint import fingerprint; print(fingerprint({'s': set('abcdefgh'), 'x': [1.1, 'ü']}))"
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True)
        assert done.stdout.decode().strip() == fingerprint({"s": set("abcdefgh"), "x": [1.1, "ü"]})


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_the_checksum_of_a_file_is_that_of_its_bytes(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()
