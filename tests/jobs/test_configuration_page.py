"""docs/configuration.md lists every field of a run with its default, as the classes have them.

`python tests/jobs/test_configuration_page.py` writes the tables again.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from cluster.config import Config
from jobs.config import RunConfig

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
BEGIN, END = "<!-- fields: begin -->\n", "<!-- fields: end -->\n"
ANOTHER_FORM = {
    "data.train": "list of data sets",
    "data.validation": "data set",
    "data.evaluation": "name -> data set",
    "mixing.mix": "mix",
    "arms": "name -> mix",
}
"""What the text of the page tells the form of."""


def tables() -> str:
    """A table for the run and one for each part of it."""
    parts = [f"{heading}\n| field | values | default | |\n|---|---|---|---|\n{rows}" for heading, rows in _parts()]
    return "\n".join(parts)


def _parts() -> Iterator[tuple[str, str]]:
    pending: list[tuple[str, type[Config]]] = [("", RunConfig)]
    while pending:
        path, model = pending.pop(0)
        rows, inner = [], []
        for name, field in model.model_fields.items():
            full = f"{path}.{name}" if path else name
            part = None if full in ANOTHER_FORM else _part(field.annotation)
            if part is not None:
                inner.append((full, part))
            else:
                rows.append(f"| `{name}` | {_values(full, field)} | {_default(field)} | {_line(field.description)} |\n")
        pending = inner + pending
        yield (f"### `{path}`: {_line(model.__doc__)}\n" if path else "### The run\n"), "".join(rows)


def _part(annotation: Any) -> type[Config] | None:
    """The configuration class that a field holds, perhaps optionally."""
    found = [
        kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type) and issubclass(kind, Config)
    ]
    return found[0] if found else None


def _values(path: str, field: FieldInfo) -> str:
    return ANOTHER_FORM.get(path) or _kind(field.annotation) + _bounds(field.metadata)


def _kind(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " ".join(f"`{option}`" for option in get_args(annotation))
    arguments = [argument for argument in get_args(annotation) if argument not in (type(None), Ellipsis)]
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(map(_kind, arguments))
    if get_origin(annotation) is tuple:
        return f"list of {_kind(arguments[0])}"
    if get_origin(annotation) is not None and hasattr(annotation, "__metadata__"):
        return _kind(arguments[0]) + _bounds(annotation.__metadata__)
    return {str: "text", int: "whole number", float: "number", bool: "`true` `false`", Fraction: "share"}[annotation]


def _bounds(metadata: Any) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    bounds = [
        f"{sign} {getattr(constraint, name):g}"
        for constraint in metadata
        for name, sign in signs.items()
        if hasattr(constraint, name)
    ]
    return f" {', '.join(bounds)}" if bounds else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    return f"`{_plain(field.get_default())}`"


def _plain(value: Any) -> str:
    if isinstance(value, Config):
        given = {name: getattr(value, name) for name in type(value).model_fields if getattr(value, name)}
        return "{" + ", ".join(f"{name}: {_plain(item)}" for name, item in given.items()) + "}"
    if isinstance(value, (tuple, list)):
        inner = ", ".join(map(_plain, value))
        return inner if len(value) == 1 and isinstance(value[0], Config) else f"[{inner}]"
    if isinstance(value, Fraction):
        return str(value)
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else f"'{value}'" if value in ("", f"{value} ") else str(value)


def _line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def test_the_page_lists_the_fields_as_they_are() -> None:
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    assert rest.partition(END)[0] == tables(), "run: python tests/jobs/test_configuration_page.py"


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + tables() + END + rest.partition(END)[2], encoding="utf-8")
