"""Messages and progress for people: to stderr, so that stdout stays clean for results."""

import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")
_SECRET_NAME = re.compile(r"SECRET|PASSWORD|PASSWD|TOKEN(?!IZER)|API_?KEY|ACCESS_?KEY|CREDENTIAL", re.IGNORECASE)
_NAME_OF_A_PLACE = re.compile(r"_(PATH|FILE|DIR|HOME)$", re.IGNORECASE)
_MIN_SECRET_LENGTH = 8
_LONGEST_LINE = 2000


class _MaskedFormatter(logging.Formatter):
    """Masks secrets wherever a line, or the traceback below it, would show them, and what a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(visible, mask_secrets(super().format(record)).split("\n")))


def mask_secrets(text: str) -> str:
    """The text with every value of an environment variable that is named like a secret replaced by ***.

    A variable whose name ends in _PATH or the like says where a secret lies; that is not masked.
    """
    secrets = {value for name, value in os.environ.items() if len(value) >= _MIN_SECRET_LENGTH and names_a_secret(name)}
    for secret in sorted(secrets, key=len, reverse=True):  # a secret may begin with another one
        text = text.replace(secret, "***")
    return text


def visible(text: str) -> str:
    """The text with what cannot be seen written out as escapes.

    Files of strangers end up in messages: a terminal obeys control characters, characters that turn the direction of
    writing make a line read otherwise than it is, and halves of surrogate pairs cannot be written at all.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in " \t" else one.encode("unicode_escape").decode("ascii") for one in text
    )


def one_line(text: str) -> str:
    """The text as one line that can be shown: visible, and its middle left out where it is very long."""
    text = " ".join(text.split())
    if len(text) > _LONGEST_LINE:
        text = f"{text[: _LONGEST_LINE // 2]} [...] {text[-_LONGEST_LINE // 2 :]}"
    return visible(text)


def names_a_secret(variable: str) -> bool:
    """Whether an environment variable of that name holds a secret."""
    return bool(_SECRET_NAME.search(variable)) and not _NAME_OF_A_PLACE.search(variable)


def set_up_logs(verbose: bool = False) -> None:
    """Log to stderr, one line a message; called once by the command line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_MaskedFormatter("%(asctime)s %(levelname).1s %(message)s", datefmt="%H:%M:%S"))
    root = logging.getLogger("mixlingual")
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    root.propagate = False


def get_logger(name: str) -> logging.Logger:
    """Logger of one module, below the `mixlingual` root."""
    return logging.getLogger(f"mixlingual.{name}")


def progress(
    items: Iterable[Item], what: str, total: int | None = None, unit: str = "it", **options: Any
) -> Iterator[Item]:
    """Pass items through, with a bar on stderr where a person watches (a terminal); silent elsewhere."""
    from tqdm import tqdm

    yield from tqdm(items, desc=what, total=total, unit=unit, disable=not sys.stderr.isatty(), leave=False, **options)
