"""One holder at a time, on a folder and on both S3 servers; a dead one is taken over from and shut out."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from object_stores.faulty_proxy import faulty_proxy

from cluster.errors import DataError
from cluster.storage import Store, open_store, result_set_exists, write_result_set
from cluster.storage.lease import Lease, LeaseHeldError, LeaseLostError, acquire_lease, hold_lease
from cluster.storage.retries import Retries

REPOSITORY = Path(__file__).parents[2]
SECONDS = 1.5
HOLDER = """
import sys, time
from cluster.storage import open_store
from cluster.storage.lease import acquire_lease
lease = acquire_lease(open_store(sys.argv[1]), "nightly", seconds=float(sys.argv[2]))
print(lease.token, flush=True)
time.sleep(600)
"""


@contextmanager
def another_holder(root: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lease and keeps it up."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])}
    command = [sys.executable, "-c", HOLDER, root, str(SECONDS)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None and process.stdout.readline() == "1\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def atomic(store: Store) -> Store:
    """Stores in which two can be kept apart."""
    if not getattr(getattr(store, "_bucket", None), "has_conditional_writes", True):
        pytest.skip("without conditional writes two holders at the same moment cannot be kept apart")
    return store


def test_tokens_grow_from_holder_to_holder(store: Store) -> None:
    for token in (1, 2, 3):
        with hold_lease(store, "nightly", SECONDS) as lease:
            assert lease.token == token
            lease.check()
    with hold_lease(store, "nightly/2026-11-20", SECONDS) as lease:
        assert lease.token == 1, "another lease, though its name continues the first one's"
        with hold_lease(store, "nightly", SECONDS) as outer:
            assert outer.token == 4
    assert [*store.list("")] == []
    assert len([*store.list(".leases")]) == 2


@pytest.mark.parametrize("root", ["local"], indirect=True)
def test_heartbeats_keep_a_lease_up_for_longer_than_it_lasts_without(store: Store) -> None:
    with hold_lease(store, "nightly", SECONDS) as lease:
        time.sleep(1.2 * SECONDS)
        lease.check()


@pytest.mark.parametrize("root", ["local", "moto"], indirect=True)
def test_a_living_holder_is_not_taken_over_from(root: str, store: Store) -> None:
    with another_holder(root):
        started = time.monotonic()
        with pytest.raises(LeaseHeldError, match=r"lease nightly: held by \S+:\d+:\w+"):
            acquire_lease(store, "nightly", SECONDS, wait_seconds=SECONDS)
        assert time.monotonic() - started >= SECONDS


@pytest.mark.parametrize("root", ["local", "moto"], indirect=True)
def test_a_killed_holder_is_taken_over_from_once_its_lease_ran_out(root: str, store: Store) -> None:
    with another_holder(root) as process:
        process.kill()
        process.wait()
        started = time.monotonic()
        with hold_lease(store, "nightly", SECONDS) as lease:
            assert time.monotonic() - started >= SECONDS
            assert lease.token == 2


@pytest.mark.parametrize("root", ["local", "moto"], indirect=True)
def test_a_holder_that_was_asleep_finds_itself_shut_out(root: str, store: Store) -> None:
    """The case that fencing is for: the old holder lives on, and believes it may write."""
    with another_holder(root) as process:
        process.send_signal(signal.SIGSTOP)
        with hold_lease(store, "nightly", SECONDS) as lease:
            process.send_signal(signal.SIGCONT)
            time.sleep(SECONDS / 2)  # several of its heartbeats
            lease.check()
            assert lease.token == 2
    with hold_lease(store, "nightly", SECONDS) as lease:
        assert lease.token == 3


def lost(lease: Lease, store: Store) -> None:
    """Let another process take a lease over, as if its holder had been away for long."""
    assert store.create_bytes(f".leases/{lease.name}/{lease.token + 1:012d}", b'{"holder": "another", "seconds": 60}')


def test_who_lost_the_lease_cannot_commit(store: Store) -> None:
    lease = acquire_lease(store, "nightly", 60)
    with write_result_set(store, "nightly/1", {}, before_commit=lease.check) as folder:
        (folder / "verdict").write_text("good")
    lost(lease, store)
    with (
        pytest.raises(LeaseLostError, match="nightly: lost .token 1.: another process holds it with token 2"),
        write_result_set(store, "nightly/2", {}, before_commit=lease.check) as folder,
    ):
        (folder / "verdict").write_text("good")
    assert result_set_exists(store, "nightly/1") and not store.exists("nightly/2")
    lease.release()
    assert b"another" in store.read_bytes(".leases/nightly/000000000002"), "the new holder's record was touched"


def test_a_holder_that_was_cut_off_finds_itself_shut_out(
    moto: str, s3_root: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes back with all its work done, and the store does not take it."""
    cut = threading.Event()
    with faulty_proxy(moto, spoil=lambda _: "reset" if cut.is_set() else None) as way:
        far = open_store(s3_root(way.url))
        near = open_store(far.uri.replace(way.url, moto))
        monkeypatch.setattr(far._bucket, "retries", Retries(attempts=2, first_seconds=0.01))  # type: ignore[attr-defined]
        old = acquire_lease(far, "nightly", SECONDS)
        with (
            pytest.raises(LeaseLostError, match="another process holds it with token 2"),
            write_result_set(far, "nightly/old", {}, before_commit=old.check) as folder,
        ):
            (folder / "verdict").write_text("good")
            cut.set()
            with hold_lease(near, "nightly", SECONDS) as new:
                cut.clear()
                time.sleep(SECONDS / 2)  # several of the old one's heartbeats
                with write_result_set(near, "nightly/new", {}, before_commit=new.check) as theirs:
                    (theirs / "verdict").write_text("good")
        old.release()
    assert result_set_exists(near, "nightly/new") and not near.exists("nightly/old")
    with hold_lease(near, "nightly", SECONDS) as lease:
        assert lease.token == 3


