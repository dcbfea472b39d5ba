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


class Fetcher:
    """Reads what batches ask for, each row group once per window where the cache holds a window.

    Args:
        groups: the prepared groups.
        cached_rows: rows to keep; the row group used longest ago goes first.
        hard_negatives: negatives to add per query, at most.
        switcher: switches the texts of code-switched slots; needed where the plan has any.
    """

    def __init__(
        self,
        groups: PreparedGroups,
        cached_rows: int,
        hard_negatives: int = 0,
        switcher: CodeSwitcher | None = None,
    ) -> None:
        self._sources = groups.sources
        self._hard_negatives = hard_negatives
        self._switcher = switcher
        self._capacity = max(cached_rows // groups.row_group_rows, 1)
        self._cache: OrderedDict[tuple[int, int], _RowGroup] = OrderedDict()
        self.row_groups_read = 0

    def texts(self, batch: GlobalBatch) -> list[SlotTexts]:
        """The texts of every slot of a batch or of a rank's share."""
        source = self._sources[batch.source]
        names = (*source.languages, IMAGE)
        row_group, place = np.divmod(batch.row, source.row_group_rows)
        slots = [
            self._slot(names, self._row_group(batch.source, number), row, names[query], passages)
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
        return rows.image(place), rows.column("group_id")[place]

    def _slot(
        self, names: Sequence[str], rows: "_RowGroup", row: int, query_language: str, passages: Sequence[int]
    ) -> SlotTexts:
        languages = [names[language] for language in passages if language >= 0]
        negatives = self._negatives(rows, row, languages)
        return SlotTexts(
            group_id=rows.column("group_id")[row],
            passage_id=rows.column("passage_id")[row],
            query=rows.content("query", query_language, row),
            query_language=query_language,
            passages=[rows.content("passage", language, row) for language in languages],
            passage_languages=languages,
            negatives=[text for text, _ in negatives],
            negative_languages=[language for _, language in negatives],
        )

    def _negatives(self, rows: "_RowGroup", row: int, languages: Sequence[str]) -> list[tuple[str, str]]:
        if not self._hard_negatives or not rows.source.has_negatives:
            return []
        texts_in = [language for language in languages if language != IMAGE]
        found = [(text, language) for language in texts_in for text in rows.column(f"negatives:{language}")[row]]
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


class _RowGroup:
    """The rows of one row group; columns become Python strings when first asked for, images are read only then."""

    def __init__(self, source: GroupSource, number: int) -> None:
        self.source, self._number = source, number
        self._columns: dict[str, list] = {}

    def content(self, role: str, language: str, row: int) -> str | bytes:
        """The text of a role in a language, or the image."""
        return self.image(row) if language == IMAGE else self.column(f"{role}:{language}")[row]

    def image(self, row: int) -> bytes:
        """The encoded image."""
        return self._images[row].as_py()

    def column(self, name: str) -> list:
        """The texts of a column."""
        texts = self._columns.get(name)
        if texts is None:
            texts = self._columns[name] = self._table.column(name).to_pylist()
        return texts

    @cached_property
    def _table(self) -> pa.Table:
        return self.source.read_row_group(self._number, self.source.text_columns if self.source.has_images else None)

    @cached_property
    def _images(self) -> pa.ChunkedArray:
        return self.source.read_row_group(self._number, [IMAGE]).column(IMAGE)
