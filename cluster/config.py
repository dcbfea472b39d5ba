"""Strict YAML configuration: file and `a.b=c` overrides in, a validated object or one-line error out.

A configuration class lives in the module that uses it and derives from `Config`. Unknown keys are errors that list
the known ones; secrets have no place in a configuration file and are refused by name.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

from cluster.errors import ConfigError

MAX_CONFIG_BYTES = 1 << 20
MAX_DEPTH = 64
"""Levels of lists and mappings within each other; ours go to about eight."""
_SECRET_KEY = re.compile(
    r"(secret|password|passwd|(access|api|private)[_-]?key|credential|(^|[_-])token$)", re.IGNORECASE
)
_NUMBER = re.compile(r"-?[0-9]{1,200}(/0*[1-9][0-9]{0,199}|(\.[0-9]{0,50})?(e[+-]?[0-9]{1,2})?)", re.IGNORECASE)
_LONGEST_FOUND = 80


class Config(BaseModel):
    """Base of every configuration: immutable, no unknown keys, documented field by field."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )


def _exact(value: Any) -> Any:
    """Read 0.1 as one tenth, not as the nearest binary number."""
    if isinstance(value, Fraction):
        return value
    text = str(value).strip()
    # Not whatever Fraction takes: it would write 1e999999999 out.
    if isinstance(value, bool) or not _NUMBER.fullmatch(text):
        raise ValueError("must be a number such as 0.5 or 1/2")
    return Fraction(text)


Share = Annotated[Fraction, BeforeValidator(_exact), PlainSerializer(lambda share: str(share), return_type=str)]
"""An exact fraction, written in YAML as 0.3, 3/10 or 1."""

ConfigType = TypeVar("ConfigType", bound=Config)


