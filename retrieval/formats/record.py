"""One record of a file, its fields read with checks: what is missing or of another type is named, with its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.errors import DataError

_TYPE_NAMES = {
    type(None): "null",
    bool: "a truth value",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}


@dataclass(frozen=True, slots=True)
class Record:
    """Named values and where they stand."""

    path: Path
    place: str
    """Where in the file: `line 12`, `row 3`."""
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, path: Path, place: str, value: Any) -> "Record":
        """The record that a value is.

        Raises:
            DataError: it is no object.
        """
        if not isinstance(value, dict):
            raise DataError(f"{path}: {place}: is {type_name(value)}, expected an object {{...}}")
        return cls(path, place, value)

    def error(self, problem: str) -> DataError:
        """A one-line error about this record."""
        return DataError(f"{self.path}: {self.place}: {problem}")

    def require(self, key: str) -> Any:
        """The value at `key`, whatever its type."""
        try:
            return self.fields[key]
        except KeyError:
            known = ", ".join(map(str, self.fields)) or "nothing"
            raise self.error(f"'{key}' is missing; there is {known}") from None

    def text(self, key: str) -> str:
        """The text at `key`."""
        value = self.require(key)
        if not isinstance(value, str):
            raise self._wrong_type(key, value, "text")
        return value

    def optional_text(self, key: str) -> str | None:
        """The text at `key`; None where the field is absent or null."""
        return None if self.fields.get(key) is None else self.text(key)

    def identifier(self, key: str) -> str:
        """The id at `key`: text, or a whole number, which becomes text."""
        value = self.require(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            raise self._wrong_type(key, value, "text or a whole number")
        if not value:
            raise self.error(f"'{key}' is empty; every record needs an id")
        if not is_text(value):
            raise self.error(f"'{key}' holds half a surrogate pair, which no file of ours can; write it as UTF-8")
        return value

    def whole_number(self, key: str) -> int:
        """The whole number at `key`."""
        value = self.require(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong_type(key, value, "a whole number")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """The truth value at `key`; the default where the field is absent."""
        value = self.fields.get(key, default)
        if not isinstance(value, bool):
            raise self._wrong_type(key, value, "true or false")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of texts at `key`; empty where the field is absent or null."""
        value = self.fields.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong_type(key, value, "a list of texts")
        return tuple(value)

    def items(self, key: str) -> list[Any]:
        """The list at `key`, whatever it holds."""
        value = self.require(key)
        if not isinstance(value, list):
            raise self._wrong_type(key, value, "a list")
        return value

    def record(self, key: str) -> "Record":
        """The object at `key`, as a record of its own."""
        value = self.require(key)
        if not isinstance(value, dict):
            raise self._wrong_type(key, value, "an object")
        return Record(self.path, f"{self.place}, {key}", value)

    def _wrong_type(self, key: str, value: Any, expected: str) -> DataError:
        return self.error(f"'{key}' is {type_name(value)}, expected {expected}")


def is_text(value: str) -> bool:
    """Whether a string can be written as UTF-8: a JSON file may escape half a surrogate pair."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def type_name(value: Any) -> str:
    """The JSON name of a value's type, for people."""
    return _TYPE_NAMES.get(type(value), type(value).__name__)
