"""The compiled program of many replicas, in two ways of execution. JAX only.

- "stacked": the step is vectorised over replicas and looped over batches inside one program. Best for small dense networks,
  and on accelerators. With several devices each has its share of the replicas.
- "unrolled": one program does one batch of up to eight replicas; Python loops over batches. Best on a CPU for convolutions,
  which vectorising turns into slow grouped ones and a loop inside a program into slower ones, and for large networks. A step
  that keeps the cores busy by itself gets a program for one replica: there is nothing to gain from several, but for `fit`'s
  own work between the steps.

The choice is a static rule, never a stopwatch. Programs are kept, and serve every model whose training step computes the same.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from manyminima.training.engine.start import State
from manyminima.training.engine.step import Traced

__all__ = ["Execution", "Parts", "Stacked", "Unrolled", "choose", "program"]

Execution = Literal["stacked", "unrolled"]
_GROUP = 8  # replicas in one unrolled program: compiling takes as much longer as there are replicas
_BUSY = 1e8  # floating-point operations of a step that keeps a CPU's cores busy by itself
_KEPT = 16  # programs


class Parts(NamedTuple):
    """What a program is made of: the step of a whole batch, that of an epoch's smaller last one, and what metrics say."""

    whole: Traced
    rest: Traced | None
    results: Traced
    batch_size: int


class Carry(NamedTuple):
    """What goes from one call of a program to the next."""

    replicas: Any  # states, and logs of a training step of the user's own
    which: Any  # row of the table of rates, for each replica
    table: Any
    fresh: list[Any]  # metrics at an epoch's begin


def choose(model: keras.Model, work: float, wanted: str = "auto") -> Execution:
    """Return how replicas of `model` run on this machine, given the work of one step; any `wanted` but "auto" is returned."""
    if wanted != "auto":
        return wanted  # pyright: ignore[reportReturnType]
    convolves = any("Conv" in type(layer).__name__ for layer in model._flatten_layers())
    return "unrolled" if jax.default_backend() == "cpu" and (convolves or work > _BUSY) else "stacked"


_programs: OrderedDict[tuple, "Stacked | Unrolled"] = OrderedDict()


def program(key: tuple, make: Callable[[], "Stacked | Unrolled"]) -> "Stacked | Unrolled":
    """Return the program kept under `key`, or make it."""
    if key not in _programs:
        _programs[key] = make()
    _programs.move_to_end(key)
    while len(_programs) > _KEPT:
        _programs.popitem(last=False)
    return _programs[key]


def _rows(data: Any, rows: Any) -> Any:
    return jax.tree.map(lambda array: array.at[rows].get(mode="promise_in_bounds"), data)


