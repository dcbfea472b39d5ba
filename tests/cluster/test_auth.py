"""Tokens: one sentence where there is none, files that only their user reads."""

import stat
from pathlib import Path

import pytest

from cluster.auth import MODE, TOKEN, TOKEN_PATH, default_token_path, ensure_local_token, require_token, wrong_token
from cluster.errors import ConfigError

REMEDY = "set RAY_AUTH_TOKEN to the cluster's token, or RAY_AUTH_TOKEN_PATH to a file that holds it"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (MODE, TOKEN, TOKEN_PATH):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def problem() -> str:
    with pytest.raises(ConfigError) as error:
        require_token("the cluster")
    return str(error.value)


def test_without_a_token_one_sentence_says_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert problem() == f"the cluster asks for a token, and there is none here; {REMEDY}"
    empty = home / "empty"
    for name in (home, empty, home / "missing"):
        empty.write_text(" \n")
        monkeypatch.setenv(TOKEN_PATH, str(name))
        assert (
            problem()
            == f"the cluster asks for a token, and RAY_AUTH_TOKEN_PATH names {name}, which holds none; {REMEDY}"
        )


def test_each_source_of_a_token_will_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODE, "disabled")
    require_token("the cluster")
    monkeypatch.delenv(MODE)
    default_token_path().parent.mkdir()
    default_token_path().write_text("a")
    require_token("the cluster")
    assert str(wrong_token("it")).startswith(f"it refuses the token from {default_token_path()}; set ")
    default_token_path().unlink()
    (home / "file").write_text("b")
    monkeypatch.setenv(TOKEN_PATH, str(home / "file"))
    require_token("the cluster")
    assert str(wrong_token("it")).startswith(f"it refuses the token from {home / 'file'}; set ")
    monkeypatch.delenv(TOKEN_PATH)
    monkeypatch.setenv(TOKEN, "c")
    require_token("the cluster")
    assert str(wrong_token("it")) == f"it refuses the token from RAY_AUTH_TOKEN; {REMEDY}"


def test_who_shows_no_token_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODE, "disabled")
    assert str(wrong_token("it")) == f"it asks for a token, and there is none here; {REMEDY} and RAY_AUTH_MODE to token"


def test_a_token_of_this_machine_is_its_users_alone_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODE, "disabled")
    ensure_local_token()
    assert not default_token_path().exists()
    monkeypatch.delenv(MODE)
    ensure_local_token()
    token = default_token_path().read_text()
    assert len(token) == 64 and stat.S_IMODE(default_token_path().stat().st_mode) == 0o600
    ensure_local_token()
    assert default_token_path().read_text() == token and len(list(default_token_path().parent.iterdir())) == 1
