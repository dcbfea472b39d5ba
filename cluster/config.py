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
_SECRET_KEY = re.compile(
    r"(secret|password|passwd|access_?key|api_?key|credential|private_?key|(^|_)token$)", re.IGNORECASE
)


class Config(BaseModel):
    """Base of every configuration: immutable, no unknown keys, documented field by field."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)


def _exact(value: Any) -> Any:
    """Read 0.1 as one tenth, not as the nearest binary number."""
    if isinstance(value, bool):
        raise ValueError("must be a number such as 0.5 or 1/2")
    if isinstance(value, float):
        value = repr(value)
    if isinstance(value, (int, str)):
        try:
            return Fraction(value)
        except (ValueError, ZeroDivisionError):
            raise ValueError("must be a number such as 0.5 or 1/2") from None
    return value


Share = Annotated[Fraction, BeforeValidator(_exact), PlainSerializer(lambda share: str(share), return_type=str)]
"""An exact fraction, written in YAML as 0.3, 3/10 or 1."""

ConfigType = TypeVar("ConfigType", bound=Config)


class _Loader(yaml.SafeLoader):
    """Safe YAML without aliases (a few lines of them can expand to gigabytes) and without repeated keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise ConfigError(
                f"line {event.start_mark.line + 1}: YAML aliases (*{event.anchor}) are refused; write the value out"
            )
        return super().compose_node(parent, index)

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


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML safely; `where` names the text in errors."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{where}:{place} not valid YAML: {problem}") from None


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds one mapping."""
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_CONFIG_BYTES >> 20} MiB; a configuration is a page of YAML")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    value = parse_yaml(text, str(path))
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
    if not key.isdigit() or int(key) >= len(items):
        raise ConfigError(
            f"override '{override}': '{key}' is not an item of a list of {len(items)}; use 0 to {len(items) - 1}"
        )
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
    """Say the first problem of a failed validation in one line, with the known keys where a key is unknown."""
    first = error.errors(include_url=False)[0]
    location = [str(part) for part in first["loc"]]
    field = ".".join(location) or "the whole"
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
        return f"{field}: {message} (found {found!r})"
    return f"{field}: {message}"


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
