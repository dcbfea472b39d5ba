"""Prepared groups on disk: Parquet files out of which a row group is read by number.

    groups.json                      version, rows per row group, and of each source: languages, groups, files
    <source>/part-00000.parquet      group_id, passage_id, query:<language>, passage:<language>, [negatives:<language>],
                                     [image]

`image` is the encoded image (JPEG, PNG, ...), so that groups need nothing beside them, wherever they are stored. A
source is groups with exactly the same languages, and with an image all or none. Row i of a source is in its row group
i // row_group_rows, counted over its files in order; only the very last row group may be short.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cluster.config import describe
from cluster.documents import parse_json
from cluster.errors import ConfigError, DataError
from cluster.storage import ResultSet, open_store
from cluster.storage.store import check_key
from retrieval.formats.parquet import PARQUET_ERRORS, broken_parquet
from retrieval.images import IMAGE
from retrieval.records import Group, Pair

GROUPS_FILE = "groups.json"
VERSION = 1
_AGAIN = "run prepare again"


def groups_schema(languages: Sequence[str], has_negatives: bool, has_images: bool = False) -> pa.Schema:
    """Columns of a source; its metadata names the version of this layout.

    A colon joins role and language: with an underscore, passages in Indonesian (id) would be another `passage_id`.
    """
    fields = [pa.field("group_id", pa.string(), nullable=False), pa.field("passage_id", pa.string(), nullable=False)]
    for language in languages:
        fields.append(pa.field(f"query:{language}", pa.string(), nullable=False))
        fields.append(pa.field(f"passage:{language}", pa.string(), nullable=False))
        if has_negatives:
            fields.append(pa.field(f"negatives:{language}", pa.list_(pa.string()), nullable=False))
    if has_images:
        fields.append(pa.field(IMAGE, pa.large_binary(), nullable=False))
    return pa.schema(fields, metadata={"mixlingual.groups": str(VERSION)})


@dataclass(frozen=True)
class Shard:
    """One Parquet file of a source."""

    path: Path
    rows: int


@dataclass(frozen=True)
class GroupSource:
    """Groups with the same languages. Holds paths and counts only, so it travels cheaply between processes."""

    name: str
    dataset: str
    """Label of the data set that the groups come from."""
    languages: tuple[str, ...]
    """Sorted."""
    num_groups: int
    row_group_rows: int
    has_negatives: bool
    shards: tuple[Shard, ...]
    has_images: bool = False

    @property
    def text_columns(self) -> list[str]:
        """Names of all columns but the images, which are large and not always needed."""
        return groups_schema(self.languages, self.has_negatives).names

    @property
    def num_row_groups(self) -> int:
        """Row groups over all files."""
        return -(-self.num_groups // self.row_group_rows)

    def read_row_group(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows number * row_group_rows and following, at most row_group_rows of them.

        Args:
            number: from 0 to num_row_groups - 1.
            columns: names of the columns to read, in this order; None for all.

        Raises:
            DataError: a file is gone or damaged, or a column is not there; names the file.
            IndexError: there is no such row group.
        """
        if not 0 <= number < self.num_row_groups:
            raise IndexError(f"source {self.name} has row groups 0 to {self.num_row_groups - 1}, not {number}")
        shard, first = self._shard_of(number)
        try:
            with pq.ParquetFile(shard.path, metadata=_metadata(shard.path)) as file:
                names = file.schema_arrow.names
                missing = [column for column in columns or () if column not in names]
                if missing:
                    raise DataError(f"{shard.path}: has no column '{missing[0]}'; its columns are {', '.join(names)}")
                table = file.read_row_group(number - first, columns=None if columns is None else list(columns))
                table.validate(full=True)
        except PARQUET_ERRORS as error:
            raise DataError(f"{shard.path}: {broken_parquet(error)}; {_AGAIN}") from None
        return table if columns is None else table.select(list(columns))

    def iter_groups(self, images: bool = True) -> Iterator[Group]:
        """All groups, in the order of the rows; without their images where those are not wanted."""
        columns = None if images else self.text_columns
        for number in range(self.num_row_groups):
            for row in self.read_row_group(number, columns).to_pylist():
                yield self.group(row)

    def group(self, row: Mapping[str, Any]) -> Group:
        """The group of one row, as `to_pylist` gives it."""
        pairs = {
            language: Pair(
                query=row[f"query:{language}"],
                passage=row[f"passage:{language}"],
                negatives=tuple(row[f"negatives:{language}"]) if self.has_negatives else (),
            )
            for language in self.languages
        }
        return Group(id=row["group_id"], pairs=pairs, passage_id=row["passage_id"], image=row.get(IMAGE))

    def _shard_of(self, number: int) -> tuple[Shard, int]:
        """The file that holds a row group, and the number of the file's first row group."""
        first = 0
        for shard in self.shards:
            following = first + -(-shard.rows // self.row_group_rows)
            if number < following:
                return shard, first
            first = following
        raise AssertionError("the files hold fewer rows than the source; open_groups checks that")


@dataclass(frozen=True)
class PreparedGroups:
    """The sources that one prepare wrote. Holds paths and counts only."""

    folder: Path
    row_group_rows: int
    sources: tuple[GroupSource, ...]
    root: str = field(default="", compare=False)
    """URI of the store they are from, where that is known."""
    name: str = field(default="", compare=False)
    """Their result set in it."""

    def here(self) -> "PreparedGroups":
        """The same groups with paths of this machine, which fetches them from their store where it has no copy."""
        if not self.root:
            return self
        folder = open_store(self.root).fetch_folder(self.name)
        return self if folder == self.folder else open_groups(folder)

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of any source, sorted."""
        return tuple(sorted({language for source in self.sources for language in source.languages}))

    @property
    def num_groups(self) -> int:
        """Groups over all sources."""
        return sum(source.num_groups for source in self.sources)

    def source(self, name: str) -> GroupSource:
        """The source with a name."""
        for source in self.sources:
            if source.name == name:
                return source
        raise DataError(f"{self.folder}: has no source '{name}'; it has {', '.join(s.name for s in self.sources)}")

    def iter_groups(self, images: bool = True) -> Iterator[Group]:
        """All groups, source by source; without their images where those are not wanted."""
        for source in self.sources:
            yield from source.iter_groups(images)


def open_groups(place: Path | str | ResultSet) -> PreparedGroups:
    """Open prepared groups, from the result set or its folder, and check every file's footer.

    Raises:
        DataError: no prepared groups there, or a file is missing, empty, cut short or not the one that was written.
    """
    folder, origin = (place.folder, (place.root, place.name)) if isinstance(place, ResultSet) else (Path(place), ())
    path = folder / GROUPS_FILE
    document = _document(path)
    sources = tuple(_source(folder, document.row_group_rows, fields) for fields in document.sources)
    groups = PreparedGroups(folder, document.row_group_rows, sources, *origin)
    for source in groups.sources:
        _check_files(path, source)
    return groups


class _Fields(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _ShardFields(_Fields):
    file: str
    rows: int = Field(ge=1)

    @field_validator("file")
    @classmethod
    def _inside(cls, file: str) -> str:
        try:
            return check_key(file)
        except ConfigError as error:
            raise ValueError(str(error)) from None


class _SourceFields(_Fields):
    name: str
    dataset: str
    languages: list[str] = Field(min_length=1)
    num_groups: int = Field(ge=1)
    has_negatives: bool
    shards: list[_ShardFields]
    has_images: bool = False


class _Document(_Fields):
    """`groups.json`."""

    version: int
    row_group_rows: int = Field(ge=1)
    sources: list[_SourceFields]


def _document(path: Path) -> _Document:
    try:
        fields = parse_json(path.read_bytes())
        if isinstance(fields, dict) and fields.get("version") != VERSION:
            raise DataError(
                f"{path}: has version {fields.get('version')}, this program reads version {VERSION}; {_AGAIN}"
            )
        return _Document.model_validate(fields)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; this is not a folder of prepared groups; {_AGAIN}") from None
    except ValidationError as error:
        raise DataError(f"{path}: cannot be read: {describe(error, _Document)}; {_AGAIN}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({type(error).__name__}: {error}); {_AGAIN}") from None


def _source(folder: Path, row_group_rows: int, fields: _SourceFields) -> GroupSource:
    return GroupSource(
        name=fields.name,
        dataset=fields.dataset,
        languages=tuple(fields.languages),
        num_groups=fields.num_groups,
        row_group_rows=row_group_rows,
        has_negatives=fields.has_negatives,
        shards=tuple(Shard(folder / shard.file, shard.rows) for shard in fields.shards),
        has_images=fields.has_images,
    )


def _check_files(path: Path, source: GroupSource) -> None:
    total = sum(shard.rows for shard in source.shards)
    if total != source.num_groups:
        raise DataError(f"{path}: source {source.name} says {source.num_groups} groups, its files {total}; {_AGAIN}")
    expected = groups_schema(source.languages, source.has_negatives, source.has_images).names
    for shard in source.shards:
        try:
            metadata = _metadata(shard.path)
        except FileNotFoundError:
            raise DataError(f"{shard.path}: no such file; {_AGAIN}") from None
        except PARQUET_ERRORS as error:
            raise DataError(f"{shard.path}: {broken_parquet(error)}; {_AGAIN}") from None
        if metadata.num_rows != shard.rows:
            raise DataError(f"{shard.path}: holds {metadata.num_rows} rows, expected {shard.rows}; {_AGAIN}")
        rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        last = shard is source.shards[-1]
        if any(count != source.row_group_rows for count in (rows[:-1] if last else rows)):
            raise DataError(f"{shard.path}: has row groups that are not of {source.row_group_rows} rows; {_AGAIN}")
        if metadata.schema.to_arrow_schema().names != expected:
            raise DataError(f"{shard.path}: has other columns than {', '.join(expected)}; {_AGAIN}")


def _metadata(path: Path) -> pq.FileMetaData:
    """Footer of a file; kept while the file stays the same, since every read of a row group needs it."""
    facts = path.stat()
    return _read_metadata(path, facts.st_mtime_ns, facts.st_size)


@functools.lru_cache(maxsize=256)
def _read_metadata(path: Path, mtime_ns: int, size: int) -> pq.FileMetaData:
    return pq.read_metadata(path)
