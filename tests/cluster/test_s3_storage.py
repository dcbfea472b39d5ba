"""The same promises on a folder, on moto and on rclone; and what object stores add."""

import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import botocore.config
import pytest
from object_stores.faulty_proxy import faulty_proxy
from object_stores.servers import BUCKET, client

from cluster.config import build_config
from cluster.errors import ConfigError, DataError, WorkError
from cluster.storage import Store, open_result_set, open_store, result_set_exists, write_result_set
from cluster.storage.result_set import COMMIT, seal
from cluster.storage.retries import Retries
from cluster.storage.s3_bucket import Bucket
from cluster.storage.s3_transfer import MAX_PARTS, cut_file
from cluster.storage.storage_config import StorageConfig, parse_s3_uri, s3_uri

HELPERS = Path(__file__).parents[1] / "object_stores"
FILES = {"a.txt": "a", "deeper/ü b+c.txt": "b" * 1000, "deeper/empty": ""}
KEYS = [
    "sets/one/COMMIT",
    "sets/one/a.txt",
    "sets/one/deeper/empty",
    "sets/one/deeper/ü b+c.txt",
    "sets/one/manifest.json",
]
Roots = Callable[[str], str]


def write(store: Store, name: str = "sets/one", files: dict[str, str] = FILES, **options: object) -> None:
    with write_result_set(store, name, {"from": "a test"}, **options) as folder:  # type: ignore[arg-type]
        for file, text in files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def texts(store: Store, name: str = "sets/one") -> dict[str, str]:
    found = open_result_set(store, name)
    return {file: found.path(file).read_text(encoding="utf-8") for file in found.files}


@pytest.fixture
def elsewhere(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store) -> Store:
    """The same store as another machine opens it, which has nothing in its cache."""
    uri = store.uri
    monkeypatch.setenv("MIXLINGUAL_STORAGE_CACHE", str(tmp_path / "another cache"))
    return open_store(uri)


def objects(uri: str, server: str | None = None) -> dict[str, int]:
    """Everything a bucket holds below a root, behind the store's back."""
    _, prefix, config = parse_s3_uri(uri)
    listed = client(server or str(config.endpoint)).list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/")
    return {item["Key"].removeprefix(f"{prefix}/"): item["Size"] for item in listed.get("Contents", [])}


def object_of(uri: str, ending: str) -> tuple[str, str, str]:
    """Endpoint, bucket key and key below the root of the one object whose key ends so."""
    _, prefix, config = parse_s3_uri(uri)
    (found,) = [key for key in objects(uri) if key.endswith(ending)]
    return str(config.endpoint), f"{prefix}/{found}", found


# Result sets


def test_what_is_written_is_read_back_here_and_elsewhere(store: Store, elsewhere: Store) -> None:
    write(store)
    assert texts(store) == texts(elsewhere) == FILES
    assert open_result_set(elsewhere, "sets/one").about == {"from": "a test"}


def test_keys_are_those_of_a_folder(store: Store, elsewhere: Store) -> None:
    write(store)
    write(store, "sets/one-more", {"a.txt": "other"})
    assert [*elsewhere.list("sets/one")] == KEYS
    assert [*elsewhere.list("")] == sorted(
        [*KEYS, *(f"sets/one-more/{file}" for file in ("COMMIT", "a.txt", "manifest.json"))]
    )
    assert [*elsewhere.list("sets/one/deeper")] == [key for key in KEYS if "deeper" in key]
    assert elsewhere.read_bytes("sets/one/a.txt") == b"a"
    assert elsewhere.read_bytes("sets/one/deeper/ü b+c.txt") == b"b" * 1000
    with pytest.raises(FileNotFoundError):
        elsewhere.read_bytes("sets/one/b.txt")
    stands = ("sets/one", "sets/one/a.txt", "sets/one/deeper", "sets", "sets/on", "sets/one/b.txt", "other")
    assert [elsewhere.exists(key) for key in stands] == [True, True, True, True, False, False, False]


