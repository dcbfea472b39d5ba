"""Which night this is. The first start decides and notes it; whoever goes on with the night reads the note.

.nightly/<date>     JSON: when the night was begun; gone when all of it is done
"""

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from cluster.documents import parse_json
from cluster.logs import get_logger
from cluster.storage import Store, result_set_exists
from jobs.nightly.config import NightlyConfig
from jobs.records import night_name

FOLDER = ".nightly"
_logger = get_logger("nightly")


def begin(store: Store, config: NightlyConfig, now: datetime, asked: date | None) -> tuple[date, datetime]:
    """The date of the night to work on, and when it was begun.

    Without a date asked for that is the newest night which is not over and was begun within `resume_hours`: one that
    was killed before midnight and started again after it keeps its date. Else it is the date of now.

    Args:
        now: with a time zone.
        asked: a date to work on whatever the time is.
    """
    unfinished = dict(_unfinished(store))
    earliest = now - timedelta(hours=config.resume_hours)
    fresh = [day for day, begun in unfinished.items() if earliest <= begun]
    day = asked or (max(fresh) if fresh else now.astimezone(ZoneInfo(config.time_zone)).date())
    for other, begun in unfinished.items():
        if begun < earliest and other != day:
            _logger.warning("the night of %s, begun %s, was never finished; it is given up", other, begun.isoformat())
            finish(store, other)
    if day not in unfinished and not result_set_exists(store, night_name(day)):
        store.write_bytes(_key(day), json.dumps({"begun": now.isoformat()}).encode())
    return day, unfinished.get(day, now)


def is_unfinished(store: Store, day: date) -> bool:
    """Whether something is left to do for a night."""
    return store.exists(_key(day))


def finish(store: Store, day: date) -> None:
    """Note that nothing is left to do for a night."""
    store.delete(_key(day))


def _unfinished(store: Store) -> Iterator[tuple[date, datetime]]:
    for key in store.list(FOLDER):
        try:
            begun = datetime.fromisoformat(parse_json(store.read_bytes(key))["begun"])
            yield date.fromisoformat(key.removeprefix(f"{FOLDER}/")), begun
        except (ValueError, LookupError, TypeError) as error:
            _logger.warning("%s: not a note of ours (%r); passed over", store.where(key), error)


def _key(day: date) -> str:
    return f"{FOLDER}/{day.isoformat()}"
