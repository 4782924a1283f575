"""The engine's way through a run: feed the program, and collect what it has trained where the recipes say. JAX only."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import keras
import numpy as np

from manyminima.recipes import Plan
from manyminima.runs.format import Weights
from manyminima.training.engine.data import Feed
from manyminima.training.engine.program import Carry, Program, Said
from manyminima.training.engine.start import variables_of
from manyminima.training.instep import InStep
from manyminima.training.rate import rate_at
from manyminima.training.validate import PREFIX, Validator

__all__ = ["Collector", "History", "run"]


def run(
    program: Program,
    carry: Carry,
    feed: Feed,
    due: Sequence[int],
    collector: "Collector",
    progress: Callable,
) -> tuple[Carry, dict[str, np.ndarray]]:
    """Train to the end; return the last states, and what metrics said at each epoch's end, (epochs, replicas, ...)."""
    history = History(feed)
    chunks = feed.chunks()
    chunk = next(chunks)
    while chunk is not None:
        data = feed.held if feed.resident else program.put(chunk.data)
        base = chunk.epoch * feed.steps
        stops = sorted({*(n for n in due if chunk.first < n <= chunk.last), chunk.last})
        for first, last in zip([chunk.first, *stops[:-1]], stops, strict=True):
            carry, logs = program.advance(carry, data, chunk.rows, first - base, last - base)
            history.expect(logs, chunk.epoch, first, last)
            if last in due:
                collector.collect(program, carry, last, history.at(last))
        following = next(chunks, None)  # made while the device is at work
        history.settle()
        progress(chunk.last * len(feed.seeds), feed.epochs * feed.steps * len(feed.seeds))
        chunk = following
    return carry, history.arrays


class History:
    """What metrics said at each epoch's end; the newest of it may be under way on the device."""

    def __init__(self, feed: Feed):
        self._feed = feed
        self._expected: list[tuple] = []
        self.arrays: dict[str, np.ndarray] = {}

    def expect(self, logs: Said, epoch: int, first: int, last: int) -> None:
        """Take what the program said of batches `first` up to `last`; its first row is that of `epoch`."""
        self._expected.append((logs, epoch, first // self._feed.steps, -(-last // self._feed.steps)))

    def settle(self) -> None:
        """Wait for what is under way."""
        for logs, epoch, begin, end in self._expected:
            for name, groups in logs.items():
                found = np.concatenate([np.asarray(group) for group in groups], axis=1)[:, : len(self._feed.seeds)]
                whole = self.arrays.setdefault(name, np.zeros((self._feed.epochs, *found.shape[1:]), found.dtype))
                whole[begin:end] = found[begin - epoch : end - epoch]
        self._expected = []

    def at(self, step: int) -> dict[str, np.ndarray]:
        """Return what metrics say after `step` batches, (replicas, ...)."""
        self.settle()
        return {name: array[(step - 1) // self._feed.steps] for name, array in self.arrays.items()}


class Collector:
    """Hands every replica's weights to its fold.

    Args:
        model: whose variables the states are of.
        folds: one for each replica.
        plans: one for each replica.
        steps: of an epoch.
        instep: the average that the model's training step takes, for all replicas; None if there is none.
        validation_data: on which the weights are judged when they are collected; None: they are not.
    """

    def __init__(
        self,
        model: keras.Model,
        folds: Sequence[Any],
        plans: Sequence[Plan],
        steps: int,
        instep: InStep | None,
        validation_data: Any,
    ):
        self._model, self._folds, self._plans, self._steps, self._instep = model, folds, plans, steps, instep
        places = {id(v): (p, i) for p, part in enumerate(variables_of(model)[:2]) for i, v in enumerate(part)}
        self._places = [places[id(v)] for v in model.weights]
        self._validate: Any = None if validation_data is None else Validator(model, validation_data)

    def collect(self, program: Program, carry: Carry, step: int, said: Mapping[str, np.ndarray]) -> None:
        """Give each fold the weights that its replica has after `step` batches, or their average."""
        states = program.fetch(carry, (0, 1, 2) if self._instep else (0, 1))
        for replica, (state, fold, plan) in enumerate(zip(states, self._folds, self._plans, strict=True)):
            weights = self.weights(state)
            logs = {name: float(value[replica]) for name, value in said.items() if value[replica].size == 1}
            if plan.lr is not None and step % self._steps == 0:
                logs["learning_rate"] = rate_at(plan.lr, step - 1)
            if self._validate is not None:
                found = self._validate(weights)
                logs |= {f"val_{name.removeprefix(PREFIX)}": value for name, value in found.items()}
            self._hand_over(fold, weights, state, step, {"epoch": step / self._steps, "logs": logs})

    def _hand_over(self, fold: Any, weights: Weights, state: Any, step: int, about: Mapping[str, Any]) -> None:
        if self._instep is None:
            fold.add(weights, step, **about)
            return
        own = zip(self._model.optimizer.variables, map(jnp.asarray, state[2]), strict=True)
        with keras.StatelessScope(state_mapping=list(own)):
            average = self._instep.weights(list(weights))
        fold.put(average, step, **about)

    def weights(self, state: Sequence[Sequence[np.ndarray]]) -> Weights:
        """Return the weights among the trainable and non-trainable variables, in the order of `model.weights`."""
        return [state[part][i] for part, i in self._places]
