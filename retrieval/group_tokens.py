"""Token ids of prepared groups on disk, made once per tokenizer: the groups' own files, text by text in their order.

tokens.json                          version, fingerprint of the tokens, and of each source: languages, rows per file
<source>/part-00000.ids.npy          token ids, see token_files
<source>/part-00000.bounds.npy       row after row: query and passage of each language, then the hard negatives of each
<source>/part-00000.hashes.npy       (rows, 2) int64: hash64 of group id and passage id
<source>/part-00000.negatives.npy    (rows, L) int32: hard negatives in each language, where the source has any
<source>/part-00000.negative_hashes.npy  (number of negatives) int64: hash64 of their texts after NEGATIVE

All texts of a row stand together, so a rank that takes neighbouring rows reads neighbouring bytes.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cluster.documents import parse_json
from cluster.errors import DataError
from cluster.fingerprint import hash64
from cluster.logs import progress
from cluster.storage import ResultSet, open_store
from retrieval.encoder.tokens import Tokens
from retrieval.groups import GroupSource, PreparedGroups
from retrieval.token_files import ArrayWriter, TokenFile, TokenWriter, as_int32, open_array, open_tokens

DESCRIPTION = "tokens.json"
VERSION = 1
NEGATIVE = "negative\0"
"""Before a hard negative's text where it is hashed, so that no group has the hash of a text."""
_AGAIN = "delete its folder and run again"


@dataclass(frozen=True)
class GroupTokens:
    """The token ids of prepared groups. Holds paths and counts only, so it travels cheaply between processes."""

    folder: Path
    fingerprint: str
    """Of the tokens (`Tokens.fingerprint`)."""
    sources: tuple["SourceFacts", ...]
    root: str = field(default="", compare=False)
    """URI of the store they are from, where that is known."""
    name: str = field(default="", compare=False)
    """Their result set in it."""

    def here(self) -> "GroupTokens":
        """The same tokens with paths of this machine, which fetches them from their store where it has no copy."""
        if not self.root:
            return self
        folder = open_store(self.root).fetch_folder(self.name)
        return self if folder == self.folder else open_group_tokens(folder)

    def source(self, number: int) -> "SourceTokens":
        """The token ids of one source, by its place among the groups' sources."""
        return SourceTokens(self.folder, self.sources[number])

    def check(self, groups: PreparedGroups, tokens: Tokens) -> None:
        """Whether these are the token ids of those groups by that tokenizer.

        Raises:
            DataError: they are of others.
        """
        if self.fingerprint != tokens.fingerprint:
            raise DataError(f"{self.folder}: holds token ids of another tokenizer; {_AGAIN}")
        if self.sources != tuple(SourceFacts.of(source) for source in groups.sources):
            raise DataError(f"{self.folder}: holds token ids of other groups than {groups.folder}; {_AGAIN}")


@dataclass(frozen=True)
class SourceFacts:
    """What is known of a source without its files."""

    name: str
    languages: tuple[str, ...]
    has_negatives: bool
    part_rows: tuple[int, ...]

    @classmethod
    def of(cls, source: GroupSource) -> "SourceFacts":
        """The facts of a source of prepared groups."""
        rows = tuple(shard.rows for shard in source.shards)
        return cls(source.name, source.languages, source.has_negatives, rows)


