"""`storage gc` and `storage fetch` on a folder and on an S3 server."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from object_stores.servers import BUCKET, CREDENTIALS, client, moto_server

from cluster.errors import EXIT_OK, EXIT_USAGE
from cluster.storage import open_result_set, open_store, write_result_set
from jobs.cli import main

LEFTOVER = "sets/one/upload-0123456789abcdef"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        with moto_server() as url:
            yield url


@pytest.fixture(params=["folder", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A root with one result set, and what a killed writer left."""
    monkeypatch.setenv("MIXLINGUAL_STORAGE_CACHE", str(tmp_path / "cache"))
    prefix, uri = uuid.uuid4().hex[:8], str(tmp_path / "root")
    if request.param == "bucket":
        url = request.getfixturevalue("server")
        uri = f"s3://{BUCKET}/{prefix}?endpoint={url}"
    with write_result_set(open_store(uri), "sets/one", {}) as folder:
        (folder / "a.txt").write_text("a")
        (folder / "b").mkdir()
        (folder / "b" / "c.txt").write_text("c")
    if request.param == "bucket":
        client(url).put_object(Bucket=BUCKET, Key=f"{prefix}/{LEFTOVER}/a.txt", Body=b"half")
    else:
        (tmp_path / "root" / ".staging" / "dead").mkdir(parents=True)
    return uri


@pytest.fixture
def storage(root: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any, str]]:
    """Exit code, JSON and standard error of an action on the root."""

    def run(*arguments: object) -> tuple[int, Any, str]:
        capsys.readouterr()
        code = main(["storage", *map(str, arguments), "--root", root, "--json"])
        captured = capsys.readouterr()
        return code, json.loads(captured.out) if captured.out else None, captured.err

    return run


def test_garbage_is_listed_then_removed_and_results_stay(
    root: str, storage: Callable[..., tuple[int, Any, str]]
) -> None:
    in_bucket = root.startswith("s3:")
    left = [LEFTOVER if in_bucket else ".staging/dead"]
    for _ in range(2):
        assert storage("gc", "--hours", 0, "--dry-run") == (EXIT_OK, {"removed": left, "dry_run": True}, "")
    if in_bucket:
        assert storage("gc")[1] == {"removed": [], "dry_run": False}, "it may be under way"
    assert storage("gc", "--hours", 0) == (EXIT_OK, {"removed": left, "dry_run": False}, "")
    assert storage("gc", "--hours", 0)[1] == {"removed": [], "dry_run": False}
    open_result_set(open_store(root), "sets/one")


def test_a_result_set_is_fetched_to_a_folder(tmp_path: Path, storage: Callable[..., tuple[int, Any, str]]) -> None:
    code, result, _ = storage("fetch", "sets/one", "--to", tmp_path / "here")
    assert code == EXIT_OK and result["files"] == ["a.txt", "b/c.txt"]
    assert (tmp_path / "here" / "b" / "c.txt").read_text() == "c"
    code, result, said = storage("fetch", "sets/one", "--to", tmp_path / "here")
    assert (code, result) == (EXIT_USAGE, None) and said.count("\n") == 1 and "is there already" in said
    code, result, said = storage("fetch", "sets/two", "--to", tmp_path / "there")
    assert (code, result) == (EXIT_USAGE, None) and "sets/two: no committed result set" in said


def test_wrong_ages(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for hours in ("-1", "inf", "nan", "day"):
        with pytest.raises(SystemExit):
            main(["storage", "gc", "--root", str(tmp_path), f"--hours={hours}"])
        assert "is no number of hours" in capsys.readouterr().err