@pytest.mark.parametrize("days", [-3650, 3650])
def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """Neither for the holder, nor for who waits; nor for one that is dead."""
    store, real = open_store(tmp_path), time.time
    held = acquire_lease(store, "nightly", 0.8)
    monkeypatch.setattr("time.time", lambda: real() + days * 86_400)
    with pytest.raises(LeaseHeldError):
        acquire_lease(store, "nightly", 0.8, wait_seconds=1.0)
    held.check()
    held._stop.set()  # as a process that was killed: no more heartbeats
    held._thread.join()
    started = time.monotonic()
    with hold_lease(store, "nightly", 0.8) as lease:
        assert lease.token == 2 and time.monotonic() - started >= 0.8


def test_a_lease_that_cannot_be_kept_up_counts_as_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path)

    def unreachable(key: str, data: bytes) -> None:
        raise ConnectionError("the store is away")

    lease = acquire_lease(store, "nightly", 0.4)
    monkeypatch.setattr(store, "write_bytes", unreachable)
    time.sleep(0.6)
    with pytest.raises(LeaseLostError, match=r"could not be kept up for 0.4 s"):
        lease.check()
    lease.release()


def test_one_of_many_gets_the_lease(root: str, atomic: Store) -> None:
    held: list[Lease] = []
    refused: list[str] = []

    def try_it() -> None:
        try:
            held.append(acquire_lease(open_store(root), "study", 1.0))
        except LeaseHeldError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=try_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [lease.token for lease in held] == [1] and len(refused) == 5
    held[0].release()


def test_waiting_holders_take_turns(root: str, atomic: Store) -> None:
    inside: list[int] = []
    tokens: list[int] = []

    def take_turn() -> None:
        with hold_lease(open_store(root), "study", 1.0, wait_seconds=60) as lease:
            inside.append(lease.token)
            assert len(inside) == 1
            time.sleep(0.05)
            tokens.append(inside.pop())

    threads = [threading.Thread(target=take_turn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(tokens) == tokens == [1, 2, 3, 4]


def test_a_broken_record_is_named(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.write_bytes(".leases/nightly/000000000007", b"{")
    with pytest.raises(DataError, match=r"nightly/000000000007: not a lease .*; delete it"):
        acquire_lease(store, "nightly")
