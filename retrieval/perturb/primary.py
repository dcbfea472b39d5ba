"""Language codes in, the part that names the language out."""

import contextlib
import functools

from cluster.errors import DataError
from retrieval.language_codes import canonical_code


@functools.cache
def primary_language(code: str) -> str:
    """The part of a canonical code that names the language, `zh` for `zh-Hant`; of an unknown code its first part."""
    with contextlib.suppress(DataError):
        code = canonical_code(code)
    return code.replace("_", "-").split("-")[0].lower()
