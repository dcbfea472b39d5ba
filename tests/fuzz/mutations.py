"""Damage to a file that was whole: what a broken disk, another program or a stranger could make of it."""

import json
import random
from typing import Any

HOSTILE_BYTES = (
    b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r", b"\n", b"\n\n", b"\t\t", b"\x1b[2J", b"\\ud800", b"\\u0000",
    b"NaN", b"Infinity", b"-1", b"1e999", b"9" * 400, b"[" * 3000, b'{"a":' * 3000, b"../../x", b"/etc/passwd", b"null",
    "\N{RIGHT-TO-LEFT OVERRIDE}".encode(), "\N{ZERO WIDTH SPACE}".encode(), "\N{LINE SEPARATOR}".encode(),
)  # fmt: skip
"""What readers stumble over: control and bidi characters, halves of surrogates, depth, paths, odd numbers."""

HOSTILE_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.5, 1e308, float("nan"), float("inf"), "",
    " ", "a", "0", "-1", "1/0", "\0", "\ud800", "\N{RIGHT-TO-LEFT OVERRIDE}x", "../x", "/x", "a/../../x", ".", "\\",
    "x" * 300, "\x1b]0;x\x07", [], {}, [[]], [None], {"": None}, {"a": {"a": {}}}, [0] * 40,
)  # fmt: skip
"""What may stand where a reader expects something else."""


def mutated(data: bytes, dice: random.Random) -> bytes:
    """One to four changes: of JSON documents and lines mostly in their structure, of other files in their bytes."""
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        data = (dice.random() < 0.7 and _with_other_json(data, dice)) or _with_other_bytes(data, dice)
    return data


def _with_other_bytes(data: bytes, dice: random.Random) -> bytes:
    start = dice.randint(0, len(data))
    end = min(len(data), start + dice.choice((0, 1, 1, 2, 8, 64)))
    choice = dice.randrange(5)
    if choice == 0:
        return data[:start]
    if choice == 1:
        return data[:start] + data[end:]
    if choice == 2:
        return data[:start] + dice.choice(HOSTILE_BYTES) + data[end:]
    if choice == 3:
        return data[:start] + dice.randbytes(max(1, end - start)) + data[end:]
    return data[:end] + data[start:]


def _with_other_json(data: bytes, dice: random.Random) -> bytes | None:
    """The document, or one line of several, with one value, key or item changed; None where it is no JSON."""
    lines = data.splitlines() if data[:1] in b"{[" and data[:1] else []
    for number in dice.sample(range(len(lines)), min(len(lines), 2)):
        changed = _changed(lines[number], dice)
        if changed is not None:
            return b"\n".join([*lines[:number], changed, *lines[number + 1 :]]) + b"\n"
    return _changed(data, dice)


def _changed(data: bytes, dice: random.Random) -> bytes | None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    holders: list[Any] = []
    pending = [document]
    while pending:
        value = pending.pop()
        if isinstance(value, dict | list):
            holders.append(value)
            pending += value.values() if isinstance(value, dict) else value
    if not holders or dice.random() < 0.02:
        document = dice.choice(HOSTILE_VALUES)
    else:
        holder = dice.choice(holders)
        _change(holder, dice)
    # Halves of surrogates exist as escapes only; other characters appear as they are.
    return json.dumps(document, ensure_ascii=dice.random() < 0.5).encode(errors="replace")


def _change(holder: Any, dice: random.Random) -> None:
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    value = dice.choice(HOSTILE_VALUES)
    if not keys or dice.random() < 0.1:
        if isinstance(holder, dict):
            holder[dice.choice(("", "x", "\ud800", "0"))] = value
        else:
            holder.append(value)
        return
    key = dice.choice(keys)
    choice = dice.randrange(8)
    if choice == 0:
        del holder[key]
    elif choice == 1:
        holder[key] = [holder[key]]
    elif choice == 2:
        holder[key] = holder[dice.choice(keys)]
    elif choice == 3 and isinstance(holder, list):
        holder.insert(key, holder[dice.choice(keys)])
    else:
        holder[key] = value
