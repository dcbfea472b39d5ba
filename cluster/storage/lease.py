"""Leases: of several processes that want to do the same work, one at a time does it; a dead one is taken over from.

.leases/<name>/000000000003     JSON: who holds it, a counter that grows with every heartbeat, whether it was given back

The number is the fencing token. Taking a lease is writing the next number where it does not exist yet, which one
process can do; so tokens only grow, and whoever finds a larger one than its own has lost the lease. No clocks are
compared: a holder is dead when its counter has stood still for as long as its lease lasts, by the watch of who waits.
"""

import contextlib
import json
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from cluster.documents import parse_json
from cluster.errors import DataError, WorkError
from cluster.logs import get_logger
from cluster.storage.store import Store

FOLDER = ".leases"
_DIGITS = 12
_TOKEN = re.compile(f"[0-9]{{{_DIGITS}}}")
_BEATS_PER_LEASE = 4
_LONGEST_SECONDS = 30 * 24 * 3600.0
_logger = get_logger("lease")


class LeaseHeldError(WorkError):
    """Another process holds the lease and is alive."""


class LeaseLostError(WorkError):
    """The lease went to another process, or could not be kept up; what it guarded may no longer be written."""


@dataclass(frozen=True)
class Record:
    """What is stored of a lease."""

    holder: str
    """Host, process and a random id: no two holders write the same."""
    seconds: float
    """How long the lease lasts without a heartbeat."""
    beats: int = 0
    released: bool = False

    def to_bytes(self) -> bytes:
        """As it is stored."""
        return json.dumps(asdict(self)).encode()


class Lease:
    """A lease that this process holds, kept up by a thread until it is released or lost."""

    def __init__(self, store: Store, name: str, token: int, record: Record, renewed: float) -> None:
        self.name, self.token = name, token
        self._store, self._record, self._renewed = store, record, renewed
        self._lost: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name=f"lease {name}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Return if this process still holds the lease; to be called just before what it guards is written.

        Raises:
            LeaseLostError: another process took it over, or the store could not be reached for too long.
        """
        newest = _newest_token(self._store, self.name)
        if newest != self.token:
            self._lost = f"another process holds it with token {newest}"
        elif time.monotonic() - self._renewed > self._record.seconds:
            self._lost = f"it could not be kept up for {self._record.seconds:g} s"
        if self._lost:
            raise LeaseLostError(
                f"lease {self.name}: lost (token {self.token}): {self._lost}; nothing was written under it since"
            )

    def release(self) -> None:
        """Give the lease back, so that the next one need not wait for it to run out."""
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(LeaseLostError):
            self.check()
            self._write(replace(self._record, released=True))

    def _keep_up(self) -> None:
        while not self._stop.wait(self._record.seconds / _BEATS_PER_LEASE):
            started = time.monotonic()
            try:
                self.check()
                self._write(replace(self._record, beats=self._record.beats + 1))
            except LeaseLostError as error:
                _logger.warning("%s", error)
                return
            except Exception as error:  # the next beat may find the store again; `check` knows how long that may take
                _logger.warning("lease %s: heartbeat failed: %s", self.name, error)
                continue
            # As of before the request: others count from when they see it, which is later.
            self._renewed = started

    def _write(self, record: Record) -> None:
        self._store.write_bytes(_key(self.name, self.token), record.to_bytes())
        self._record = record


@contextlib.contextmanager
def hold_lease(store: Store, name: str, seconds: float = 60.0, wait_seconds: float = 0.0) -> Iterator[Lease]:
    """Hold a lease for the time of a block.

    Args:
        name: what it is about, as a key.
        seconds: without a heartbeat for so long the holder counts as dead; several times what a request may take.
        wait_seconds: how long to wait for a holder that is alive. To tell a dead one takes up to its lease's `seconds`
            besides.

    Raises:
        LeaseHeldError: another process holds it; says which.
    """
    lease = acquire_lease(store, name, seconds, wait_seconds)
    try:
        yield lease
    finally:
        lease.release()


def acquire_lease(store: Store, name: str, seconds: float = 60.0, wait_seconds: float = 0.0) -> Lease:
    """Take a lease to keep until `release`; see `hold_lease`."""
    record = Record(f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}", seconds)
    started = changed = time.monotonic()
    seen: tuple[int, Record] | None = None
    alive = False
    while True:
        found = newest_lease(store, name)
        now = time.monotonic()
        if found is not None and found != seen:
            alive = seen is not None and not found[1].released
            seen, changed = found, now
        if found is None or found[1].released or now - changed > found[1].seconds:
            token = (found[0] if found else 0) + 1
            if store.create_bytes(_key(name, token), record.to_bytes()):
                _drop_older(store, name, token)
                return Lease(store, name, token, record, now)
            continue
        if alive and now - started >= wait_seconds:
            raise LeaseHeldError(f"lease {name}: held by {found[1].holder}; wait until that has ended, or stop it")
        time.sleep(found[1].seconds / _BEATS_PER_LEASE / 4)


def _key(name: str, token: int) -> str:
    return f"{FOLDER}/{name}/{token:0{_DIGITS}d}"


def _tokens(store: Store, name: str) -> list[int]:
    folder = f"{FOLDER}/{name}/"
    numbers = (key.removeprefix(folder) for key in store.list(folder.rstrip("/")))
    # Another lease's name may continue this one's; and "3" or "³" would name no object of ours.
    return [int(number) for number in numbers if _TOKEN.fullmatch(number)]


def _newest_token(store: Store, name: str) -> int:
    return max(_tokens(store, name), default=0)


def newest_lease(store: Store, name: str) -> tuple[int, Record] | None:
    """Token and record of the newest holder, or None where there was none yet.

    Raises:
        DataError: what stands there is no lease.
    """
    while token := _newest_token(store, name):
        try:
            return token, _record(parse_json(store.read_bytes(_key(name, token))))
        except FileNotFoundError:
            continue  # a newer one came between and dropped it
        except (ValueError, TypeError) as error:
            raise DataError(f"{store.where(_key(name, token))}: not a lease ({error}); delete it") from None
    return None


def _record(fields: dict[str, Any]) -> Record:
    record = Record(**fields)
    if not isinstance(record.seconds, (int, float)) or not 0 < record.seconds < _LONGEST_SECONDS:
        raise ValueError(f"it lasts {record.seconds!r} seconds")
    if not isinstance(record.holder, str) or type(record.beats) is not int or type(record.released) is not bool:
        raise TypeError("holder, beats or released is of another type")
    return record


def _drop_older(store: Store, name: str, token: int) -> None:
    for older in _tokens(store, name):
        if older < token:
            store.delete(_key(name, older))