def test_a_writer_that_fails_leaves_nothing(store: Store) -> None:
    def stop() -> None:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="in the block"), write_result_set(store, "sets/one", {}):
        raise RuntimeError("in the block")
    with pytest.raises(RuntimeError, match="stopped"):
        write(store, before_commit=stop)
    assert not store.exists("sets/one")
    assert [*store.list("")] == [] == store.collect_garbage(0)
    write(store)
    assert texts(store) == FILES


def test_the_first_writer_wins_unless_the_second_replaces(store: Store, elsewhere: Store) -> None:
    write(store, files={"a.txt": "first"})
    write(store, files={"a.txt": "second"})
    assert texts(elsewhere) == {"a.txt": "first"}
    write(store, files={"b.txt": "third"}, replace=True)
    assert texts(elsewhere) == texts(store) == {"b.txt": "third"}
    assert [*store.list("sets")] == ["sets/one/COMMIT", "sets/one/b.txt", "sets/one/manifest.json"]


def test_what_is_deleted_is_gone_and_nothing_else(store: Store) -> None:
    for name in ("runs/1", "runs/2/checkpoints/step-1", "runs/2/checkpoints/step-2", "runs/22"):
        write(store, name, {"a.txt": name})
    store.delete("runs/2")
    assert not store.exists("runs/2")
    assert texts(store, "runs/1") == {"a.txt": "runs/1"} and texts(store, "runs/22") == {"a.txt": "runs/22"}
    store.delete("runs/2")
    with pytest.raises(DataError, match="runs/2/checkpoints/step-1: no committed result set"):
        open_result_set(store, "runs/2/checkpoints/step-1")


def test_objects_are_written_over_or_only_where_there_is_none(store: Store) -> None:
    assert store.create_bytes("notes/a", b"first")
    assert not store.create_bytes("notes/a", b"second")
    assert store.read_bytes("notes/a") == b"first"
    store.write_bytes("notes/a", b"third")
    assert store.read_bytes("notes/a") == b"third"
    assert [*store.list("")] == ["notes/a"]


@pytest.mark.parametrize("key", ["", "/a", "../a", "a/../../b", "a\\b", "a\0b"])
def test_keys_stay_below_the_root(store: Store, key: str) -> None:
    with pytest.raises(ConfigError, match="keys are relative"):
        store.write_bytes(key, b"")
    with pytest.raises(ConfigError, match="keys are relative"):
        write(store, key)


