"""Programs of all members: what each predicts, or the sum of it.

A program returns at once what may still be under way, so that the next batch can be read and sent meanwhile.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from manyminima.inference.execution import (
    Execution,
    added_up,
    as_argument,
    as_numpy,
    as_tensor,
    compiled,
    forward_of,
    over_members,
    weighted_sum,
)
from manyminima.inference.inputs import map_arrays
from manyminima.runs.format import Weights

__all__ = ["Pending", "Program", "compile_members"]

_HELD = 2**32  # bytes of weights on the device; more than that is sent anew for every batch

Pending = Callable[[], Any]  # waits for what is under way, and returns it as NumPy arrays
Judge = Callable[[Any], dict[str, Any]]


class Program(NamedTuple):
    """What was compiled for some members: each at its first call, once for each shape of inputs.

    Attributes:
        members: From a batch of inputs to the outputs of every member, arrays of shape (members, examples, ...) in the dtype
            that the model computes them in.
        mean: From coefficients, (members,), to a function of a batch of inputs: the sum of `judge`'s results times the
            coefficients, NaN throughout where one of them is. What single members predict is not kept.
    """

    members: Callable[[Any], Pending]
    mean: Callable[[np.ndarray], Callable[[Any], Pending]]


def compile_members(
    model: keras.Model, members: Sequence[Weights], how: Execution, judge: Judge, shared: dict[Any, Callable]
) -> Program:
    """Return the programs of some members of `model`; their weights are held on the device from now on, up to 4 GiB.

    Args:
        model: built; its own weights are neither used nor changed.
        members: lists of arrays in the order of `model.weights`.
        how: they run; looped where there are more weights than may be held.
        judge: from outputs, of one member or along a leading axis of many, to what is added up. Traced.
        shared: keeps what other members of the same model can use: all of it, whatever their number, where they are looped.
    """
    forward = forward_of(model)
    dtypes = [keras.backend.standardize_dtype(v.dtype) for v in model.weights]
    all_held = len(members) * sum(int(np.prod(v.shape)) * 4 for v in model.weights) <= _HELD
    how = how if model.weights and all_held else "looped"  # without weights there is no axis of members

    def judged(weights, x):
        return judge(forward(weights, x))

    def kept(name: str, function: Callable) -> Callable:
        if (name, how) not in shared:
            shared[name, how] = compiled(function)
        return shared[name, how]

    if how == "looped":
        held = _Looped(members, dtypes, all_held)
        whole = kept("whole", _all_or_nothing)
        return _one_by_one(held, kept("outputs", forward), kept("judged", judged), kept("sum", _add), whole)
    held = [as_tensor(array, dtype) for array, dtype in zip(_side_by_side(members), dtypes, strict=True)]
    outputs = over_members(forward, how)
    mean = _stacked_mean(outputs, judge) if how == "stacked" else added_up(judged)
    return _together(held, kept("outputs", outputs), kept("mean", lambda *of: _all_or_nothing(mean(*of))))


def _together(held: list, outputs: Callable, mean: Callable) -> Program:
    def members_of(x: Any) -> Pending:
        return _pending(outputs(held, map_arrays(as_argument, x)))

    def mean_of(coefficients: np.ndarray) -> Callable[[Any], Pending]:
        sent = as_tensor(coefficients, "float32")
        return lambda x: _arrays(mean(held, sent, map_arrays(as_argument, x)))

    return Program(members_of, mean_of)


def _pending(result: Any) -> Pending:
    return lambda: keras.tree.map_structure(as_numpy, result)


def _arrays(named: dict[str, Any]) -> Pending:
    return lambda: {name: as_numpy(one) for name, one in named.items()}


class _Looped:
    """Each member's weights as tensors, one member after the other; those that are not held are sent anew each time."""

    def __init__(self, members: Sequence[Weights], dtypes: list[str], all_held: bool):
        self.all_held = all_held
        self._members, self._dtypes = members, dtypes
        self._tensors = [self._sent(member) for member in members] if all_held else []

    def _sent(self, member: Weights) -> list[Any]:
        # Copies: a tensor may be the very array, which is the user's.
        return [as_tensor(np.array(w), dtype) for w, dtype in zip(member, self._dtypes, strict=True)]

    def __iter__(self) -> Iterator[list[Any]]:
        return iter(self._tensors) if self.all_held else map(self._sent, self._members)


def _one_by_one(held: _Looped, outputs: Callable, judged: Callable, add: Callable, whole: Callable) -> Program:
    """All members are under way before the first is waited for, unless their weights would fill the device."""

    def members_of(x: Any) -> Pending:
        x = map_arrays(as_tensor, x)
        single = [_under_way(outputs(weights, x)) for weights in held]
        return lambda: keras.tree.map_structure(lambda *leaves: np.stack([as_numpy(leaf) for leaf in leaves]), *single)

    def mean_of(coefficients: np.ndarray) -> Callable[[Any], Pending]:
        sent = [as_argument(coefficient) for coefficient in coefficients.astype("float32")]
        return lambda x: _arrays(weighted(map_arrays(as_tensor, x), sent))

    def weighted(x: Any, coefficients: list[Any]) -> Any:
        total = None
        for weights, coefficient in zip(held, coefficients, strict=True):
            total = _under_way(add(total, judged(weights, x), coefficient))
        return whole(total)

    def _under_way(result: Any) -> Any:
        return result if held.all_held else keras.tree.map_structure(as_numpy, result)

    return Program(members_of, mean_of)


def _add(total: dict[str, Any] | None, part: dict[str, Any], coefficient: Any) -> dict[str, Any]:
    if total is None:
        return {name: coefficient * one for name, one in part.items()}
    return {name: ops.add(total[name], coefficient * one) for name, one in part.items()}


def _all_or_nothing(sums: dict[str, Any]) -> dict[str, Any]:
    """One number of each then tells whether all are finite, which takes longer to look up afterwards."""
    return {name: ops.where(ops.all(ops.isfinite(one)), one, float("nan")) for name, one in sums.items()}


def _stacked_mean(outputs: Callable, judge: Judge) -> Callable:
    def mean(weights, coefficients, x):
        return {name: weighted_sum(coefficients, parts) for name, parts in judge(outputs(weights, x)).items()}

    return mean


def _side_by_side(members: Sequence[Weights]) -> list[np.ndarray]:
    """Return the members' weights along a new first axis; one member is read at a time."""
    whole: list[np.ndarray] = []
    for k, member in enumerate(members):
        whole = whole or [np.empty((len(members), *np.shape(w)), np.asarray(w).dtype) for w in member]
        for place, w in zip(whole, member, strict=True):
            place[k] = w
    return whole
