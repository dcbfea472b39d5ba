"""Batch number of a source -> the rows of that batch: a shuffle that lets each rank read only what it needs.

An epoch is one pass over the source: its row groups come in a keyed order, the rows inside each are permuted, and
what does not fill a last batch sits out this epoch (fewer than a batch of rows, others every time). Stretches of
`window_rows` rows are dealt out by columns: slot i of the window's n batches gets n neighbouring rows of the stretch,
so each slot meets few row groups, and a rank, whose slots are neighbours, reads its own stretch of every window.
With w row groups in a window and R ranks, all ranks together read at most (w + R - 1) / w of the data.
"""

from dataclasses import dataclass

import numpy as np

from trainer.mixing.permute import key_of, mix64, permute


@dataclass(frozen=True)
class RowOrder:
    """The order in which one source hands out its rows."""

    source: str
    num_groups: int
    """Rows of the source (one row = one group)."""
    row_group_rows: int
    """Rows of every Parquet row group but the last, which may be shorter."""
    batch: int
    """Rows of one batch; at most `num_groups`."""
    window_rows: int
    """Rows that are mixed with each other; rounded down to whole batches, at least one."""
    seed: int

    @property
    def batches_per_epoch(self) -> int:
        """Whole batches in one pass over the source."""
        return self.num_groups // self.batch

    def rows(self, batch_number: int) -> np.ndarray:
        """(batch) int64 row numbers of the source's batch `batch_number` = 0, 1, ...; none repeats within an epoch."""
        return self.rows_of(batch_number, 1)[0]

    def rows_of(self, first: int, number: int) -> np.ndarray:
        """(number, batch) rows of the batches first, first + 1, ...: one pass over all costs little more than one."""
        batches = first + np.arange(number)
        epoch, place = np.divmod(batches, self.batches_per_epoch)
        per_window = max(self.window_rows // self.batch, 1)
        window, step = np.divmod(place, per_window)
        in_window = np.minimum(per_window, self.batches_per_epoch - window * per_window)
        start = window * per_window * self.batch + step
        position = start[:, None] + np.arange(self.batch) * in_window[:, None]
        rows = np.empty(position.shape, dtype=np.int64)
        for one in np.unique(epoch).tolist():
            chosen = epoch == one
            rows[chosen] = self._rows_at(one, position[chosen].ravel()).reshape(-1, self.batch)
        return rows

    def _rows_at(self, epoch: int, position: np.ndarray) -> np.ndarray:
        """Rows that stand at positions of the epoch's shuffled sequence."""
        size, whole = self.row_group_rows, self.num_groups // self.row_group_rows
        short = self.num_groups - whole * size
        num_row_groups = whole + (short > 0)
        key = key_of(self.seed, "row groups", self.source, epoch)
        if short:
            # The short row group stands somewhere in the order; all positions behind it move up by what it lacks.
            place = int(permute(np.array([whole]), num_row_groups, key, inverse=True)[0])
            position = position + np.where(position >= place * size + short, size - short, 0)
        row_group = permute(position // size, num_row_groups, key)
        offset = position % size
        keys = mix64(key_of(self.seed, "rows", self.source, epoch) ^ mix64(row_group.astype(np.uint64)))
        in_short = row_group == whole
        row = np.empty(len(position), dtype=np.int64)
        row[~in_short] = permute(offset[~in_short], size, keys[~in_short])
        if in_short.any():
            row[in_short] = permute(offset[in_short], short, keys[in_short])
        return row_group * size + row
