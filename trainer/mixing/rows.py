"""Batch number of a source -> the rows of that batch: a shuffle that lets each rank read only what it needs.

An epoch is one pass over the source: its row groups come in a keyed order, the rows inside each are permuted, and
what does not fill a last batch sits out this epoch (fewer than a batch of rows, others every time). Stretches of
`window_rows` rows are dealt out by columns: slot i of the window's n batches gets n neighbouring rows of the stretch,
so each slot meets few row groups, and a rank, whose slots are neighbours, reads its own stretch of every window.
With w row groups in a window and R ranks, all ranks together read at most (w + R - 1) / w of the data; and hardly
more than the data where a rank's stretch is whole row groups, since the one row group that may be short, behind which
no stretch begins where a row group does, stands among those of the epoch's last window.
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

    @property
    def _batches_per_window(self) -> int:
        return max(self.window_rows // self.batch, 1)

    def rows(self, batch_number: int) -> np.ndarray:
        """(batch) int64 row numbers of the source's batch `batch_number` = 0, 1, ...; none repeats within an epoch."""
        return self.rows_of(batch_number, 1)[0]

    def rows_of(self, first: int, number: int) -> np.ndarray:
        """(number, batch) rows of the batches first, first + 1, ...: one pass over all costs little more than one."""
        batches = first + np.arange(number)
        epoch, place = np.divmod(batches, self.batches_per_epoch)
        per_window = self._batches_per_window
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
            ordered = int(permute(np.array([whole]), num_row_groups, key, inverse=True)[0])
            place = self._place_of_short(epoch, num_row_groups, ordered)
            # All positions behind it move up by what it lacks; the one that the order has there takes its place.
            position = position + np.where(position >= place * size + short, size - short, 0)
            at = position // size
            at = np.where(at == place, ordered, np.where(at == ordered, place, at))
        else:
            at = position // size
        row_group = permute(at, num_row_groups, key)
        offset = position % size
        keys = mix64(key_of(self.seed, "rows", self.source, epoch) ^ mix64(row_group.astype(np.uint64)))
        in_short = row_group == whole
        row = np.empty(len(position), dtype=np.int64)
        row[~in_short] = permute(offset[~in_short], size, keys[~in_short])
        if in_short.any():
            row[in_short] = permute(offset[in_short], short, keys[in_short])
        return row_group * size + row

    def _place_of_short(self, epoch: int, num_row_groups: int, ordered: int) -> int:
        """Where in an epoch's order the short row group stands: anywhere among as many at the end as a window holds.

        At the very end its rows would sit out in most epochs. Where a window holds all, it stays where it is ordered.
        """
        last = -(-self._batches_per_window * self.batch // self.row_group_rows)
        if last >= num_row_groups:
            return ordered
        key = key_of(self.seed, "short row group", self.source, epoch)
        return num_row_groups - 1 - int(permute(np.array([0]), last, key)[0])
