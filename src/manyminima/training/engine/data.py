"""What the engine feeds its program with: the rows of every replica's batches, and the data they are rows of."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

__all__ = ["Chunk", "Feed"]

_ORDER_BYTES = 2**26  # of row numbers on the device at once
_STREAM_BYTES = 2**28  # of data on the device at once, where not all of it fits
_PARTS = 20  # of a run: how often its progress is told at least
_OPERATIONS = 2e10  # between two such times; a second or two of one core, in which nobody can interrupt


class Chunk(NamedTuple):
    """Batches `first` up to, not including, `last` of a run, and what they are made of.

    `rows` has the shape (epochs, replicas, rows of an epoch), int32, and `epoch` is the number of the first of these epochs.
    """

    first: int
    last: int
    epoch: int
    data: Any
    rows: np.ndarray


class Feed:
    """The batches of several replicas, each in the order of its own seed, as `Batches` defines it.

    Args:
        data: (x, y) or (x,), each one NumPy array or a nested structure of them.
        batch_size: rows in a batch; an epoch's last batch may be smaller.
        seeds: of the orders, one for each replica.
        epochs: of the run.
        room: bytes that data may take on the device; what does not fit is sent there in chunks.

    Attributes:
        resident: whether all data stay on the device.
        held: the data there, once `hold` has put them there.
        shape: of the row numbers of a chunk, (epochs, replicas, rows of an epoch).
    """

    def __init__(self, data: tuple, batch_size: int, seeds: Sequence[int], epochs: int, room: int):
        self.seeds, self.epochs, self.batch_size = list(seeds), epochs, batch_size
        self._philox = np.random.Philox(key=np.zeros(2, np.uint64))
        self._state, self._generator = self._philox.state, np.random.Generator(self._philox)
        self.data, self.held = data, None
        leaves = keras.tree.flatten(data)
        self.rows = len(leaves[0])
        self.steps = -(-self.rows // batch_size)
        row_bytes = sum(leaf.nbytes for leaf in leaves) // self.rows
        self.resident = row_bytes * self.rows <= room
        most = min(_STREAM_BYTES, room) // max(row_bytes * len(seeds) * batch_size, 1)
        self._batches_at_once = max(1, min(most, self.steps))
        self.cut(0)

    def cut(self, work: float) -> None:
        """Choose how many epochs are done at once, given the floating-point operations of one replica's step."""
        most = _ORDER_BYTES // (4 * len(self.seeds) * self.rows)
        quick = int(_OPERATIONS / max(work * self.steps * len(self.seeds), 1))
        at_once = max(1, min(most, quick, -(-self.epochs // _PARTS))) if self.resident else 1
        self.shape = at_once, len(self.seeds), self.rows

    def hold(self, put: Callable[[Any], Any]) -> None:
        """Put the data on the device, if that is where they stay."""
        if self.resident:
            self.held = put(self.data)

    def first(self, count: int) -> tuple:
        """Return the first rows, in the order of the data."""
        return keras.tree.map_structure(lambda array: array[:count], self.data)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the whole run, piece by piece; row numbers are those of the chunk's own data."""
        at_once = self.shape[0]
        for epoch in range(0, self.epochs, at_once):
            last = min(epoch + at_once, self.epochs)
            rows = np.zeros(self.shape, "int32")
            for e in range(epoch, last):
                rows[e - epoch] = self._order(e)
            if self.resident:
                yield Chunk(epoch * self.steps, last * self.steps, epoch, None, rows)
            else:
                yield from self._streamed(epoch, rows[0])

    def _order(self, epoch: int) -> np.ndarray:
        orders = {seed: self._permutation(seed, epoch) for seed in dict.fromkeys(self.seeds)}
        return np.stack([orders[seed] for seed in self.seeds])

    def _permutation(self, seed: int, epoch: int) -> np.ndarray:
        """Return the order of `Batches`; putting a generator's state back is five times as fast as making a new one."""
        self._state["state"]["key"][:] = seed, epoch
        self._philox.state = self._state
        return self._generator.permutation(self.rows)

    def _streamed(self, epoch: int, order: np.ndarray) -> Iterator[Chunk]:
        """Yield an epoch in pieces that bring their data along, every replica's rows one after the other."""
        size = self._batches_at_once * self.batch_size
        for begin in range(0, self.rows, size):
            chosen = order[:, begin : begin + size]
            within, count = np.zeros((1, *order.shape), "int32"), chosen.shape[1]
            within[0, :, begin : begin + count] = np.arange(chosen.size).reshape(chosen.shape)
            # Always as many rows, so that one compiled program serves all pieces.
            needed = np.concatenate([chosen.reshape(-1), np.zeros(size * len(order) - chosen.size, "int64")])
            data = keras.tree.map_structure(lambda array, needed=needed: array[needed], self.data)
            first = epoch * self.steps + begin // self.batch_size
            yield Chunk(first, first - (-count // self.batch_size), epoch, data, within)
