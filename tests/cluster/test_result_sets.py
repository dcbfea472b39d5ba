"""Result sets appear whole or not at all: killed writers, races, damage, keys that would leave the root, leftovers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import ConfigError, DataError, WorkError
from cluster.fingerprint import file_sha256
from cluster.storage import ResultSet, open_result_set, open_store, result_set_exists, write_result_set
from cluster.storage.result_set import COMMIT, MANIFEST
from cluster.storage.staging import ABANDONED_SECONDS
from cluster.storage.store import STAGING, check_key

NAME = "groups/0123456789abcdef"
CONTENT = {"a.txt": "eins\n", "empty.txt": "", "part/b.txt": "zwei\n" * 1000}
PROCESSES = Path(__file__).with_name("writer_processes.py")


def write(root: Path, name: str = NAME) -> ResultSet:
    with write_result_set(open_store(root), name, {"stage": "test"}) as folder:
        for relative, text in CONTENT.items():
            (folder / relative).parent.mkdir(exist_ok=True)
            (folder / relative).write_text(text, encoding="utf-8")
    return open_result_set(open_store(root), name)


def staged(root: Path) -> list[Path]:
    return list((root / STAGING).iterdir())


def run_processes(*arguments: object) -> Any:
    command = [sys.executable, str(PROCESSES), *map(str, arguments)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write(tmp_path)
    found = open_result_set(open_store(f"file:{tmp_path}"), NAME)
    assert found.name == NAME and found.about == {"stage": "test"}
    assert {name: found.path(name).read_text() for name in found.files} == CONTENT
    with pytest.raises(DataError, match=r"holds no file 'c\.txt'; it has a\.txt, empty\.txt, part/b\.txt"):
        found.path("c.txt")
    assert list(open_store(tmp_path).list("")) == sorted(f"{NAME}/{name}" for name in [*CONTENT, COMMIT, MANIFEST])
    assert not staged(tmp_path)


@pytest.mark.parametrize("trouble", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_writer_that_fails_leaves_no_trace(tmp_path: Path, trouble: type[BaseException]) -> None:
    with pytest.raises(trouble), write_result_set(open_store(tmp_path), NAME, {}) as folder:
        (folder / "a.txt").write_text("half")
        raise trouble
    assert [path.name for path in tmp_path.rglob("*")] == [STAGING]


@pytest.mark.parametrize(
    "trouble",
    [
        OSError(28, "No space left on device", "a.parquet"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        OSError("100000 requested and 8176 written"),
    ],
)
def test_a_full_disk_is_said_whichever_library_met_it(tmp_path: Path, trouble: Exception) -> None:
    with (
        pytest.raises(WorkError, match=rf"^{NAME}: No space left on device for {tmp_path}/.staging; make room"),
        write_result_set(open_store(tmp_path), NAME, {}),
    ):
        raise trouble
    assert [path.name for path in tmp_path.rglob("*")] == [STAGING]


def test_a_description_that_json_cannot_hold_leaves_no_trace(tmp_path: Path) -> None:
    for about in ({"best": float("nan")}, {"path": tmp_path}):
        with pytest.raises((ValueError, TypeError)), write_result_set(open_store(tmp_path), NAME, about):
            pass
    assert [path.name for path in tmp_path.rglob("*")] == [STAGING]


def test_a_writer_killed_at_any_line_leaves_nothing_or_the_whole(tmp_path: Path) -> None:
    lines = run_processes("kill", tmp_path)
    visible = []
    for number, line in enumerate(lines, start=1):
        root = tmp_path / str(number)
        store = open_store(root)
        visible.append(result_set_exists(store, NAME))
        if visible[-1]:
            assert set(open_result_set(store, NAME).files) == set(CONTENT), line
        else:
            assert list(store.list("")) == [], line
            with pytest.raises(DataError, match="no committed result set"):
                open_result_set(store, NAME)
        # The next writer, of whatever, finds nothing in its way and takes away what the killed one left.
        write(root, "another/one")
        assert not staged(root), line
    assert visible == sorted(visible)
    # The test is worth something only if writers died all along the way.
    assert {line.partition(":")[0] for line in lines} >= {"result_set.py", "staging.py", "store.py", PROCESSES.name}
    assert len(lines) > 60 and visible.count(True) > 5


def test_of_two_writers_one_wins_and_the_other_is_told(tmp_path: Path) -> None:
    rounds = run_processes("race", tmp_path, 20)
    assert len(rounds) == 20
    for result in rounds:
        winner, loser = sorted(result["told"], key=lambda letter: not result["told"][letter])
        assert result["told"] == {winner: True, loser: False} and result["last"] == winner
        whole = [winner, sorted([f"{winner}.txt", "both.txt"]), winner]
        assert all(seen == whole for seen in result["seen"])
    assert not staged(tmp_path)


def test_the_second_writer_of_a_name_changes_nothing(tmp_path: Path) -> None:
    first = write(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    with write_result_set(open_store(tmp_path), NAME, {"stage": "another"}) as folder:
        (folder / "a.txt").write_text("zwei\n")
    assert {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")} == before
    assert not staged(tmp_path)


def test_what_is_no_result_set_is_never_overwritten(tmp_path: Path) -> None:
    foreign = tmp_path / NAME
    foreign.mkdir(parents=True)
    (foreign / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=rf"{NAME}: stands where a result belongs and is none .*move it away"):
        write(tmp_path)
    assert (foreign / "notes.txt").read_text() == "mine"
    assert not staged(tmp_path)


@pytest.mark.parametrize(
    ("name", "damage", "problem"),
    [
        ("a.txt", lambda path: path.write_text("eins!"), r"a\.txt: damaged"),
        ("part/b.txt", lambda path: path.write_text("zwei\n"), r"part/b\.txt: has 5 bytes, its manifest says 5000"),
        ("part/b.txt", lambda path: path.write_text(""), r"part/b\.txt: has 0 bytes"),
        ("empty.txt", lambda path: path.write_text("x"), r"empty\.txt: has 1 bytes, its manifest says 0"),
        ("empty.txt", lambda path: path.unlink(), r"empty\.txt: missing"),
        (MANIFEST, lambda path: path.unlink(), r"manifest\.json: missing"),
        (MANIFEST, lambda path: path.write_text("{"), r"manifest\.json: does not match its commit"),
        (COMMIT, lambda path: path.write_text("0" * 64), r"manifest\.json: does not match its commit"),
        (COMMIT, lambda path: path.write_bytes(b"\xff"), "COMMIT: cannot be read"),
        (COMMIT, lambda path: path.unlink(), "no committed result set"),
    ],
)
def test_damage_is_named_on_reading(tmp_path: Path, name: str, damage: Any, problem: str) -> None:
    damage(write(tmp_path).folder / name)
    with pytest.raises(DataError, match=problem) as error:
        open_result_set(open_store(tmp_path), NAME)
    assert str(tmp_path / NAME) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "manifest",
    [
        [],
        {"version": 1, "about": {}},
        {"version": 1, "about": {}, "files": ["a.txt"]},
        {"version": 1, "about": {}, "files": {"a.txt": 5}},
        {"version": 1, "about": {}, "files": {"a.txt": {"bytes": "many", "sha256": ""}}},
        {"version": 1, "about": {}, "files": {"../../outside.txt": {"bytes": 0, "sha256": ""}}},
        {"version": 1, "about": {}, "files": {"/etc/passwd": {"bytes": 0, "sha256": ""}}},
        {"version": 2, "about": {}, "files": {}},
    ],
)
def test_a_manifest_of_another_form_is_refused(tmp_path: Path, manifest: Any) -> None:
    folder = write(tmp_path).folder
    (folder / MANIFEST).write_text(json.dumps(manifest))
    (folder / COMMIT).write_text(file_sha256(folder / MANIFEST))
    newer = isinstance(manifest, dict) and manifest["version"] == 2
    problem = "version 2, this program reads 1" if newer else "not a manifest"
    with pytest.raises(DataError, match=rf"manifest\.json: {problem}"):
        open_result_set(open_store(tmp_path), NAME)


@pytest.mark.parametrize(
    "key",
    ["", ".", "./", "..", "../x", "a/../../x", "a/..", "/", "/etc/passwd", "//x", "a\\..\\b", "a\0b", ".staging/x"],
)
def test_keys_stay_inside_the_root(tmp_path: Path, key: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "x"
    outside.write_text("mine")
    write(root)
    store = open_store(root)
    with pytest.raises(ConfigError, match="^key "):
        check_key(key)
    for function in (store.exists, store.read_bytes, store.delete, store.fetch_folder, lambda key: write(root, key)):
        with pytest.raises(ConfigError, match="^key "):
            function(key)
    assert outside.read_text() == "mine"
    assert open_result_set(store, NAME)


def test_keys_that_only_look_odd_are_fine() -> None:
    for key in ("a", "a/b", "a/..b", "...", "ü/中", "a b", "x/.staging", "runs/2026-01-01T00:00:00"):
        assert check_key(key) == key


def test_deleting_is_out_of_sight_at_once_and_not_an_error_twice(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, "groups/other")
    store = open_store(tmp_path)
    store.delete(NAME)
    store.delete(NAME)
    store.delete(f"{NAME}/{COMMIT}")
    assert not store.exists(NAME) and open_result_set(store, "groups/other")
    assert not staged(tmp_path)


FILLING = """
import sys, pathlib
sys.path.insert(0, sys.argv[1])
from cluster.storage import open_store
with open_store(sys.argv[2]).staging_folder() as folder:
    (folder / "file").write_text("half")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_leftovers_go_at_the_next_write_and_folders_in_use_stay(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", FILLING, str(PROCESSES.parents[2]), str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        killed, alive = [Path((writer.stdout or sys.stdin).readline().strip()) for writer in writers]
        write(tmp_path)
        assert killed.exists() and alive.exists()
        os.kill(writers[0].pid, signal.SIGKILL)
        writers[0].wait()
        long_ago = time.time() - 10 * ABANDONED_SECONDS
        for path in (alive / "file", alive):
            os.utime(path, (long_ago, long_ago))
        write(tmp_path, "groups/second")
        assert staged(tmp_path) == [alive] and (alive / "file").read_text() == "half"
        writers[1].communicate("", timeout=20)
        assert writers[1].returncode == 0 and not staged(tmp_path)
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def test_without_locks_only_what_has_not_changed_for_a_day_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: Any) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    old, new, nested = [tmp_path / STAGING / name for name in ("old", "new", "nested")]
    for folder in (old, new, nested):
        (folder / "part").mkdir(parents=True)
        (folder / "part" / "file").write_text("half")
    long_ago = time.time() - ABANDONED_SECONDS - 60
    for path in [old, *old.rglob("*"), nested, nested / "part"]:
        os.utime(path, (long_ago, long_ago))
    write(tmp_path)
    assert sorted(staged(tmp_path)) == sorted([new, nested])


