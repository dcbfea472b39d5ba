"""Logs go to stderr, one line a message, and never show a secret of the environment."""

import logging
import sys

import pytest

from cluster.logs import get_logger, mask_secrets, progress, set_up_logs

SECRET = "s3cr3t-value-0123"


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_messages_go_to_stderr_once(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        set_up_logs()
    get_logger("test").info("%d groups", 3)
    get_logger("test").debug("unseen")
    assert said(capsys)[9:] == "I 3 groups\n"
    set_up_logs(verbose=True)
    get_logger("test").debug("seen")
    assert said(capsys)[9:] == "D seen\n"
    assert not logging.getLogger("mixlingual").propagate


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "my_password", "SERVICE_API_KEY", "ApiKey"])
def test_secrets_are_masked(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(name, SECRET)
    set_up_logs()
    get_logger("test").warning("key %s in %r", SECRET, {"url": f"s3://x:{SECRET}@host"})
    try:
        raise ValueError(f"denied for {SECRET}")
    except ValueError:
        get_logger("test").exception("failed with %s", SECRET)
    text = said(capsys)
    assert SECRET not in text
    assert "key *** in {'url': 's3://x:***@host'}" in text and "ValueError: denied for ***" in text


def test_a_secret_that_begins_with_another_is_masked_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", SECRET)
    monkeypatch.setenv("B_TOKEN", f"{SECRET}-and-more")
    assert mask_secrets(f"<{SECRET}-and-more> <{SECRET}>") == "<***> <***>"


def test_what_is_no_secret_stays_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("TOKENIZERS_PARALLELISM", "not-a-secret"),
        ("RAY_AUTH_TOKEN_PATH", "/home/me/token"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/home/me/aws"),
        ("SHORT_TOKEN", "true"),
        ("EMPTY_TOKEN", ""),
        ("PLAIN", "plain-value"),
    ):
        monkeypatch.setenv(name, value)
    text = "not-a-secret /home/me/token /home/me/aws true plain-value"
    assert mask_secrets(text) == text


def test_progress_passes_items_on_and_is_silent_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(iter("abc"), "letters", total=3)) == ["a", "b", "c"]
    assert said(capsys) == ""


def test_progress_shows_a_bar_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(progress(range(3), "letters", unit="letter", mininterval=0)) == [0, 1, 2]
    assert "letters" in said(capsys)
