"""Messages and progress for people: to stderr, so that stdout stays clean for results."""

import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")
_SECRET_NAME = re.compile(r"(SECRET|PASSWORD|TOKEN|API_?KEY|ACCESS_?KEY|CREDENTIAL)", re.IGNORECASE)
_MIN_SECRET_LENGTH = 8


class _MaskSecrets(logging.Filter):
    """Replaces the values of secret environment variables wherever a message would show them."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        masked = mask_secrets(message)
        if masked != message:
            record.msg, record.args = masked, ()
        return True


def mask_secrets(text: str) -> str:
    """The text with every value of an environment variable that is named like a secret replaced by ***."""
    for name, value in os.environ.items():
        if len(value) >= _MIN_SECRET_LENGTH and _SECRET_NAME.search(name) and value in text:
            text = text.replace(value, "***")
    return text


def set_up_logs(verbose: bool = False) -> None:
    """Log to stderr, one line a message; called once by the command line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(message)s", datefmt="%H:%M:%S"))
    handler.addFilter(_MaskSecrets())
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
