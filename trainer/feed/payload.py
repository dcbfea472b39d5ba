"""A batch as one row of an Arrow table and back: flat lists of integers, so that Ray Data moves it without pickling."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from trainer.batch import LocalBatch, is_image
from trainer.feed.collate import FeedBatch
from trainer.mixing.plan import GlobalBatch
from trainer.mixing.ratios import KINDS

_SLOT_FIELDS = ("kind", "row", "query_language", "passage_language")
_LOCAL_FIELDS = (
    "passage_slot",
    "passage_positive",
    "query_group",
    "passage_group",
    "query_passage_id",
    "passage_passage_id",
)
_TEXTS = ("query_ids", "passage_ids")


def to_table(batches: Sequence[FeedBatch]) -> pa.Table:
    """One row per batch."""
    rows = [_fields(batch) for batch in batches]
    return pa.table({name: _column([row[name] for row in rows]) for name in rows[0]})


def _fields(batch: FeedBatch) -> dict[str, int | str | np.ndarray]:
    fields: dict[str, int | str | np.ndarray] = {
        "step": batch.slots.step,
        "source": batch.slots.source,
        "source_name": batch.local.sources[0],
    }
    fields |= {name: getattr(batch.slots, name).ravel() for name in _SLOT_FIELDS}
    fields |= {name: getattr(batch.local, name) for name in _LOCAL_FIELDS}
    for name in _TEXTS:
        inputs = getattr(batch.local, name)
        images = [one for one in inputs if is_image(one)]
        texts = [one for one in inputs if not is_image(one)] if images else inputs
        fields[name] = np.concatenate([np.empty(0, np.int32), *texts])
        # An image's place has length 0, which no text has; its pixels follow in order.
        fields[f"{name}_length"] = np.array([0 if is_image(one) else len(one) for one in inputs], dtype=np.int32)
        fields[f"{name}_pixels"] = np.concatenate([np.empty(0, np.uint8), *(image.ravel() for image in images)])
        fields[f"{name}_shape"] = np.array(images[0].shape if images else (), dtype=np.int32)
    return fields


def _column(values: list) -> pa.Array:
    if not isinstance(values[0], np.ndarray):
        return pa.array(values)
    offsets = np.cumsum([0, *(len(value) for value in values)]).astype(np.int64)
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(values)))


def from_row(table: pa.Table, row: int) -> FeedBatch:
    """The batch in one row."""

    names = {name: number for number, name in enumerate(table.column_names)}

    def read(name: str) -> np.ndarray:
        return table.column(names[name])[row].values.to_numpy(zero_copy_only=False)

    kind, query_language = read("kind"), read("query_language")
    slots = GlobalBatch(
        step=table.column("step")[row].as_py(),
        source=table.column("source")[row].as_py(),
        kind=kind,
        row=read("row"),
        query_language=query_language,
        passage_language=read("passage_language").reshape(len(kind), -1),
    )
    texts: dict[str, Any] = {name: _inputs(read, name) for name in _TEXTS}
    ids: dict[str, Any] = {name: read(name) for name in _LOCAL_FIELDS}
    local = LocalBatch(
        step=slots.step,
        kinds=[KINDS[number] for number in kind.tolist()],
        sources=[table.column("source_name")[row].as_py()] * len(kind),
        **texts,
        **ids,
    )
    return FeedBatch(slots, local)


def _inputs(read: Callable[[str], np.ndarray], name: str) -> list[np.ndarray]:
    """Token ids and images of one side, in order."""
    length, ids = read(f"{name}_length"), read(name)
    ends = np.cumsum(length).tolist()
    inputs = [ids[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    places = np.flatnonzero(length == 0)
    if len(places):
        images = read(f"{name}_pixels").reshape(len(places), *read(f"{name}_shape"))
        for place, image in zip(places.tolist(), images, strict=True):
            inputs[place] = image
    return inputs
