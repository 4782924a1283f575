"""Averages that are taken inside the compiled training step, after every optimizer step.

A callback that reads the weights after every step would cost more than the step of a small model. Here the average lives in
variables of the optimizer, which the compiled step carries along, and one method of the optimizer, `apply`, is followed by
their update. What other callbacks save in mid-training does not hold them; nothing of it stays after `fit`.
"""

from typing import Any

import keras
import numpy as np

from manyminima.averaging.folds import Average
from manyminima.averaging.running import is_float
from manyminima.schedules.steps import at_hand
from manyminima.training.rate import innermost

__all__ = ["InStep", "remove_leftover"]


class InStep:
    """One average of a model's trainable variables, kept by its optimizer.

    It is as exact as in float64: with a decay of 0.9999 a single float32 number would lose what moves it by less than 3e-4 of
    its size. Where float64 is not to be had (JAX by default, Apple's GPUs), each number is the sum of two float32 numbers.

    Args:
        model: compiled and built; the training step is to be compiled anew afterwards.
        average: whose rule and clock are followed.
        start: batches before the average begins.
        owner: the callback that will remove it.
    """

    def __init__(self, model: keras.Model, average: Average, start: int, owner: Any):
        if not model.optimizer.built:  # TensorFlow builds it in the first step
            model.optimizer.build(model.trainable_variables)
        self._optimizer = optimizer = innermost(model.optimizer)
        self.owner = owner
        self._rule: Any = average.rule
        # One optimizer step is several batches under gradient accumulation.
        together = optimizer.gradient_accumulation_steps or 1
        self._batches = (average.every or 1) * together
        # The optimizer accumulates on from one `fit` to the next: its steps are at multiples of all its batches.
        self._begin = (_number(optimizer._iterations) + start) // together * together
        positions = {id(v): i for i, v in enumerate(model.weights)}
        allowed = average.averaged or [True] * len(positions)
        self._trained = [v for v in optimizer._trainable_variables if is_float(_dtype(v)) and allowed[positions[id(v)]]]
        self._positions = [positions[id(v)] for v in self._trained]
        # All in one variable: each further one costs a small model's step a microsecond or two.
        numbers = sum(int(np.prod(v.shape)) for v in self._trained)
        shape, dtype = ((1, numbers), "float64") if _has_float64(self._trained) else ((2, numbers), "float32")
        self.variable = optimizer.add_variable(shape, "zeros", dtype=dtype, name="average")
        _Followed.of(optimizer).add(self)

    def update(self) -> None:
        """Move the average; called after every optimizer step, traced with it."""
        share = self._share()
        if share is None:
            return
        if keras.backend.backend() == "torch":
            _move_in_place(self.variable, self._trained, share)
        elif self.variable.shape[0] == 1:
            held = keras.ops.convert_to_tensor(self.variable)
            new = _flat(self._trained, "float64")
            self.variable.assign_add(keras.ops.cast(share, "float64") * (new - held))
        else:
            held, new = keras.ops.convert_to_tensor(self.variable), _flat(self._trained, "float32")
            self.variable.assign(_pair_moved(held[0], held[1], new, share))

    def _share(self) -> Any:
        """Return by how much this step moves the average: traced, or a plain number where the count is at hand; None: not."""
        number = at_hand(self._optimizer._iterations)
        if number is not None:
            n, rest = divmod(number - self._begin, self._batches)
            return float(self._rule.coefficient(n)) if n > 0 and rest == 0 else None
        ops = keras.ops
        done = ops.convert_to_tensor(self._optimizer._iterations) - self._begin
        due = ops.logical_and(done > 0, done % self._batches == 0)
        n = ops.cast(ops.maximum(done // self._batches, 1), "float32")
        return ops.where(due, ops.cast(self._rule.coefficient(n, ops), "float32"), 0.0)

    def weights(self, newest: list[np.ndarray]) -> list[np.ndarray]:
        """Return the average, with the newest weights where nothing is averaged, or nothing has been yet."""
        if _number(self._optimizer._iterations) - self._begin < self._batches:
            return newest
        result = list(newest)
        exact = np.asarray(keras.ops.convert_to_numpy(self.variable), "float64").sum(axis=0)
        pieces = np.split(exact, np.cumsum([newest[position].size for position in self._positions])[:-1])
        for position, piece in zip(self._positions, pieces, strict=True):
            result[position] = piece.reshape(newest[position].shape).astype(newest[position].dtype)
        return result

    def remove(self) -> None:
        """Take the average out of the optimizer; the training step is to be compiled anew afterwards."""
        _Followed.of(self._optimizer).discard(self)
        self._optimizer._untrack_variable(self.variable)


def _has_float64(variables: list[Any]) -> bool:
    if keras.backend.backend() == "jax":
        return False
    return all("mps" not in str(getattr(v.value, "device", "")) for v in variables)


def _flat(variables: list[Any], dtype: str) -> Any:
    return keras.ops.concatenate([keras.ops.reshape(keras.ops.cast(v, dtype), (-1,)) for v in variables])


def _pair_moved(high: Any, rest: Any, new: Any, share: Any) -> Any:
    """Return `high + rest`, moved towards `new`, and what rounding has taken from it: Knuth's TwoSum."""
    change = rest + share * ((new - high) - rest)
    total = high + change
    back = total - high
    lost = (high - (total - back)) + (change - back)
    return keras.ops.stack([total, lost])


def _move_in_place(variable: Any, trained: list[Any], share: Any) -> None:
    """Move torch's average without Keras's operations: each of them costs more than the arithmetic of a small model."""
    import torch

    with torch.no_grad():
        held, new = variable.value, torch.cat([v.value.reshape(-1).to(variable.value.dtype) for v in trained])
        if len(held) == 1:
            held.add_((new - held).mul_(share))
        else:
            held.copy_(_pair_moved(held[0], held[1], new, share))


def remove_leftover(model: keras.Model, others: Any = ()) -> None:
    """Remove averages that an earlier `fit` left behind when it ended in an exception; `others` are part of this one."""
    followed = vars(innermost(model.optimizer)).get("apply")
    if not isinstance(followed, _Followed):
        return
    leftover = [one for one in followed.averages if one.owner not in others]
    for one in leftover:
        one.remove()
    if leftover:
        model.make_train_function(force=True)


class _Followed:
    """An optimizer's `apply`, followed by the update of averages; files that are saved meanwhile do not hold these."""

    def __init__(self, optimizer: Any):
        self._optimizer = optimizer
        self.averages: list[InStep] = []

    @classmethod
    def of(cls, optimizer: Any) -> "_Followed":
        """Return what follows the optimizer's `apply`, put in place if nothing does yet."""
        found = vars(optimizer).get("apply")
        if isinstance(found, cls):
            return found
        followed = cls(optimizer)
        optimizer.apply, optimizer.save_own_variables = followed, followed.save_own_variables
        return followed

    def add(self, average: InStep) -> None:
        self.averages.append(average)

    def discard(self, average: InStep) -> None:
        self.averages.remove(average)
        if not self.averages:
            del self._optimizer.apply, self._optimizer.save_own_variables

    def __call__(self, *args, **kwargs):
        result = type(self._optimizer).apply(self._optimizer, *args, **kwargs)
        for average in self.averages:
            average.update()
        return result

    def save_own_variables(self, store) -> None:
        ours = {id(average.variable) for average in self.averages}
        own = [v for v in self._optimizer.variables if id(v) not in ours]
        for i, variable in enumerate(own):
            store[str(i)] = keras.ops.convert_to_numpy(variable)


def _number(variable: Any) -> int:
    return int(keras.ops.convert_to_numpy(variable))


def _dtype(variable: keras.Variable) -> np.dtype:
    return np.asarray(keras.ops.convert_to_numpy(variable)).dtype
