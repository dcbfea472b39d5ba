"""An analysis as JSON, back as what it was: the inverse of `study.as_json`."""

import types
import typing
from dataclasses import fields, is_dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from cluster.documents import parse_json
from cluster.errors import DataError
from retrieval.analysis.observations import Arm
from retrieval.analysis.study import StudyAnalysis


def from_json(text: str, where: str = "analysis") -> StudyAnalysis:
    """The analysis that `as_json` wrote. What was not finite, and so stored as nothing, is NaN.

    Args:
        text: JSON.
        where: what to name in an error: the file.

    Raises:
        DataError: the text is no such analysis.
    """
    try:
        made = _made(StudyAnalysis, parse_json(text))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"no '{error.args[0]}'" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{where}: not the analysis of a study ({reason}); write it again with this version") from None
    assert isinstance(made, StudyAnalysis)
    return made


def _made(kind: Any, plain: Any) -> Any:
    """A value of a type from what JSON holds of it."""
    if kind is Arm:
        mix = tuple((name, Fraction(share)) for name, share in plain["mix"].items())
        return Arm(mix, tuple(plain["axes"].items()), plain["schedule"])
    if is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        return kind(**{field.name: _made(hints[field.name], plain[field.name]) for field in fields(kind)})
    origin, parameters = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        (inner,) = (one for one in parameters if one is not type(None))
        return None if plain is None else _made(inner, plain)
    if origin is tuple:
        inner_kinds = [parameters[0]] * len(plain) if parameters[-1] is Ellipsis else parameters
        return tuple(_made(inner, one) for inner, one in zip(inner_kinds, plain, strict=True))
    if origin is dict:
        return {key: _made(parameters[1], one) for key, one in plain.items()}
    if kind is np.ndarray:
        return np.array(plain, dtype=np.float64)
    if kind is float:
        return float("nan") if plain is None else float(plain)
    return plain
