"""What `validate` finds: one line each, with file and field; and how documents are walked through."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong with a spec."""

    file: str
    field: str
    """Where in the document, such as `spec.headGroupSpec.serviceType`; empty for all of it."""
    what: str
    """What was found and what would do."""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.field, self.what) if part)


@dataclass(frozen=True)
class Document:
    """One document of a YAML or JSON file."""

    file: str
    """The file, and the document's number where it holds several."""
    content: dict[str, Any]

    def problem(self, field: str, what: str) -> Problem:
        """Something wrong with a field of it."""
        return Problem(self.file, field, what)


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value below a document with its path, containers included; items of lists with a name go by that."""
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            named = isinstance(item, dict) and isinstance(item.get("name"), str)
            yield from walk(item, f"{path}[{item['name'] if named else number}]")


def part(value: Any, *keys: str) -> Any:
    """What stands at a path of keys; None where the path ends early."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def items(value: Any) -> list[Any]:
    """A list as it is, anything else as an empty one: hand-edited files hold what they hold."""
    return value if isinstance(value, list) else []