def write_group_tokens(folder: Path, groups: PreparedGroups, tokens: Tokens) -> None:
    """Tokenise every text of prepared groups into a folder, one row group in memory at a time."""
    total = sum(source.num_row_groups for source in groups.sources)
    with_bar = iter(progress(range(total), "tokenise", total=total, unit="row group"))
    for source in groups.sources:
        first = 0
        for part, shard in enumerate(source.shards):
            number = -(-shard.rows // source.row_group_rows)
            _write_part(_stem(folder, source.name, part), source, range(first, first + number), tokens, with_bar)
            first += number
    facts = [
        {
            "name": source.name,
            "languages": source.languages,
            "has_negatives": source.has_negatives,
            "part_rows": [shard.rows for shard in source.shards],
        }
        for source in groups.sources
    ]
    document = {"version": VERSION, "tokens": tokens.fingerprint, "sources": facts}
    (folder / DESCRIPTION).write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")


def _write_part(stem: Path, source: GroupSource, row_groups: range, tokens: Tokens, bar: Iterator[int]) -> None:
    with (
        TokenWriter(stem, tokens.vocabulary_size) as texts,
        ArrayWriter(_beside(stem, "hashes"), np.int64, (2,)) as hashes,
    ):
        negatives = _NegativeFacts(stem, len(source.languages)) if source.has_negatives else None
        for number in row_groups:
            columns = source.read_row_group(number, source.text_columns).to_pydict()
            ids = zip(columns["group_id"], columns["passage_id"], strict=True)
            hashes.add(np.array([(hash64(group), hash64(passage)) for group, passage in ids], dtype=np.int64))
            texts.add(_encoded(source, columns, tokens))
            if negatives is not None:
                negatives.add([columns[f"negatives:{language}"] for language in source.languages])
            next(bar, None)
        if negatives is not None:
            negatives.close()


def _encoded(source: GroupSource, columns: Mapping[str, list[Any]], tokens: Tokens) -> list[np.ndarray]:
    """Token ids of a row group's texts in the order in which they are stored."""
    rows = len(columns["group_id"])
    sides = []
    for role in ("query", "passage"):
        of_language = [columns[f"{role}:{language}"] for language in source.languages]
        in_language = [language for language in source.languages for _ in range(rows)]
        encoded = tokens.encode([text for texts in of_language for text in texts], role, in_language)  # type: ignore[arg-type]
        sides.append([encoded[start : start + rows] for start in range(0, len(encoded), rows)])
    negatives = [columns[f"negatives:{language}"] for language in source.languages] if source.has_negatives else []
    flat = [
        (text, language)
        for row in range(rows)
        for language, of_rows in zip(source.languages, negatives, strict=False)
        for text in of_rows[row]
    ]
    others = iter(tokens.encode([text for text, _ in flat], "passage", [language for _, language in flat]))
    ordered = []
    for row in range(rows):
        ordered += [side[number][row] for number in range(len(source.languages)) for side in sides]
        ordered += [next(others) for of_rows in negatives for _ in of_rows[row]]
    return ordered


class _NegativeFacts:
    """Writes how many hard negatives each row has in each language, and the hashes of their texts."""

    def __init__(self, stem: Path, languages: int) -> None:
        self._counts = ArrayWriter(_beside(stem, "negatives"), np.int32, (languages,))
        self._hashes = ArrayWriter(_beside(stem, "negative_hashes"), np.int64)

    def add(self, of_language: Sequence[Sequence[Sequence[str]]]) -> None:
        """Language -> row -> texts."""
        rows = list(zip(*of_language, strict=True))
        self._counts.add(np.array([[len(texts) for texts in row] for row in rows], dtype=np.int32))
        hashes = [hash64(NEGATIVE + text) for row in rows for texts in row for text in texts]
        self._hashes.add(np.array(hashes, dtype=np.int64))

    def close(self) -> None:
        self._counts.close()
        self._hashes.close()


def open_group_tokens(place: Path | ResultSet) -> GroupTokens:
    """Open the token ids of prepared groups, from the result set or its folder.

    Raises:
        DataError: there are none there.
    """
    folder, origin = (place.folder, (place.root, place.name)) if isinstance(place, ResultSet) else (place, ())
    path = folder / DESCRIPTION
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
        version = document["version"]
        sources = tuple(
            SourceFacts(
                str(facts["name"]),
                tuple(facts["languages"]),
                bool(facts["has_negatives"]),
                tuple(map(int, facts["part_rows"])),
            )
            for facts in document["sources"]
        )
        tokens = GroupTokens(folder, str(document["tokens"]), sources, *origin)
    except FileNotFoundError:
        raise DataError(f"{path}: missing; there are no token ids in this folder; {_AGAIN}") from None
    except (OSError, ValueError, LookupError, TypeError, OverflowError) as error:
        raise DataError(f"{path}: cannot be read ({error!r}); {_AGAIN}") from None
    if version != VERSION:
        raise DataError(f"{path}: has version {version}, this program reads version {VERSION}; {_AGAIN}")
    return tokens


class SourceTokens:
    """Token ids of one source's rows, mapped into memory part by part when first asked for."""

    def __init__(self, folder: Path, facts: SourceFacts) -> None:
        self.facts = facts
        self._folder = folder
        self._bounds = np.cumsum([0, *facts.part_rows])
        self._parts: dict[int, _Part] = {}

    def hashes(self, rows: np.ndarray) -> np.ndarray:
        """(n, 2) int64 hash64 of group id and passage id of each row."""
        found = np.empty((len(rows), 2), np.int64)
        for part, chosen, local in self._cut(rows):
            found[chosen] = part.hashes[local]
        return found

    def texts(self, rows: np.ndarray, places: np.ndarray) -> list[np.ndarray]:
        """Token ids of texts by row and place in the row (`place_of`, `negative_places`), int32 each."""
        if len(self.facts.part_rows) == 1:
            part = self._part(0)
            return part.tokens.texts(part.first_text(rows) + places)
        found: list[np.ndarray] = [np.empty(0)] * len(rows)
        for part, chosen, local in self._cut(rows):
            pieces = part.tokens.pieces(part.first_text(local) + places[chosen])
            for number, ids in zip(chosen.tolist(), pieces, strict=True):
                found[number] = ids
        return as_int32(found)

    def negative_counts(self, rows: np.ndarray) -> np.ndarray:
        """(n, L) hard negatives of each row in each language."""
        found = np.zeros((len(rows), len(self.facts.languages)), np.int64)
        for part, chosen, local in self._cut(rows):
            found[chosen] = part.negatives[local]
        return found

    def negative_hashes(self, rows: np.ndarray, places: np.ndarray) -> np.ndarray:
        """(n) int64 hash64 of hard negatives, by row and place in the row."""
        found = np.empty(len(rows), np.int64)
        per_row = 2 * len(self.facts.languages)
        for part, chosen, local in self._cut(rows):
            # All texts before it, less those that are none of the negatives.
            numbers = part.first_text(local) + places[chosen] - per_row * (local + 1)
            found[chosen] = part.negative_hashes[numbers]
        return found

    def _cut(self, rows: np.ndarray) -> "Iterator[tuple[_Part, np.ndarray, np.ndarray]]":
        """The parts that hold the rows: part, which of the rows it holds, their numbers in it."""
        part_of = np.searchsorted(self._bounds, rows, side="right") - 1
        for number in np.unique(part_of).tolist():
            chosen = np.flatnonzero(part_of == number)
            yield self._part(number), chosen, rows[chosen] - self._bounds[number]

    def _part(self, number: int) -> "_Part":
        if number not in self._parts:
            self._parts[number] = _Part(_stem(self._folder, self.facts.name, number), self.facts, number)
        return self._parts[number]


def place_of(role: str, languages: np.ndarray) -> np.ndarray:
    """Place in its row of the text of a role in each of the languages given by number."""
    return 2 * languages.astype(np.int64) + (role == "passage")


def negative_places(counts: np.ndarray) -> np.ndarray:
    """(n, L) place in its row of the first hard negative in each language, from how many there are, (n, L)."""
    return 2 * counts.shape[1] + np.cumsum(counts, axis=1) - counts


class _Part:
    """The files of one stem."""

    def __init__(self, stem: Path, facts: SourceFacts, number: int) -> None:
        self._stem, self._facts, self._rows = stem, facts, facts.part_rows[number]
        self.tokens: TokenFile = open_tokens(stem)
        self.hashes = self._array("hashes", 2)
        expected = self._rows * 2 * len(facts.languages) + (int(self.negatives.sum()) if facts.has_negatives else 0)
        if len(self.tokens) != expected:
            raise DataError(f"{stem}.bounds.npy: holds {len(self.tokens)} texts, expected {expected}; {_AGAIN}")

    @cached_property
    def negatives(self) -> np.ndarray:
        return self._array("negatives", 2)

    @cached_property
    def negative_hashes(self) -> np.ndarray:
        return open_array(_beside(self._stem, "negative_hashes"), 1)

    @cached_property
    def _negatives_before(self) -> np.ndarray:
        """(rows) hard negatives of all rows before."""
        of_row = self.negatives.sum(axis=1, dtype=np.int64)
        return np.cumsum(of_row) - of_row

    def first_text(self, rows: np.ndarray) -> np.ndarray:
        """Number of each row's first text."""
        first = rows * (2 * len(self._facts.languages))
        return first + self._negatives_before[rows] if self._facts.has_negatives else first

    def _array(self, what: str, dimensions: int) -> np.ndarray:
        path = _beside(self._stem, what)
        array = open_array(path, dimensions)
        if len(array) != self._rows:
            raise DataError(f"{path}: holds {len(array)} rows, expected {self._rows}; {_AGAIN}")
        return array


def _stem(folder: Path, source: str, part: int) -> Path:
    return folder / source / f"part-{part:05d}"


def _beside(stem: Path, what: str) -> Path:
    return stem.with_name(f"{stem.name}.{what}.npy")
