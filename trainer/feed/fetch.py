"""Slots -> texts: reads row groups of prepared groups and keeps the ones in use."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

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
        row_group, place = np.divmod(batch.row, source.row_group_rows)
        slots = [
            self._slot(
                source, self._row_group(batch.source, int(number)), int(row), int(query), passages[passages >= 0]
            )
            for number, row, query, passages in zip(
                row_group, place, batch.query_language, batch.passage_language, strict=True
            )
        ]
        for number in np.flatnonzero(batch.kind == CODE_SWITCHED).tolist():
            assert self._switcher is not None, "the plan has code-switched batches, but the feed has no dictionary"
            slots[number] = self._switcher.switched(slots[number], batch.step)
        return slots

    def _slot(self, source: GroupSource, rows: "_RowGroup", row: int, query: int, passages: np.ndarray) -> SlotTexts:
        names = (*source.languages, IMAGE)
        languages = [names[language] for language in passages.tolist()]
        negatives = self._negatives(source, rows, row, languages)
        return SlotTexts(
            group_id=rows.column("group_id")[row],
            passage_id=rows.column("passage_id")[row],
            query=rows.content("query", names[query], row),
            query_language=names[query],
            passages=[rows.content("passage", language, row) for language in languages],
            passage_languages=languages,
            negatives=[text for text, _ in negatives],
            negative_languages=[language for _, language in negatives],
        )

    def _negatives(
        self, source: GroupSource, rows: "_RowGroup", row: int, languages: Sequence[str]
    ) -> list[tuple[str, str]]:
        if not source.has_negatives or not self._hard_negatives:
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
        self._source, self._number = source, number
        self._table = source.read_row_group(number, source.text_columns if source.has_images else None)
        self._columns: dict[str, list] = {}
        self._images: pa.ChunkedArray | None = None

    def content(self, role: str, language: str, row: int) -> str | bytes:
        """The text of a role in a language, or the image."""
        if language != IMAGE:
            return self.column(f"{role}:{language}")[row]
        if self._images is None:
            self._images = self._source.read_row_group(self._number, [IMAGE]).column(IMAGE)
        return self._images[row].as_py()

    def column(self, name: str) -> list:
        if name not in self._columns:
            self._columns[name] = self._table.column(name).to_pylist()
        return self._columns[name]
