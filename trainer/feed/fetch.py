"""Slots -> texts: reads row groups of prepared groups and keeps the ones in use."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from retrieval.groups import GroupSource, PreparedGroups
from retrieval.images import IMAGE
from trainer.feed.switch import CodeSwitcher
from trainer.mixing.plan import CODE_SWITCHED, GlobalBatch


@dataclass(frozen=True, slots=True)
class SlotTexts:
    """The texts of one slot: a query and its passages in the languages that the plan chose; an image is its bytes."""

    group_id: str
    passage_id: str
    query: str | bytes
    query_language: str
    passages: Sequence[str | bytes]
    passage_languages: Sequence[str]
    negatives: Sequence[str]
    """Hard negatives of the passages' languages, if the source has any and the feed asks for them."""
    negative_languages: Sequence[str]


def cached_rows(window_rows: int, row_group_rows: int, world_size: int) -> int:
    """Rows that a rank keeps: its share of two windows, the one in use and the one that its stream runs into."""
    return 2 * (window_rows // world_size + 2 * row_group_rows)


def cached_row_groups(rows: int, row_group_rows: int) -> int:
    """Row groups that so many rows are."""
    return max(rows // row_group_rows, 1)


class Fetcher:
    """Reads what batches ask for, each row group once per window where the cache holds a window.

    Args:
        groups: the prepared groups.
        rows_kept: rows to keep; the row group used longest ago goes first.
        hard_negatives: negatives to add per query, at most.
        switcher: switches the texts of code-switched slots; needed where the plan has any.
    """

    def __init__(
        self,
        groups: PreparedGroups,
        rows_kept: int,
        hard_negatives: int = 0,
        switcher: CodeSwitcher | None = None,
    ) -> None:
        self._sources = groups.sources
        self._hard_negatives = hard_negatives
        self._switcher = switcher
        self._capacity = cached_row_groups(rows_kept, groups.row_group_rows)
        self._cache: OrderedDict[tuple[int, int], _RowGroup] = OrderedDict()
        self.row_groups_read = 0

    def texts(self, batch: GlobalBatch) -> list[SlotTexts]:
        """The texts of every slot of a batch or of a rank's share."""
        source = self._sources[batch.source]
        columns = _Columns(source)
        row_group, place = np.divmod(batch.row, source.row_group_rows)
        slots = [
            self._slot(columns, self._row_group(batch.source, number), row, query, passages)
            for number, row, query, passages in zip(
                row_group.tolist(),
                place.tolist(),
                batch.query_language.tolist(),
                batch.passage_language.tolist(),
                strict=True,
            )
        ]
        for number in np.flatnonzero(batch.kind == CODE_SWITCHED).tolist():
            assert self._switcher is not None, "the plan has code-switched batches, but the feed has no dictionary"
            slots[number] = self._switcher.switched(slots[number], batch.step)
        return slots

    def image(self, source: int, row: int) -> tuple[bytes, str]:
        """The image of a row of a source, and the group's id."""
        number, place = divmod(row, self._sources[source].row_group_rows)
        rows = self._row_group(source, number)
        return rows.image(place), rows.text("group_id", place)

    def _slot(self, columns: "_Columns", rows: "_RowGroup", row: int, query: int, passages: Sequence[int]) -> SlotTexts:
        image, text = columns.image, rows.text
        numbers = [language for language in passages if language >= 0]
        languages = [columns.languages[language] for language in numbers]
        negatives = self._negatives(rows, row, languages) if self._hard_negatives and rows.source.has_negatives else []
        return SlotTexts(
            group_id=text("group_id", row),
            passage_id=text("passage_id", row),
            query=rows.image(row) if query == image else text(columns.query[query], row),
            query_language=columns.languages[query],
            passages=[
                rows.image(row) if language == image else text(columns.passage[language], row) for language in numbers
            ],
            passage_languages=languages,
            negatives=[text for text, _ in negatives],
            negative_languages=[language for _, language in negatives],
        )

    def _negatives(self, rows: "_RowGroup", row: int, languages: Sequence[str]) -> list[tuple[str, str]]:
        texts_in = [language for language in languages if language != IMAGE]
        found = [(text, language) for language in texts_in for text in rows.negatives(language, row)]
        return found[: self._hard_negatives]

    def _row_group(self, source: int, number: int) -> "_RowGroup":
        key = (source, number)
        if key in self._cache:
            self._cache.move_to_end(key)
        else:
            self._cache[key] = _RowGroup(self._sources[source], number)
            self.row_groups_read += 1
            if len(self._cache) > self._capacity:
                self._cache.popitem(last=False)
        return self._cache[key]


class _Columns:
    """Names by number of language: those of the languages themselves, and of the columns of their texts."""

    def __init__(self, source: GroupSource) -> None:
        self.image = len(source.languages)
        self.languages = (*source.languages, IMAGE)
        self.query = [f"query:{language}" for language in source.languages]
        self.passage = [f"passage:{language}" for language in source.languages]


class _RowGroup:
    """The rows of one row group. A text becomes a Python string only when it is asked for, since a batch takes one or
    two of a row's languages; so are images read."""

    def __init__(self, source: GroupSource, number: int) -> None:
        self.source, self._number = source, number
        self._columns: dict[str, _Texts] = {}

    def text(self, column: str, row: int) -> str:
        """The text of a column."""
        texts = self._columns.get(column)
        if texts is None:
            texts = self._columns[column] = _Texts(self._table.column(column))
        bounds = texts.bounds
        return texts.data[bounds[row] : bounds[row + 1]].decode()

    def negatives(self, language: str, row: int) -> list[str]:
        """Hard negatives in a language."""
        return self._table.column(f"negatives:{language}")[row].as_py()

    def image(self, row: int) -> bytes:
        """The encoded image."""
        return self._images[row].as_py()

    @cached_property
    def _table(self) -> pa.Table:
        return self.source.read_row_group(self._number, self.source.text_columns if self.source.has_images else None)

    @cached_property
    def _images(self) -> pa.ChunkedArray:
        return self.source.read_row_group(self._number, [IMAGE]).column(IMAGE)


class _Texts:
    """A column of texts as bytes with bounds: half of what Arrow's own access to one value takes."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        assert array.type == pa.string(), f"texts are of type {array.type}"
        _, bounds, data = array.buffers()
        self.bounds: list[int] = np.frombuffer(bounds, np.int32)[array.offset :][: len(array) + 1].tolist()
        self.data: bytes = data.to_pybytes() if data is not None else b""
