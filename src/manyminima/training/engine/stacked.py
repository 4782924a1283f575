"""Replicas along a leading axis of every array, and a loop over batches inside the program. JAX only."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from manyminima.training.engine.lanes import Compiled, each, lanes, split
from manyminima.training.engine.program import Carry, Parts, Said, rows_of
from manyminima.training.engine.start import State
from manyminima.training.engine.step import Traced

__all__ = ["Stacked"]


class Stacked:
    """Replicas in one program, along a leading axis of every array: see `program.Program`.

    Args:
        parts: of one replica.
        replicas: their number.
        devices: that replicas may be spread over; as many are used as divide their number.
    """

    def __init__(self, parts: Parts, replicas: int, devices: Sequence[Any]):
        self._parts, self._replicas = parts, replicas
        used = max(n for n in range(1, min(len(devices), replicas) + 1) if replicas % n == 0)
        self.devices = list(devices[:used])
        self._own = self._all = SingleDeviceSharding(self.devices[0])
        run, self._lanes = self._run, lanes(self.devices)
        if used > 1:  # each device runs a program of its own: there is nothing to tell the others
            mesh = Mesh(np.array(self.devices), ("replica",))
            own, all_, later = PartitionSpec("replica"), PartitionSpec(), PartitionSpec(None, "replica")
            ins, outs = (own, own, all_, all_, all_, later, all_, all_), (own, later)
            run = jax.shard_map(run, mesh=mesh, in_specs=ins, out_specs=outs, check_vma=False)
            self._own, self._all, self._lanes = NamedSharding(mesh, own), NamedSharding(mesh, all_), 1
        self._groups = split(replicas, replicas, self._lanes)
        self._compiled = Compiled(run, donate_argnums=0)

    def put(self, data: Any) -> Any:
        """Return data on the devices."""
        return jax.device_put(data, self._all)

    def prepare(self, state: State, table: np.ndarray, data: Any, shape: Sequence[int]) -> None:
        """Begin to compile for replicas that start like this, and return at once."""
        size = len(self._groups[0])
        carry = self._carry([[state] * size], [np.zeros(size, "int32")], table)
        self._compiled.begin(*_args(carry, 0, data, jax.ShapeDtypeStruct((shape[0], size, shape[2]), "int32"), 0, 0))

    def begin(self, states: Sequence[State], which: np.ndarray, table: np.ndarray) -> Carry:
        """Return the replicas' first states."""
        return self._carry([[states[r] for r in g] for g in self._groups], [which[g] for g in self._groups], table)

    def _carry(self, groups: Sequence[Any], which: list[np.ndarray], table: np.ndarray) -> Carry:
        stacked = [jax.tree.map(lambda *leaves: np.stack(leaves), *states) for states in groups]
        size, shapes = len(groups[0]), self._parts.whole.shape[1]
        logs = [jax.tree.map(lambda s: np.zeros((size, *s.shape), s.dtype), shapes) for _ in groups]
        own = jax.device_put((list(zip(stacked, logs, strict=True)), which), self._own)
        return Carry(*own, *self.put((table, groups[0][0][3])))

    def advance(self, carry: Carry, data: Any, rows: np.ndarray, first: int, last: int) -> tuple[Carry, Said]:
        """Return the new states, and what metrics say."""

        def args(g: int) -> tuple:
            return _args(carry, g, data, rows if len(self._groups) == 1 else rows[:, self._groups[g]], first, last)

        run = self._compiled.ready(*args(0))
        done = each(lambda g: run(*args(g)), len(self._groups), self._lanes)
        logs = {name: [said[name] for _, said in done] for name in done[0][1]}
        return carry._replace(replicas=[replicas for replicas, _ in done]), logs

    def fetch(self, carry: Carry, parts: Sequence[int]) -> list[list[list[np.ndarray]]]:
        """Return host copies of parts of the states, replica by replica."""
        states = []
        for group, (state, _) in zip(self._groups, carry.replicas, strict=True):
            held = [[np.array(leaf) for leaf in state[part]] for part in parts]
            states += [[[leaf[k].copy() for leaf in part] for part in held] for k in range(len(group))]
        return states[: self._replicas]

    def _run(self, carry, which, table, fresh, data, rows, first, last):
        """Do some batches of one group, or of the replicas of one device; traced."""
        parts, size = self._parts, self._parts.batch_size
        count, rest = divmod(rows.shape[-1], size)
        steps = count + bool(rest)

        def batch_of(step: Traced):
            def one(state, which, chosen):
                return step.call(state, table, which, rows_of(data, chosen))

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


def _args(carry: Carry, g: int, data: Any, rows: Any, first: int, last: int) -> tuple:
    """Return what the program of a group takes."""
    states = carry.replicas[g], carry.which[g], carry.table, carry.fresh
    return *states, data, rows, np.int32(first), np.int32(last)


def _over_replicas(function: Callable) -> Callable:
    """Return a function vectorised over replicas; one alone is not, so that it is `fit` bit for bit."""
    several = jax.vmap(function)

    def run(*args):
        if len(jax.tree.leaves(args)[0]) > 1:
            return several(*args)
        only = jax.tree.map(lambda leaf: leaf[0], args)
        return jax.tree.map(lambda leaf: leaf[None], function(*only))

    return run
