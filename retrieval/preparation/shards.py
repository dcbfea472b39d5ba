"""Writes the groups of one source as Parquet files of exact row groups."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from retrieval.groups import groups_schema
from retrieval.images import IMAGE, checked
from retrieval.records import Group


def write_shards(
    folder: Path,
    name: str,
    groups: Iterable[Group],
    languages: Sequence[str],
    has_negatives: bool,
    row_group_rows: int,
    shard_rows: int,
    has_images: bool = False,
) -> list[dict[str, Any]]:
    """Write `<folder>/<name>/part-*.parquet` in the order of the groups, in bounded memory.

    Args:
        groups: each with a pair in every one of the languages; pairs in others are left out.
        has_images: write the groups' images, which are then decoded once to see that they are whole.
        shard_rows: rows of every file but the last; a multiple of `row_group_rows`.

    Returns:
        [{"file": path relative to the folder, "rows": int}], in order.

    Raises:
        DataError: an image is missing or damaged; its file, or its group, is named.
    """
    schema = groups_schema(languages, has_negatives, has_images)
    (folder / name).mkdir()
    shards: list[dict[str, Any]] = []
    rest = iter(groups)
    while first := list(islice(rest, row_group_rows)):
        file = f"{name}/part-{len(shards):05d}.parquet"
        # Statistics of long texts would be most of the footer, and nothing filters by them.
        with pq.ParquetWriter(folder / file, schema, compression="zstd", write_statistics=False) as writer:
            rows, chunk = 0, first
            while chunk:
                writer.write_table(_table(chunk, schema, languages), row_group_size=row_group_rows)
                rows += len(chunk)
                chunk = list(islice(rest, min(row_group_rows, shard_rows - rows)))
        shards.append({"file": file, "rows": rows})
    return shards


def _table(groups: Sequence[Group], schema: pa.Schema, languages: Sequence[str]) -> pa.Table:
    columns: dict[str, list[Any]] = {
        "group_id": [group.id for group in groups],
        "passage_id": [group.passage_id for group in groups],
    }
    for language in languages:
        pairs = [group.pairs[language] for group in groups]
        columns[f"query:{language}"] = [pair.query for pair in pairs]
        columns[f"passage:{language}"] = [pair.passage for pair in pairs]
        if f"negatives:{language}" in schema.names:
            columns[f"negatives:{language}"] = [list(pair.negatives) for pair in pairs]
    if IMAGE in schema.names:
        columns[IMAGE] = [checked(group.image, f"image of group {group.id}") for group in groups if group.image]
    return pa.table(columns, schema=schema)