def test_without_locks_a_clock_that_is_ahead_takes_no_folder_for_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: Any) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    monkeypatch.setattr("time.time", lambda: 4e9)
    (tmp_path / STAGING / "new").mkdir(parents=True)
    write(tmp_path)
    assert staged(tmp_path) == [tmp_path / STAGING / "new"]


def test_sweeping_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    root = tmp_path / "root"
    write(root)
    (root / STAGING / "link").symlink_to(outside)
    write(root, "groups/second")
    assert (outside / "file").read_text() == "mine"


def test_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").write_text("")
    for root in ("folder", "file:folder", f"file:{tmp_path}/folder", f"file://{tmp_path}/folder", "folder/../folder/"):
        assert open_store(root).uri == str(tmp_path / "folder")
    assert not (tmp_path / "folder").exists(), "a store is made when something is written"
    for root, problem in (
        ("gs://bucket/x", "unknown scheme 'gs:'"),
        ("file://machine/folder", "names the machine 'machine'"),
        ("//machine/folder", "names the machine 'machine'"),
        ("a file", f"{tmp_path}/a file is a file|a file is a file"),
        ("a file/below", "a file is a file"),
        ("~no-such-user/x", "there is no such user"),
        ("", "names no folder"),
        ("file:", "names no folder"),
        ("a\0b", "names no folder"),
    ):
        with pytest.raises(ConfigError, match=f"^root '.*{problem}"):
            open_store(root)
