"""Texts in one normal form, and an account of what prepare leaves out.

Normal form: no control characters and no lone surrogates, Unicode NFC, runs of white space as one space, none at
the ends. Format characters such as zero-width joiners stay: Hindi, Thai and Persian are spelt with them.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from retrieval.records import Group, Pair

MAX_EXAMPLES = 5
_EXCERPT = 80
# Control characters that are not white space, and halves of surrogate pairs, which no UTF-8 file can hold.
_UNWANTED = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff]")
_INVISIBLE = re.compile("[\\s\u200b-\u200f\u2060\ufeff]*")


def normalise(text: str) -> str:
    """The text in normal form; applying it again changes nothing."""
    if _UNWANTED.search(text):
        text = _UNWANTED.sub("", text)
    return " ".join(unicodedata.normalize("NFC", text).split())


def is_empty(text: str) -> bool:
    """Whether a text has nothing to read: only white space and zero-width characters."""
    return _INVISIBLE.fullmatch(text) is not None


@dataclass
class Dropped:
    """What was left out: counts by reason, with the first few examples of each."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, example: str, count: int = 1) -> None:
        """Count something under a reason; the example should name the group."""
        self.counts[reason] += count
        shown = self.examples.setdefault(reason, [])
        if len(shown) < MAX_EXAMPLES:
            shown.append(_UNWANTED.sub("\N{REPLACEMENT CHARACTER}", example))

    def account(self) -> str:
        """The counts in one line."""
        return ", ".join(f"{reason}: {count}" for reason, count in sorted(self.counts.items())) or "nothing was dropped"


def clean_group(group: Group, languages: Collection[str] | None, dropped: Dropped) -> Group | None:
    """The group in normal form, without pairs that are empty or in other languages; None where no pair is left.

    Args:
        languages: the languages wanted; None for all.
        dropped: takes the account.
    """
    wanted = {code: pair for code, pair in group.pairs.items() if languages is None or code in languages}
    if group.pairs and not wanted:
        return None
    cleaned = {code: _clean_pair(pair, f"{group.id} ({code})", dropped) for code, pair in wanted.items()}
    pairs = {code: pair for code, pair in cleaned.items() if pair is not None}
    if not pairs:
        dropped.add("groups_empty", group.id)
        return None
    return Group(id=group.id, pairs=pairs, passage_id=group.passage_id, image=group.image)


def _clean_pair(pair: Pair, where: str, dropped: Dropped) -> Pair | None:
    query, passage = _clean_text(pair.query, where, dropped), _clean_text(pair.passage, where, dropped)
    if is_empty(query) or is_empty(passage):
        reason = "pairs_empty_query" if is_empty(query) else "pairs_empty_passage"
        dropped.add(reason, f"{where}: {(passage if is_empty(query) else query)[:_EXCERPT]}")
        return None
    return Pair(query, passage, _clean_negatives(pair.negatives, passage, where, dropped))


def _clean_negatives(negatives: tuple[str, ...], passage: str, where: str, dropped: Dropped) -> tuple[str, ...]:
    # A dictionary rather than a set: the order of the negatives is theirs (hardest first, as a rule).
    kept: dict[str, None] = {}
    for negative in negatives:
        text = _clean_text(negative, where, dropped)
        if is_empty(text):
            dropped.add("negatives_empty", where)
        elif text == passage:
            dropped.add("negatives_equal_to_passage", f"{where}: {text[:_EXCERPT]}")
        elif text in kept:
            dropped.add("negatives_repeated", f"{where}: {text[:_EXCERPT]}")
        else:
            kept[text] = None
    return tuple(kept)


def _clean_text(text: str, where: str, dropped: Dropped) -> str:
    unwanted = len(_UNWANTED.findall(text))
    if unwanted:
        dropped.add("characters_control_or_surrogate", f"{where}: {text[:_EXCERPT]}", unwanted)
    return normalise(text)
