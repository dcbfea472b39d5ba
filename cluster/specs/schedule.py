"""Schedules as cron has them: checked, and as systemd's calendar events."""

import re

_PART = r"(\*|[0-9]{1,2}(-[0-9]{1,2})?)(/[1-9][0-9]?)?"
_FIELD = re.compile(f"{_PART}(,{_PART})*")
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
"""Least and greatest number of minute, hour, day of month, month, day of week."""
_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


def checked_schedule(schedule: str) -> str:
    """The schedule as it is.

    Raises:
        ValueError: it is not five fields of numbers that cron knows.
    """
    fields = schedule.split()
    example = "use five fields such as 0 1 * * *"
    if len(fields) != 5 or not all(_FIELD.fullmatch(field) for field in fields):
        raise ValueError(f"is no cron schedule; {example}")
    for field, (low, high) in zip(fields, _RANGES, strict=True):
        spans = [part.partition("/")[0].partition("-") for part in field.split(",")]
        pairs = [(int(first), int(last or first)) for first, _, last in spans if first != "*"]
        if any(not low <= first <= last <= high for first, last in pairs):
            raise ValueError(f"has {field} where {low} to {high} are possible; {example}")
    return schedule


def calendar(schedule: str, time_zone: str) -> list[str]:
    """A cron schedule as systemd's calendar events, of which any may come.

    Day of month and day of week that are both given mean either of them in cron, both of them in systemd.
    """
    fields = schedule.split()
    minute, hour, day, month, weekday = (
        sorted(cron_numbers(field, *limits)) for field, limits in zip(fields, _RANGES, strict=True)
    )
    time = f"{_listed(hour, 24)}:{_listed(minute, 60)}:00 {time_zone}"
    by_day = f"*-{_listed(month, 12)}-{_listed(day, 31)} {time}"
    names = sorted({number % 7 for number in weekday})
    by_weekday = f"{','.join(_DAYS[number] for number in names)} *-{_listed(month, 12)}-* {time}"
    if len(names) == len(_DAYS):
        return [by_day]
    return [by_weekday] if len(day) == 31 else [by_day, by_weekday]


def cron_numbers(field: str, low: int, high: int) -> set[int]:
    """The numbers that one field of a cron schedule means."""
    numbers: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin = low if span == "*" else int(first)
        end = high if span == "*" or (step and not last) else int(last or first)
        numbers.update(range(begin, end + 1, int(step or 1)))
    return numbers


def _listed(numbers: list[int], all_of_them: int) -> str:
    return "*" if len(numbers) == all_of_them else ",".join(f"{number:02}" for number in numbers)