class Stacked:
    """All replicas in one program, along a leading axis of every array.

    Args:
        parts: of one replica.
        replicas: their number.
        devices: that replicas may be spread over; as many are used as divide their number.
    """

    def __init__(self, parts: Parts, replicas: int, devices: Sequence[Any]):
        self._parts = parts
        used = max(n for n in range(1, min(len(devices), replicas) + 1) if replicas % n == 0)
        self.devices = list(devices[:used])
        # As what comes out of the program, and goes in again: with another sharding it would be compiled for a second time.
        self._own = self._all = SingleDeviceSharding(self.devices[0])
        run = self._run
        if used > 1:  # each device runs a program of its own: there is nothing to tell the others
            mesh = Mesh(np.array(self.devices), ("replica",))
            own, all_, later = PartitionSpec("replica"), PartitionSpec(), PartitionSpec(None, "replica")
            ins, outs = (own, own, all_, all_, all_, later, all_, all_), (own, later)
            run = jax.shard_map(run, mesh=mesh, in_specs=ins, out_specs=outs, check_vma=False)
            self._own, self._all = NamedSharding(mesh, own), NamedSharding(mesh, all_)
        self._compiled = jax.jit(run, donate_argnums=0)

    def put(self, data: Any) -> Any:
        """Return data on the devices."""
        return jax.device_put(data, self._all)

    def begin(self, states: Sequence[State], which: np.ndarray, table: np.ndarray) -> Carry:
        """Return the replicas' first states, with each one's row of the table of rates, and that table."""
        state = jax.tree.map(lambda *leaves: np.stack(leaves), *states)
        logs = jax.tree.map(lambda s: np.zeros((len(states), *s.shape), s.dtype), self._parts.whole.shape[1])
        return Carry(*jax.device_put(((state, logs), which), self._own), *self.put((table, states[0][3])))

    def advance(self, carry: Carry, data: Any, rows: np.ndarray, first: int, last: int) -> tuple[Carry, dict[str, Any]]:
        """Do batches `first` up to `last`, counted from the start of `rows`, (epochs, replicas, rows of an epoch).

        Returns at once what is still under way: the new states, in which the old ones are used up, and what metrics say at the
        end of each epoch it came through, (epochs, replicas, ...).
        """
        replicas, logs = self._compiled(*carry, data, rows, first, last)
        return carry._replace(replicas=replicas), logs

    def fetch(self, carry: Carry, parts: Sequence[int]) -> list[list[list[np.ndarray]]]:
        """Return host copies of the values of these parts of the state, replica by replica."""
        held = [[np.array(leaf) for leaf in carry.replicas[0][part]] for part in parts]
        return [[[leaf[k].copy() for leaf in part] for part in held] for k in range(len(carry.which))]

    def _run(self, carry, which, table, fresh, data, rows, first, last):
        """Do some batches of the replicas of one device; traced."""
        parts, size = self._parts, self._parts.batch_size
        count, rest = divmod(rows.shape[-1], size)
        steps = count + bool(rest)

        def batch_of(step: Traced):
            def one(state, which, chosen):
                return step.call(state, table, which, _rows(data, chosen))

            return _over_replicas(one)

        def epoch(e, done):
            (state, logs), history = done
            begin, end = jnp.maximum(first - e * steps, 0), jnp.minimum(last - e * steps, steps)
            metrics = [jnp.where(begin == 0, new, old) for new, old in zip(fresh, state[3], strict=True)]
            order, carry = rows[e], ([*state[:3], metrics], logs)

            def whole(i, carry):
                return batch_of(parts.whole)(carry[0], which, lax.dynamic_slice_in_dim(order, i * size, size, 1))

            carry = lax.fori_loop(begin, jnp.minimum(end, count), whole, carry)
            if parts.rest is not None:
                smaller = batch_of(parts.rest)
                carry = lax.cond(
                    end == steps, lambda c: smaller(c[0], which, order[:, count * size :]), lambda c: c, carry
                )
            said = {**_over_replicas(parts.results.call)(carry[0][3]), **carry[1]}
            return carry, {name: history[name].at[e].set(value) for name, value in said.items()}

        shapes = {**parts.results.shape, **parts.whole.shape[1]}
        empty = {name: jnp.zeros((*rows.shape[:2], *s.shape), s.dtype) for name, s in shapes.items()}
        return lax.fori_loop(first // steps, (last + steps - 1) // steps, epoch, (carry, empty))


def _over_replicas(function: Callable) -> Callable:
    """Return a function vectorised over replicas; one alone is not, so that it is `fit` bit for bit."""
    several = jax.vmap(function)

    def run(*args):
        if len(jax.tree.leaves(args)[0]) > 1:
            return several(*args)
        only = jax.tree.map(lambda leaf: leaf[0], args)
        return jax.tree.map(lambda leaf: leaf[None], function(*only))

    return run


class Unrolled:
    """Groups of replicas, each group one program for one batch; Python loops over batches.

    Args:
        parts: of one replica.
        replicas: their number.
        devices: that groups are spread over.
    """

    def __init__(self, parts: Parts, replicas: int, devices: Sequence[Any]):
        self._parts = parts
        most = 1 if parts.whole.work > _BUSY else _GROUP
        size = next((n for n in range(most, most // 2, -1) if replicas % n == 0), most)
        size = min(size, -(-replicas // len(devices)))
        self._groups = [slice(first, first + size) for first in range(0, replicas, size)]
        self.devices = list(devices[: len(self._groups)])
        self._whole = self._compile(parts.whole)
        self._rest = self._compile(parts.rest or parts.whole)
        self._results = jax.jit(self._say)

    def put(self, data: Any) -> list[Any]:
        """Return data on every device."""
        return [jax.device_put(data, device) for device in self.devices]

    def begin(self, states: Sequence[State], which: np.ndarray, table: np.ndarray) -> Carry:
        """Return the replicas' first states, with each one's row of the table of rates, and that table."""
        logs = jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), self._parts.whole.shape[1])
        pairs = [[(state, logs) for state in states[group]] for group in self._groups]
        groups = [self._to(g, pair) for g, pair in enumerate(pairs)]
        return Carry(groups, [which[group] for group in self._groups], self.put(table), states[0][3])

    def _place(self, group: int) -> int:
        return group % len(self.devices)

    def advance(
        self, carry: Carry, data: list, rows: np.ndarray, first: int, last: int
    ) -> tuple[Carry, dict[str, Any]]:
        """Do batches `first` up to `last`, counted from the start of `rows`, (epochs, replicas, rows of an epoch).

        Returns the new states, in which the old ones are used up, and what metrics say at the end of each epoch it came
        through, (epochs, replicas, ...).
        """
        size, groups = self._parts.batch_size, list(carry.replicas)
        steps, said = -(-rows.shape[-1] // size), {}
        # A group for each device does all its batches before the next ones begin: what it works on stays in the cache.
        waves = [range(len(groups))[w : w + len(self.devices)] for w in range(0, len(groups), len(self.devices))]
        for wave in waves:
            for t, g in product(range(first, last), wave):
                e, i = divmod(t, steps)
                if i == 0:
                    groups[g] = self._reset(g, groups[g], carry.fresh)
                chosen = rows[e, self._groups[g], i * size : (i + 1) * size]
                groups[g] = self._batch(g, groups[g], carry, data, chosen)
                if i == steps - 1 or t == last - 1:
                    said.setdefault(e, {})[g] = self._results(groups[g])
        return carry._replace(replicas=groups), _history(said, rows.shape[0])

    def _reset(self, g: int, group: list, fresh: list) -> list:
        """Return the states with metrics as at an epoch's begin, on the device: elsewhere they would be compiled for anew."""
        return [([*state[:3], self._to(g, fresh)], logs) for state, logs in group]

    def _batch(self, g: int, group: list, carry: Carry, data: list, rows: np.ndarray) -> list:
        place = self._place(g)
        run = self._whole if rows.shape[-1] == self._parts.batch_size else self._rest
        return run(group, carry.which[g], carry.table[place], data[place], rows)

    def _to(self, group: int, values: Any) -> Any:
        return jax.device_put(values, self.devices[self._place(group)])

    def _compile(self, step: Traced) -> Callable:
        def batch(group, which, table, data, rows):
            return [step.call(state, table, which[k], _rows(data, rows[k])) for k, (state, _) in enumerate(group)]

        return jax.jit(batch, donate_argnums=0)

    def _say(self, group):
        # Copied, since what a program returns as it was given would be used up by the next batch.
        return [{**self._parts.results.call(state[3]), **jax.tree.map(jnp.copy, logs)} for state, logs in group]

    def fetch(self, carry: Carry, parts: Sequence[int]) -> list[list[list[np.ndarray]]]:
        """Return host copies of the values of these parts of the state, replica by replica."""
        states = [state for group in carry.replicas for state, _ in group]
        return [[[np.array(leaf) for leaf in state[part]] for part in parts] for state in states]


def _history(said: dict[int, dict[int, list]], epochs: int) -> dict[str, np.ndarray]:
    """Return what metrics said in some epochs as arrays (epochs, replicas, ...), 0 in the others."""
    history: dict[str, np.ndarray] = {}
    for e, groups in said.items():
        replicas = [logs for g in sorted(groups) for logs in groups[g]]
        for name in replicas[0]:
            value = np.stack([np.asarray(logs[name]) for logs in replicas])
            history.setdefault(name, np.zeros((epochs, *value.shape), value.dtype))[e] = value
    return history
