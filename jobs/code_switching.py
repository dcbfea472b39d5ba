"""The dictionary of a run's training groups, and which languages it is good enough for.

dictionary.parquet    words and translations (retrieval/dictionary.py)
coverage.json         language -> share of the letters of its texts in words that have a translation
"""

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.documents import parse_json
from cluster.logs import get_logger
from cluster.storage import ResultSet

if TYPE_CHECKING:
    from retrieval.dictionary import StoredDictionary
    from retrieval.groups import PreparedGroups

COVERAGE_FILE = "coverage.json"
LEAST_COVERAGE = 0.1
"""Below this a code-switched batch would hardly differ from a monolingual one."""
_GROUPS_LOOKED_AT = 2000
_logger = get_logger("code-switching")


def write_groups_dictionary(folder: Path, groups: "PreparedGroups") -> None:
    """Induce a dictionary from prepared groups and write it, with its coverage of them."""
    from retrieval.dictionary import write_dictionary
    from retrieval.dictionary_of_groups import coverage, dictionary_of, in_turns

    dictionary = dictionary_of(groups)
    write_dictionary(folder, dictionary)
    found = coverage(dictionary, itertools.islice(in_turns(groups), _GROUPS_LOOKED_AT))
    shares = {language: round(found.get(language, 0.0), 4) for language in groups.languages}
    (folder / COVERAGE_FILE).write_text(json.dumps(shares, indent=1), encoding="utf-8")


def stored_dictionary(dictionary: ResultSet) -> "StoredDictionary":
    """Its place, for the feed."""
    from retrieval.dictionary import StoredDictionary

    return StoredDictionary(dictionary.folder, dictionary.root, dictionary.name)


def switchable_languages(dictionary: ResultSet) -> tuple[str, ...]:
    """Languages that code-switched batches can be in; those left out are named in one warning."""
    shares: dict[str, float] = parse_json(dictionary.path(COVERAGE_FILE).read_text(encoding="utf-8"))
    left_out = [language for language, share in shares.items() if share < LEAST_COVERAGE]
    if left_out:
        _logger.warning(
            "code_switched batches leave out %s: the dictionary has less than %.0f %% of their texts (scripts without "
            "spaces between words, or too little parallel text)",
            ", ".join(left_out),
            100 * LEAST_COVERAGE,
        )
    return tuple(language for language in shares if language not in left_out)
