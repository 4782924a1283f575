"""Groups of replicas, each group one program for one batch; Python loops over batches. JAX only."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from manyminima.training.engine.lanes import Compiled, each, lanes, split
from manyminima.training.engine.program import BUSY, Carry, Parts, Said, rows_of
from manyminima.training.engine.start import State
from manyminima.training.engine.step import Traced

__all__ = ["Unrolled"]

_GROUP = 8  # replicas in one program: compiling takes as much longer as there are replicas


class _Chunk(NamedTuple):
    """Batches `first` up to `last` of an epoch's `rows`, counted from their start, and what they are made of on each device."""

    data: list
    rows: np.ndarray
    first: int
    last: int


class Unrolled:
    """Groups of replicas, each group one program for one batch: see `program.Program`.

    Args:
        parts: of one replica.
        replicas: their number.
        devices: that groups are spread over.
    """

    def __init__(self, parts: Parts, replicas: int, devices: Sequence[Any]):
        self._parts, self._replicas = parts, replicas
        self._lanes = lanes(devices)
        self._groups = split(replicas, 1 if parts.whole.work > BUSY else _GROUP, self._lanes)
        self.devices = list(devices[: len(self._groups)])
        self._whole = Compiled(_batch(parts.whole), donate_argnums=0)
        self._rest = Compiled(_batch(parts.rest or parts.whole), donate_argnums=0)
        self._results = Compiled(self._say)

    def put(self, data: Any) -> list[Any]:
        """Return data on the devices."""
        return [jax.device_put(data, device) for device in self.devices]

    def prepare(self, state: State, table: np.ndarray, data: list, shape: Sequence[int]) -> None:
        """Begin to compile for replicas that start like this, and return at once."""
        carry = self.begin([state] * self._replicas, np.zeros(self._replicas, "int32"), table)
        for g in range(len(self.devices)):
            self._compile(g, carry, data, shape[-1], Compiled.begin)

    def begin(self, states: Sequence[State], which: np.ndarray, table: np.ndarray) -> Carry:
        """Return the replicas' first states."""
        logs = jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), self._parts.whole.shape[1])
        groups = [self._to(g, [(states[r], logs) for r in group]) for g, group in enumerate(self._groups)]
        return Carry(groups, [which[group] for group in self._groups], self.put(table), states[0][3])

    def advance(self, carry: Carry, data: list, rows: np.ndarray, first: int, last: int) -> tuple[Carry, Said]:
        """Return the new states, and what metrics say."""
        chunk = _Chunk(data, rows, first, last)
        for way in (Compiled.begin, Compiled.ready):  # all at the same time
            ready = [self._compile(g, carry, data, rows.shape[-1], way) for g in range(len(self.devices))]
        stop = threading.Event()

        def train(g: int) -> tuple:
            return self._train(g, ready[self._place(g)], carry, chunk, stop)

        try:
            done = each(train, len(self._groups), self._lanes)
        except BaseException:
            stop.set()  # those that have begun
            raise
        return carry._replace(replicas=[group for group, _ in done]), _history([said for _, said in done], len(rows))

    def fetch(self, carry: Carry, parts: Sequence[int]) -> list[list[list[np.ndarray]]]:
        """Return host copies of parts of the states, replica by replica."""
        states = [state for group in carry.replicas for state, _ in group]
        return [[[np.array(leaf) for leaf in state[part]] for part in parts] for state in states[: self._replicas]]

    def _place(self, group: int) -> int:
        return group % len(self.devices)

    def _to(self, group: int, values: Any) -> Any:
        return jax.device_put(values, self.devices[self._place(group)])

    def _compile(self, g: int, carry: Carry, data: list, rows: int, way: Callable) -> tuple:
        """Have what does a whole batch, an epoch's last one, and says what metrics say, compiled for a group's device."""
        group, place, size = carry.replicas[g], self._place(g), self._parts.batch_size

        def compiled(step: Compiled, count: int) -> Any:
            chosen = jax.ShapeDtypeStruct((len(self._groups[g]), count), "int32")
            return way(step, group, carry.which[g], carry.table[place], data[place], chosen)

        whole, smaller = compiled(self._whole, size), rows % size
        return whole, compiled(self._rest, smaller) if smaller else whole, way(self._results, group)

    def _train(
        self, g: int, ready: tuple, carry: Carry, chunk: _Chunk, stop: threading.Event
    ) -> tuple[list, dict[int, list]]:
        """Return a group's states after its batches, and what metrics say at the end of each epoch."""
        (whole, rest, results), size, place = ready, self._parts.batch_size, self._place(g)
        rows, group, said = chunk.rows[:, self._groups[g]], carry.replicas[g], {}
        steps = -(-rows.shape[-1] // size)
        for t in range(chunk.first, chunk.last):
            if stop.is_set():
                break
            e, i = divmod(t, steps)
            if i == 0:
                group = [([*state[:3], self._to(g, carry.fresh)], logs) for state, logs in group]
            chosen = rows[e, :, i * size : (i + 1) * size]
            run = whole if chosen.shape[-1] == size else rest
            group = run(group, carry.which[g], carry.table[place], chunk.data[place], chosen)
            if i == steps - 1 or t == chunk.last - 1:
                said[e] = results(group)
        return group, said

    def _say(self, group):
        # Copied, since what a program returns as it was given would be used up by the next batch.
        return [{**self._parts.results.call(state[3]), **jax.tree.map(jnp.copy, logs)} for state, logs in group]


def _batch(step: Traced) -> Callable:
    def batch(group, which, table, data, rows):
        return [step.call(state, table, which[k], rows_of(data, rows[k])) for k, (state, _) in enumerate(group)]

    return batch


def _history(said: list[dict[int, list]], epochs: int) -> Said:
    """Return what metrics said of each group in some epochs as arrays (epochs, replicas, ...), 0 in the others."""
    history: Said = {}
    for name in said[0][next(iter(said[0]))][0]:
        for group in said:
            values = {e: np.stack([np.asarray(logs[name]) for logs in replicas]) for e, replicas in group.items()}
            shape, dtype = next((value.shape, value.dtype) for value in values.values())
            whole = np.zeros((epochs, *shape), dtype)
            for e, value in values.items():
                whole[e] = value
            history.setdefault(name, []).append(whole)
    return history