class _Loader(yaml.SafeLoader):
    """Safe YAML without aliases (a few lines of them can expand to gigabytes) and without repeated keys."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise ConfigError(
                f"line {event.start_mark.line + 1}: YAML aliases (*{event.anchor}) are refused; write the value out"
            )
        if self._depth == MAX_DEPTH:  # well before Python's own limit, which takes 10 ms and more to reach
            raise ConfigError(f"line {self.peek_event().start_mark.line + 1}: nested too deeply for a configuration")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)  # type: ignore[no-untyped-call]
            try:
                repeated = key in seen
            except TypeError:
                raise ConfigError(
                    f"line {key_node.start_mark.line + 1}: a key must be a plain word, not a list or mapping"
                ) from None
            if repeated:
                raise ConfigError(f"line {key_node.start_mark.line + 1}: key '{key}' stands twice; keep one")
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: Any) -> Any:
        value = super().construct_scalar(node)
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ConfigError(
                f"line {node.start_mark.line + 1}: holds half a surrogate pair; write the character or \\U and 8 digits"
            )
        return value


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML safely; `where` names the text in errors."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    # The last four are what PyYAML's constructors raise where a tag and its value do not fit (`!!int ''`, `!!bool x`).
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise ConfigError(f"{where}:{_yaml_problem(error)}") from None


def _yaml_problem(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark
        place = f" line {mark.line + 1}" if mark else ""
        # "expected a single document in the stream", "but found another document"
        context = f"{error.context}, " if error.context and str(error.problem).startswith("but ") else ""
        return f"{place} not valid YAML: {context}{error.problem}"
    if isinstance(error, yaml.YAMLError):
        return f" not valid YAML: {str(error).splitlines()[0]}"
    if isinstance(error, RecursionError):
        return " nested too deeply for a configuration"
    return " not valid YAML: a value does not fit its tag (!!int, !!bool, ...); leave the tag out"


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
        if len(content) > MAX_CONFIG_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_CONFIG_BYTES >> 20} MiB; a configuration is a page of YAML")
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    value = parse_yaml(text, str(path))
    if value is None:
        raise ConfigError(f"{path}: is empty, expected a mapping of fields")
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: holds {type(value).__name__}, expected a mapping of fields")
    return value


def with_overrides(fields: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Apply `a.b=c` overrides (c is YAML) to a copy of nested fields; list items go by number (`a.0.b=c`)."""
    result: Any = _copied(fields)
    for override in overrides:
        path, separator, text = override.partition("=")
        if not separator or not path.strip():
            raise ConfigError(f"override '{override}': expected field.name=value")
        *parents, last = path.strip().split(".")
        place = result
        for key in parents:
            place = _child(place, key, override)
        _assign(place, last, parse_yaml(text, f"override '{override}'"), override)
    return result


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _list_place(items: list[Any], key: str, override: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", key) or int(key) >= len(items):
        use = f"use 0 to {len(items) - 1}" if items else "set the whole list"
        raise ConfigError(f"override '{override}': '{key}' is not an item of a list of {len(items)}; {use}")
    return int(key)


def _child(place: Any, key: str, override: str) -> Any:
    if isinstance(place, list):
        return place[_list_place(place, key, override)]
    if not isinstance(place, dict):
        raise ConfigError(f"override '{override}': '{key}' is inside a plain value; there is nothing to set there")
    if place.get(key) is None:
        place[key] = {}
    return place[key]


def _assign(place: Any, key: str, value: Any, override: str) -> None:
    if isinstance(place, list):
        place[_list_place(place, key, override)] = value
    elif isinstance(place, dict):
        place[key] = value
    else:
        raise ConfigError(f"override '{override}': '{key}' is inside a plain value; there is nothing to set there")


def load_config(config_class: type[ConfigType], path: Path, overrides: Iterable[str] = ()) -> ConfigType:
    """Read, override and validate a configuration file.

    Raises:
        ConfigError: one line that names the file and the field, what was found and what would do.
    """
    return build_config(config_class, with_overrides(read_mapping(path), overrides), where=str(path))


def build_config(config_class: type[ConfigType], fields: Mapping[str, Any], where: str = "configuration") -> ConfigType:
    """Validate plain fields as `config_class`; `where` names their origin in errors."""
    _refuse_secrets(fields, where)
    try:
        return config_class.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(f"{where}: {describe(error, config_class)}") from None


def describe(error: ValidationError, config_class: type[BaseModel]) -> str:
    """Say one problem of a failed validation in one line: an unknown key, if there is one, with those known there.

    A misspelt key is missing under its right name as well; what is misspelt says more.
    """
    problems = error.errors(include_url=False)
    first = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
    location = [str(part) for part in first["loc"]]
    if not location:
        return first["msg"].removeprefix("Value error, ").replace("\n", " ")
    field = ".".join(location)
    if first["type"] == "extra_forbidden":
        known = sorted(_fields_at(config_class, location[:-1]))
        near = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        return f"{field}: unknown key; {hint}known here: {', '.join(known) or 'none'}"
    if first["type"] == "missing":
        return f"{field}: missing; this field has no default"
    message = first["msg"].removeprefix("Value error, ").replace("\n", " ")
    found = first.get("input")
    if isinstance(found, (str, int, float, bool)) or found is None:
        return f"{field}: {message} (found {_shortened(repr(found))})"
    return f"{field}: {message}"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_FOUND else f"{text[: _LONGEST_FOUND - 3]}..."


def _fields_at(model: Any, location: list[str]) -> set[str]:
    """Field names of the model that sits at `location`; unions and containers are looked through."""
    candidates = _models(model)
    for part in location:
        following: list[type[BaseModel]] = []
        for candidate in candidates:
            if part in candidate.model_fields:
                following += _models(candidate.model_fields[part].annotation)
        # A list index, a dictionary key or the tag of a union does not change which models can be meant.
        candidates = following or candidates
    return {name for candidate in candidates for name in candidate.model_fields}


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found = []
    for argument in getattr(annotation, "__args__", ()):
        found += _models(argument)
    return found


def _refuse_secrets(value: Any, where: str, path: str = "") -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            name = f"{path}.{key}" if path else str(key)
            if _SECRET_KEY.search(str(key)):
                raise ConfigError(
                    f"{where}: {name}: secrets do not belong in a configuration; set an environment variable"
                )
            _refuse_secrets(item, where, name)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _refuse_secrets(item, where, f"{path}.{number}")


def to_plain(config: Config) -> dict[str, Any]:
    """The configuration as plain values that YAML and JSON can store and `build_config` reads back."""
    return config.model_dump(mode="json")