@pytest.mark.parametrize(
    ("root", "stride"),
    [
        ("local", 1),
        ("moto", 2),
        ("rclone", 4),
        *(pytest.param(kind, 1, marks=pytest.mark.slow) for kind in ("moto", "rclone")),
    ],
    indirect=["root"],
)
def test_killed_at_every_step_nothing_is_half_visible(root: str, store: Store, stride: int) -> None:
    program = [sys.executable, str(HELPERS / "killed_writers.py"), store.uri, str(stride)]
    path = os.pathsep.join([str(HELPERS.parents[1]), *sys.path])
    done = subprocess.run(program, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    # A commit on its way may be taken or not; a server that lost its client before it saw the whole of it may drop it.
    expected = {"writing": {False}, "committing": {False, True}, "committed": {True}, "done": {True}}
    assert [writer for writer in seen if writer["stood"] not in expected[writer["stage"]]] == []
    assert {"writing", "committing"} <= {writer["stage"] for writer in seen}
    stood = sum(writer["stood"] for writer in seen)
    store.collect_garbage(0)
    assert len([*store.list("")]) == stood * 5
    if root.startswith("s3:"):
        assert seen[-1]["step"] > 15, "heads and bodies of four files, two parts and the commit object"
        assert len(objects(store.uri)) == stood * 5
        assert [*Bucket(BUCKET, parse_s3_uri(store.uri)[2]).open_uploads("")] == []


def race(root: str, rounds: int) -> list[int]:
    """How many of two writers were told that theirs counts, per round."""
    winners = []
    for number in range(rounds):
        barrier = threading.Barrier(2)
        told: list[bool] = []

        def writer(
            text: str, barrier: threading.Barrier = barrier, told: list[bool] = told, name: str = f"race/{number}"
        ) -> None:
            store = open_store(root)
            with store.staging_folder() as folder:
                (folder / "a.txt").write_text(text)
                seal(folder, {})
                told.append(store.publish_folder(folder, name, COMMIT, before_commit=barrier.wait))

        threads = [threading.Thread(target=writer, args=(text,)) for text in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winners.append(sum(told))
        store = open_store(root)
        assert texts(store, f"race/{number}")["a.txt"] in ("one", "two")
        assert len([*store.list(f"race/{number}")]) == 3
    return winners


@pytest.mark.parametrize("rounds", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_of_two_writers_one_wins_and_the_other_is_told(root: str, store: Store, rounds: int) -> None:
    winners = race(root, rounds)
    if getattr(getattr(store, "_bucket", None), "has_conditional_writes", True):
        assert winners == [1] * rounds
    else:
        assert set(winners) <= {1, 2}  # what is lost; each round's set was whole all the same
    store.collect_garbage(0)
    if root.startswith("s3:"):
        assert len(objects(store.uri)) == 3 * rounds


# Damage


def test_damaged_objects_are_refused_by_name(
    moto: str, s3_root: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(s3_root(moto))
    write(store, files={"a.txt": "x" * 100, "b.txt": "b"})
    s3, (_, key, short) = client(moto), object_of(store.uri, "a.txt")
    damages = {"damaged": b"x" * 99 + b"y", "shorter|has 50 bytes": b"x" * 50, "has 101 bytes": b"x" * 101}
    for number, (complaint, content) in enumerate(damages.items()):
        s3.put_object(Bucket=BUCKET, Key=key, Body=content)
        monkeypatch.setenv("MIXLINGUAL_STORAGE_CACHE", str(tmp_path / f"fresh {number}"))
        with pytest.raises(DataError, match=f"{re.escape(short)}: .*({complaint}).*delete the result set"):
            open_result_set(open_store(store.uri), "sets/one")
    s3.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(DataError, match=f"{re.escape(short)}: missing"):
        open_result_set(open_store(store.uri), "sets/one")
    assert [*(tmp_path / "fresh 2" / "sets").iterdir()] == []


@pytest.mark.parametrize(
    ("ending", "content", "complaint"),
    [
        ("manifest.json", b"{}", "manifest.json: does not match its commit object"),
        ("COMMIT", b"", "COMMIT: not a commit object"),
        ("COMMIT", b'{"version": 9}', "COMMIT: version 9, this program reads 1"),
        ("COMMIT", b'{"version": 1, "upload": "../elsewhere", "manifest": "ab"}', "COMMIT: not a commit object"),
    ],
)
def test_damaged_manifests_and_commits_are_refused(
    moto: str, s3_root: Roots, ending: str, content: bytes, complaint: str
) -> None:
    store = open_store(s3_root(moto))
    write(store)
    _, key, _ = object_of(store.uri, ending)
    client(moto).put_object(Bucket=BUCKET, Key=key, Body=content)
    os.environ["MIXLINGUAL_STORAGE_CACHE"] += " of another machine"
    with pytest.raises(DataError, match=complaint):
        open_result_set(open_store(store.uri), "sets/one")


def test_a_damaged_copy_in_the_cache_is_refused_and_fetched_again_once_deleted(moto: str, s3_root: Roots) -> None:
    import shutil

    store = open_store(s3_root(moto))
    write(store)
    copy = open_result_set(store, "sets/one")
    copy.path("a.txt").write_text("b")
    with pytest.raises(DataError, match="a.txt: damaged .* delete the folder"):
        open_result_set(store, "sets/one")
    shutil.rmtree(copy.folder)
    assert texts(store) == FILES


# Trouble on the way


@pytest.mark.parametrize("server", ["moto", "rclone"])
def test_all_is_right_when_a_fifth_of_the_requests_fails(
    server: str, s3_root: Roots, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind = request.getfixturevalue(server)
    with faulty_proxy(behind, share=0.2, seed=3) as traffic:
        store = open_store(s3_root(traffic.url) + "&part_mib=5")
        monkeypatch.setattr(store._bucket, "retries", Retries(first_seconds=0.02))  # type: ignore[attr-defined]
        content = os.urandom(11 << 20)
        for number in range(8):
            with write_result_set(store, f"sets/{number}", {}) as folder:
                (folder / "small").write_text(str(number))
                if number % 4 == 0:
                    (folder / "large").write_bytes(content)
            assert result_set_exists(store, f"sets/{number}"), "its writer was not told that it stands"
        monkeypatch.setenv("MIXLINGUAL_STORAGE_CACHE", str(tmp_path / "another cache"))
        reader = open_store(store.uri)
        monkeypatch.setattr(reader._bucket, "retries", Retries(first_seconds=0.02))  # type: ignore[attr-defined]
        for number in range(8):
            found = open_result_set(reader, f"sets/{number}")
            assert found.path("small").read_text() == str(number)
            if number % 4 == 0:
                assert found.path("large").read_bytes() == content
        reader.collect_garbage(0)
        sent = len(traffic.requests)
    assert set(traffic.faults) == {"503", "reset", "lost answer"} and sum(traffic.faults.values()) > 10
    assert sent < 2 * (sent - sum(traffic.faults.values()))
    assert len([key for key in objects(store.uri, behind) if not key.startswith(".")]) == 8 * 3 + 2


def test_a_store_that_is_slow_or_does_not_answer_is_waited_for_and_asked_again(
    moto: str, s3_root: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, seen = botocore.config.Config, set[str]()
    monkeypatch.setattr("botocore.config.Config", lambda **fields: made(**(fields | {"read_timeout": 1})))

    def spoil(request: str) -> str:
        place = re.search("(PUT|GET) .*(a.txt|COMMIT)", request)
        if place is None or place[0] in seen:
            return "slow"
        seen.add(place[0])
        return "stuck"

    with faulty_proxy(moto, spoil=spoil) as traffic:
        store = open_store(s3_root(traffic.url))
        monkeypatch.setattr(store._bucket, "retries", Retries(first_seconds=0.01))  # type: ignore[attr-defined]
        write(store)
        monkeypatch.setenv("MIXLINGUAL_STORAGE_CACHE", str(tmp_path / "another cache"))
        assert texts(open_store(store.uri)) == FILES
    assert traffic.faults["stuck"] >= 3 and traffic.faults["slow"] > 5


@pytest.mark.parametrize("lost", ["PUT .*/COMMIT", "POST .*uploadId=", "PUT .*partNumber=2"])
def test_what_was_done_counts_though_its_answer_is_lost(
    moto: str, s3_root: Roots, lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matched: list[str] = []

    def spoil(request: str) -> str | None:
        if re.match(lost, request):
            matched.append(request)
        return "lost answer" if matched == [request] else None

    with faulty_proxy(moto, spoil=spoil) as traffic:
        store = open_store(s3_root(traffic.url) + "&part_mib=5")
        with store.staging_folder() as folder:
            (folder / "large").write_bytes(bytes(6 << 20))
            seal(folder, {})
            assert store.publish_folder(folder, "sets/one", COMMIT), "told that another one won, who is itself"
        assert len(matched) == 2 and traffic.faults == {"lost answer": 1}
        monkeypatch.setenv("MIXLINGUAL_STORAGE_CACHE", str(tmp_path / "another cache"))
        assert open_result_set(open_store(store.uri), "sets/one").path("large").stat().st_size == 6 << 20


def test_an_upload_that_fails_leaves_no_parts(moto: str, s3_root: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty_proxy(moto, spoil=lambda request: "503" if "partNumber=2" in request else None) as traffic:
        store = open_store(s3_root(traffic.url) + "&part_mib=5")
        monkeypatch.setattr(store._bucket, "retries", Retries(attempts=3, first_seconds=0.01))  # type: ignore[attr-defined]
        with (
            pytest.raises(WorkError, match="upload_part: failed 3 time"),
            write_result_set(store, "sets/one", {}) as folder,
        ):
            (folder / "large").write_bytes(bytes(6 << 20))
        assert objects(store.uri, moto) == {} == {upload.key: 0 for upload in store._bucket.open_uploads("")}  # type: ignore[attr-defined]


def test_retries_are_bounded_and_say_what_went_wrong(
    moto: str, s3_root: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_proxy(moto, share=1.0) as traffic:
        store = open_store(s3_root(traffic.url))
        monkeypatch.setattr(store._bucket, "retries", Retries(attempts=4, first_seconds=0.01))  # type: ignore[attr-defined]
        with pytest.raises(
            WorkError, match=r"^s3://\S+COMMIT: head_object: failed 4 time\(s\) in 0 s, last with: [^\n]+$"
        ):
            result_set_exists(store, "sets/one")
    assert len(traffic.requests) == 4
    with pytest.raises(WorkError, match=r"failed 4 time\(s\) .* Could not connect"):
        result_set_exists(store, "sets/one")  # the proxy is gone: nobody listens there


def test_pauses_grow_within_full_jitter_and_end_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    clock = [0.0]

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def fail() -> None:
        raise ConnectionError("reset")

    firsts = []
    for _ in range(200):
        pauses.clear()
        clock[0] = 0.0
        with pytest.raises(WorkError, match="last with: reset"):
            Retries(deadline_seconds=20.0, attempts=9, first_seconds=1.0, longest_seconds=8.0).call(
                fail, str, "a request"
            )
        assert all(0 <= pause <= min(8.0, 2.0**number) for number, pause in enumerate(pauses))
        assert len(pauses) <= 8 and clock[0] <= 20.0
        firsts.append(pauses[0])
    # From nothing to the whole second, so that clients do not come back together.
    assert min(firsts) < 0.1 and max(firsts) > 0.9
    with pytest.raises(ConnectionError):
        Retries().call(fail, lambda error: None, "a request")


def test_a_file_goes_up_and_down_in_parts(root: str, store: Store, elsewhere: Store) -> None:
    content = os.urandom(1 << 20) * 64
    with write_result_set(store, "sets/one", {}) as folder:
        (folder / "large").write_bytes(content + b"end")
    assert open_result_set(elsewhere, "sets/one").path("large").read_bytes() == content + b"end"


def test_parts_cover_a_file_and_stay_below_the_limit_of_their_number(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    for size in (0, 1, 5 << 20, (5 << 20) + 1, 300 << 30):
        with path.open("wb") as file:
            file.truncate(size)
        parts = cut_file("key", path, 5 << 20)
        assert len(parts) <= MAX_PARTS
        assert [part.number for part in parts] == [*range(1, len(parts) + 1)]
        assert [part.offset for part in parts] == [
            sum(p.length for p in parts[:n]) for n in range(len(parts))
        ] or size > 1 << 30
        assert sum(part.length for part in parts) == size and parts[0].length >= min(size, 5 << 20)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("server", ["moto", "rclone"])
def test_a_gibibyte_passes_in_less_than_200_mib(
    server: str, s3_root: Roots, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    uri = s3_root(request.getfixturevalue(server))
    program = """
import os, sys
from cluster.storage import open_result_set, open_store, write_result_set
block = os.urandom(1 << 20)
if sys.argv[1] == "write":
    with write_result_set(open_store(sys.argv[2]), "sets/one", {}) as folder, (folder / "large").open("wb") as file:
        for number in range(1024):
            file.write(number.to_bytes(8, "big") + block[8:])
else:
    assert open_result_set(open_store(sys.argv[2]), "sets/one").path("large").stat().st_size == 1 << 30
# Not ru_maxrss: after a fork it begins at the parent's.
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""
    for what in ("write", "read"):
        environment = os.environ | {
            "MIXLINGUAL_STORAGE_CACHE": str(tmp_path / what),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        done = subprocess.run(
            [sys.executable, "-c", program, what, uri], capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) < 200 << 10, f"{what}: {int(done.stdout) >> 10} MiB"


# What a store says, and lacks


def test_missing_conditional_writes_are_found_and_said_once(
    rclone: str, moto: str, s3_root: Roots, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("cluster.storage.s3_bucket._conditional_writes", {})
    with caplog.at_level(logging.WARNING, logger="mixlingual"):
        for _ in range(2):
            write(open_store(s3_root(rclone)))
            write(open_store(s3_root(moto)))
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert rclone in warnings[0] and "both may be told" in warnings[0]


def test_mistakes_are_one_line_that_says_what_would_do(
    moto: str, rclone: str, s3_root: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = s3_root(moto).replace(BUCKET, "no-such-bucket")
    with pytest.raises(ConfigError, match="root 's3://no-such-bucket': no such bucket at .*make it"):
        write(open_store(nowhere))
    with pytest.raises(ConfigError, match="no such bucket"):
        open_store(nowhere).exists("sets")
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "a-key-nobody-knows")
        with pytest.raises(ConfigError, match="refused .*AWS_ACCESS_KEY_ID"):
            write(open_store(s3_root(rclone)))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    with pytest.raises(
        ConfigError, match=r"no credentials .*set AWS_ACCESS_KEY_ID .* environment, or give this machine a role"
    ):
        write(open_store(s3_root(moto)))


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("s3://", "no bucket name"),
        ("s3:bucket/prefix", "no bucket name"),
        ("s3://Bucket/prefix", "no bucket name"),
        ("s3://key:secret@bucket/prefix", "holds credentials; set AWS_ACCESS_KEY_ID"),
        ("s3://bucket/a/../b", "plain names"),
        ("s3://bucket/p?endpont=http://x", "did you mean 'endpoint'"),
        ("s3://bucket/p?secret_access_key=x", "secrets do not belong"),
        ("s3://bucket/p?endpoint=http://key:secret@host", "endpoint must be"),
        ("s3://bucket/p?kms_key=abc", "kms_key needs encryption"),
        ("s3://bucket/p?part_mib=1", "part_mib"),
    ],
)
def test_roots_that_cannot_be_are_refused_without_showing_secrets(uri: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        open_store(uri)
    assert "\n" not in str(caught.value)
    assert "key:secret@bucket" not in str(caught.value)


def test_settings_travel_in_the_uri_and_the_nearest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXLINGUAL_STORAGE_ENDPOINT", "http://from.environment")
    monkeypatch.setenv("MIXLINGUAL_STORAGE_PART_MIB", "16")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://from.aws.environment")
    given = build_config(StorageConfig, {"part_mib": 32, "transfers": 3, "cache": "here"})
    bucket, prefix, config = parse_s3_uri("s3://bucket/a/b/?transfers=2&encryption=aws:kms&kms_key=alias/k", given)
    assert (bucket, prefix) == ("bucket", "a/b")
    assert (config.endpoint, config.part_mib, config.transfers) == ("http://from.environment", 32, 2)
    uri = s3_uri(bucket, prefix, config)
    assert (
        uri
        == "s3://bucket/a/b?endpoint=http://from.environment&encryption=aws:kms&kms_key=alias/k&part_mib=32&transfers=2"
    )
    for name in ("MIXLINGUAL_STORAGE_ENDPOINT", "MIXLINGUAL_STORAGE_PART_MIB", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name)
    again = parse_s3_uri(uri)
    assert again == (bucket, prefix, config.model_copy(update={"cache": None}))


def test_uploads_ask_for_encryption_and_carry_checksums(moto: str, s3_root: Roots) -> None:
    with faulty_proxy(moto, share=0.0) as traffic:
        store = open_store(s3_root(traffic.url) + "&encryption=aws:kms&kms_key=alias/ours&part_mib=5")
        with write_result_set(store, "sets/one", {}) as folder:
            (folder / "small").write_text("small")
            (folder / "large").write_bytes(bytes(6 << 20))
    sent = [*zip(traffic.requests, traffic.headers, strict=True)]
    whole = [headers for request, headers in sent if request.startswith("PUT") and "partNumber" not in request]
    parts = [headers for request, headers in sent if request.startswith("PUT") and "partNumber" in request]
    begun = [headers for request, headers in sent if request.startswith("POST") and request.endswith("?uploads")]
    assert len(parts) == 2 and len(begun) == 1 and len(whole) >= 3
    for headers in [*whole, *begun]:
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
        assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/ours"
    assert all("content-md5" in headers for headers in [*whole, *parts])
    # The commit object is the last write, and is written only if there is none.
    last, headers = [pair for pair in sent if pair[0].startswith("PUT")][-1]
    assert last.split("?")[0].endswith("sets/one/COMMIT") and headers["if-none-match"] == "*"


# Copies


def test_copies_are_fetched_once_and_by_one_process(
    moto: str, s3_root: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(s3_root(moto))
    write(store)
    monkeypatch.setenv("MIXLINGUAL_STORAGE_CACHE", str(tmp_path / "another cache"))
    with faulty_proxy(moto, share=0.0) as traffic:
        uri = store.uri.replace(moto, traffic.url)
        threads = [threading.Thread(target=lambda: texts(open_store(uri))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert texts(open_store(uri)) == FILES
        fetched = [request for request in traffic.requests if request.startswith("GET") and "a.txt" in request]
    assert len(fetched) == 1


def test_the_writer_keeps_its_copy(moto: str, s3_root: Roots) -> None:
    with faulty_proxy(moto, share=0.0) as traffic:
        store = open_store(s3_root(traffic.url))
        write(store)
        assert texts(store) == FILES
        assert not [request for request in traffic.requests if request.startswith("GET") and "upload-" in request]


def test_old_copies_make_room_but_those_in_use_stay(moto: str, s3_root: Roots, cache: Path) -> None:
    store = open_store(s3_root(moto) + f"&cache_gib={3 / 1024}")
    for number in range(5):
        write(store, f"sets/{number}", {"mib": str(number) * (1 << 20)})
        if number == 0:
            used = open_result_set(store, "sets/0")
    kept = {path.name for path in (cache / "sets").iterdir()}
    assert used.folder.name in kept and used.path("mib").exists()
    assert 2 <= len(kept) <= 4
    assert open_result_set(store, "sets/1").path("mib").read_text() == "1" * (1 << 20)
    assert [*(cache / "staging").iterdir()] == []


# What was never committed


def test_only_old_leftovers_are_collected(moto: str, s3_root: Roots) -> None:
    store = open_store(s3_root(moto))
    write(store)
    _, prefix, _ = parse_s3_uri(store.uri)
    s3, leftover = client(moto), "upload-0123456789abcdef"
    for name in ("sets/one", "sets/two"):
        s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{name}/{leftover}/a.txt", Body=b"half")
    s3.put_object(Bucket=BUCKET, Key=f"{prefix}/index.html", Body=b"ours")
    assert [*store.list("")] == ["index.html", *KEYS]
    assert store.collect_garbage(3600) == []
    s3.create_multipart_upload(Bucket=BUCKET, Key=f"{prefix}/sets/three/{leftover}/a.txt")  # moto dates them all 2010
    assert store.collect_garbage(0) == [f"sets/one/{leftover}", f"sets/three/{leftover}/a.txt", f"sets/two/{leftover}"]
    assert store.collect_garbage(0) == []
    assert texts(store) == FILES and store.read_bytes("index.html") == b"ours"


def test_a_clock_that_is_years_ahead_takes_nothing_for_a_leftover(
    moto: str, s3_root: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a writer has just put there is dated by the server."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(days=3650)

    store, collected = open_store(s3_root(moto)), list[str]()
    with write_result_set(
        store, "sets/one", {}, before_commit=lambda: collected.extend(store.collect_garbage(3600))
    ) as folder:
        for module in ("s3", "s3_bucket"):
            monkeypatch.setattr(f"cluster.storage.{module}.datetime", Ahead, raising=False)
        (folder / "a.txt").write_text("a")
    assert not collected and texts(store) == {"a.txt": "a"}
