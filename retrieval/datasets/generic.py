"""Your own Parquet or JSON lines, by column mapping: one row per group (`wide`) or one row per pair (`long`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from cluster.config import Config
from cluster.errors import DataError
from retrieval.formats.jsonl import read_jsonl
from retrieval.formats.parquet import read_parquet
from retrieval.formats.record import Record
from retrieval.languages import Languages, choose_languages
from retrieval.records import LANGUAGE_CODE, Group, Pair

_ENDINGS = (".parquet", ".jsonl", ".jsonl.gz")


class PairColumns(Config):
    """Columns that hold one pair."""

    query: str
    """Column of the query: text."""

    passage: str
    """Column of the passage that answers it: text."""

    negatives: str | None = None
    """Column of passages that do not answer it: a list of texts."""


class LongColumns(PairColumns):
    """Columns of rows that hold one pair each; the rows of a group share its id."""

    language: str = "language"
    """Column of the language code."""

    query: str = "query"
    """Column of the query: text."""

    passage: str = "passage"
    """Column of the passage that answers it: text."""


class GenericConfig(Config):
    """Where your data lies and which column is what. Give `wide` or `long`."""

    dataset: Literal["generic"] = "generic"

    path: Path
    """A .parquet, .jsonl or .jsonl.gz file, or a folder of them; relative paths start in the working directory."""

    name: str = Field(default="generic", pattern=r"^[a-z0-9_][a-z0-9_-]{0,39}$")
    """Short name of your data; ids become `<name>/<id>`, and sources are called after it."""

    id: str = "id"
    """Column of the group's id: text or a whole number."""

    passage_id: str | None = None
    """Column of the passage's id, where several queries share a passage: text or a whole number."""

    wide: dict[str, PairColumns] | None = None
    """Language code -> columns of its pair; a null query or passage means that the group lacks this language."""

    long: LongColumns | None = None
    """Columns of rows that hold one pair in one language each."""

    languages: Languages | None = None
    """Languages to read; all there are where not given."""

    @field_validator("wide")
    @classmethod
    def _check_codes(cls, wide: dict[str, PairColumns] | None) -> dict[str, PairColumns] | None:
        for code in wide or {}:
            if not LANGUAGE_CODE.fullmatch(code):
                raise ValueError(f"'{code}' is not a language code such as en, pt-BR or eng_Latn")
        return wide

    @model_validator(mode="after")
    def _check_shape(self) -> "GenericConfig":
        if bool(self.wide) == bool(self.long):
            raise ValueError(
                "give either wide: {en: {query: COLUMN, passage: COLUMN}} (one row per group) or "
                "long: {language: COLUMN, query: COLUMN, passage: COLUMN} (one row per pair)"
            )
        return self


def input_files(config: GenericConfig) -> list[Path]:
    """The files that are read: the one, or all of the folder by name."""
    if not config.path.is_dir():
        if not config.path.name.endswith(_ENDINGS):
            raise DataError(f"{config.path}: expected a file that ends in {', '.join(_ENDINGS)}, or a folder of them")
        return [config.path]
    files = sorted(path for path in config.path.iterdir() if path.name.endswith(_ENDINGS))
    if not files:
        raise DataError(f"{config.path}: holds no file that ends in {', '.join(_ENDINGS)}")
    return files


def read_groups(config: GenericConfig) -> Iterator[Group]:
    """The groups, in the order in which their ids first appear.

    Raises:
        DataError: a file is missing, empty or cut short; a column is missing or of another type; an id (in `long`: an
            id with a language) stands twice; a language is not there. Names file and row.
    """
    return _read_wide(config, config.wide) if config.wide else _read_long(config, config.long or LongColumns())


def _read_wide(config: GenericConfig, wide: dict[str, PairColumns]) -> Iterator[Group]:
    chosen = {language: wide[language] for language in choose_languages(config.languages, tuple(wide), config.path)}
    columns = [config.id, config.passage_id, *(column for pair in chosen.values() for column in _columns(pair))]
    seen: set[str] = set()
    for record in _records(config, columns):
        id = record.identifier(config.id)
        if id in seen:
            raise record.error(f"id '{id}' stands twice; one row per group, or describe the columns under long")
        seen.add(id)
        pairs = {language: pair for language, names in chosen.items() if (pair := _optional_pair(record, names))}
        yield Group(id=f"{config.name}/{id}", pairs=pairs, passage_id=_passage_id(config, record))


def _read_long(config: GenericConfig, long: LongColumns) -> Iterator[Group]:
    pairs_of: dict[str, dict[str, Pair]] = {}
    passage_id_of: dict[str, str] = {}
    for record in _records(config, [config.id, config.passage_id, long.language, *_columns(long)]):
        id, language = record.identifier(config.id), record.text(long.language)
        if not LANGUAGE_CODE.fullmatch(language):
            raise record.error(f"'{language}' is not a language code such as en, pt-BR or eng_Latn")
        pairs = pairs_of.setdefault(id, {})
        if language in pairs:
            raise record.error(f"id '{id}' stands twice in language '{language}'; give each pair an id of its own")
        pairs[language] = _pair(record, long)
        passage_id = _passage_id(config, record)
        if passage_id_of.setdefault(id, passage_id) != passage_id:
            raise record.error(f"id '{id}' has passage id '{passage_id}', in another row '{passage_id_of[id]}'")
    there = sorted({language for pairs in pairs_of.values() for language in pairs})
    chosen = choose_languages(config.languages, there, config.path)
    for id, pairs in pairs_of.items():
        of_group = {language: pairs[language] for language in chosen if language in pairs}
        if of_group:
            yield Group(id=f"{config.name}/{id}", pairs=of_group, passage_id=passage_id_of[id])


def _records(config: GenericConfig, columns: list[str | None]) -> Iterator[Record]:
    wanted = list(dict.fromkeys(column for column in columns if column is not None))
    for path in input_files(config):
        if path.suffix == ".parquet":
            yield from read_parquet(path, wanted)
        else:
            yield from _jsonl_with_all(path, wanted)


def _jsonl_with_all(path: Path, wanted: list[str]) -> Iterator[Record]:
    """JSON lines may leave out a null; a key that no line has is a wrong mapping, as in Parquet."""
    missing, known = set(wanted), set[str]()
    for record in read_jsonl(path):
        if missing:
            missing -= record.fields.keys()
            known |= record.fields.keys()
        yield record
    if missing:
        raise DataError(f"{path}: no line has '{min(missing)}'; its keys are {', '.join(sorted(known))}")


def _columns(names: PairColumns) -> list[str | None]:
    return [names.query, names.passage, names.negatives]


def _pair(record: Record, names: PairColumns) -> Pair:
    negatives = record.texts(names.negatives) if names.negatives else ()
    return Pair(record.text(names.query), record.text(names.passage), negatives)


def _optional_pair(record: Record, names: PairColumns) -> Pair | None:
    query, passage = record.optional_text(names.query), record.optional_text(names.passage)
    return None if query is None or passage is None else _pair(record, names)


def _passage_id(config: GenericConfig, record: Record) -> str:
    if config.passage_id is None or record.fields.get(config.passage_id) is None:
        return ""
    return f"{config.name}/{record.identifier(config.passage_id)}"
