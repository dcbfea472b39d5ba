"""Language codes in configurations: their form, and the choice among those a data set has."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from cluster.errors import DataError
from retrieval.records import LANGUAGE_CODE


def _explain_norwegian(value: Any) -> Any:
    # YAML 1.1 reads a bare `no` as false.
    if isinstance(value, (list, tuple)) and False in value:
        raise ValueError("holds false; write the Norwegian code in quotes: 'no'")
    return value


def _check_codes(codes: tuple[str, ...]) -> tuple[str, ...]:
    for code in codes:
        if not LANGUAGE_CODE.fullmatch(code):
            raise ValueError(f"'{code}' is not a language code such as en, pt-BR or eng_Latn")
        if codes.count(code) > 1:
            raise ValueError(f"'{code}' stands twice; keep one")
    return codes


Languages = Annotated[
    tuple[str, ...], BeforeValidator(_explain_norwegian), AfterValidator(_check_codes), Field(min_length=1)
]
"""One or more different language codes."""


def choose_languages(wanted: Sequence[str] | None, available: Sequence[str], where: object) -> tuple[str, ...]:
    """The wanted languages in their order; all there are where none are named.

    Raises:
        DataError: a wanted language is not there; names those that are.
    """
    missing = [language for language in wanted or () if language not in available]
    if missing:
        raise DataError(f"{where}: has no language '{missing[0]}'; it has {', '.join(available)}")
    return tuple(wanted or available)
