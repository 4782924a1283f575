"""Keras's own training step as a pure function of one replica's state, traced once. JAX only."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import keras
import numpy as np
from jax.extend.core import jaxpr_as_fun

from manyminima.training.engine.start import Impure, variables_of
from manyminima.training.rate import innermost

__all__ = ["Traced", "check_pure", "trace_results", "trace_step"]

_HOOK = "_get_current_learning_rate"


@dataclass(frozen=True, eq=False)
class Traced:
    """A function of (nested) arrays with no Python of the model left in it.

    Attributes:
        closed: what was traced.
        shape: of what it returns.
        args: shapes of what it takes.
    """

    closed: Any
    shape: Any
    args: tuple

    def call(self, *args: Any) -> Any:
        """Return what it computes of arguments of the same structure."""
        flat = jaxpr_as_fun(self.closed)(*jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(self.shape), flat)

    @property
    def work(self) -> float:
        """Floating-point operations of one call, as the compiler counts them."""
        return self._said[0]

    @property
    def hash(self) -> str:
        """Of what it computes."""
        return self._said[1]

    @cached_property  # translating takes half as long as tracing
    def _said(self) -> tuple[float, str]:
        lowered = jax.jit(jaxpr_as_fun(self.closed)).lower(*jax.tree.leaves(self.args))
        hasher = hashlib.sha256(lowered.as_text().encode())
        for constant in self.closed.consts:
            hasher.update(np.asarray(constant).tobytes())
        return float((lowered.cost_analysis() or {}).get("flops", 0)), hasher.hexdigest()


def trace_step(model: keras.Model, batch: tuple, driven: bool) -> Traced:
    """Return Keras's training step of one replica: (state, table, which, batch) to (state, logs).

    Args:
        model: compiled and built, its optimizer and metrics too.
        batch: arrays, or anything with their shapes and dtypes.
        driven: whether the learning rate is `table[which, step]`; else the optimizer has its own.

    Raises:
        Impure: the step cannot be traced, or it assigns to variables.
    """
    names = set(model.get_metrics_result())
    optimizer = innermost(model.optimizer)
    begun = int(keras.ops.convert_to_numpy(optimizer._iterations)) if driven else 0

    def step(state, table, which, batch):
        def rate():
            return table[which, keras.ops.convert_to_tensor(optimizer._iterations) - begun]

        with _rate_of(optimizer, rate if driven else None):
            logs, state = model.train_step(state, batch)
        # Where they are what the metrics say, they are asked at an epoch's end only.
        return [list(part) for part in state], {} if set(logs) == names else dict(logs)

    state = [[jax.ShapeDtypeStruct(v.shape, v.value.dtype) for v in part] for part in variables_of(model)]
    scalar = jax.ShapeDtypeStruct((), "int32")
    table = jax.ShapeDtypeStruct((1, 1), "float32")
    args = (state, table, scalar, batch)
    with _unassigned(model):
        traced = jax.make_jaxpr(step, return_shape=True)(*args)
    return Traced(*traced, args)


def trace_results(model: keras.Model) -> Traced:
    """Return the function from the values of the metrics' variables to what the metrics say."""

    def results(values):
        with keras.StatelessScope(state_mapping=list(zip(model.metrics_variables, values, strict=True))):
            return dict(model.get_metrics_result())

    args = ([jax.ShapeDtypeStruct(v.shape, v.value.dtype) for v in model.metrics_variables],)
    return Traced(*jax.make_jaxpr(results, return_shape=True)(*args), args)


def check_pure(model: keras.Model, second: keras.Model | None, traced: Traced, batch: tuple, driven: bool) -> None:
    """Raise Impure if a further trace, or one of another replica's model, computes something else.

    What a model keeps in Python instead of variables is a constant of the program: a counter that goes on, or numbers that
    each replica has drawn for itself, would be those of the first trace for all.
    """
    if trace_step(model, batch, driven).hash != traced.hash:
        raise Impure("it computes something else each time it is traced: it keeps a state in Python, not in variables")
    if second is None:
        return
    second._symbolic_build(data_batch=batch)
    if trace_step(second, batch, driven).hash != traced.hash:
        raise Impure("models of different seeds differ in constants that are not variables")


@contextlib.contextmanager
def _rate_of(optimizer: Any, rate: Callable | None) -> Iterator[None]:
    if rate is None:
        yield
        return
    setattr(optimizer, _HOOK, rate)
    try:
        yield
    finally:
        delattr(optimizer, _HOOK)


@contextlib.contextmanager
def _unassigned(model: keras.Model) -> Iterator[None]:
    """Turn whatever goes wrong with a trace into Impure, and put back what it has assigned to variables."""
    held = [(v, v._value) for part in variables_of(model) for v in part]
    try:
        yield
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise Impure(f"its training step cannot be traced ({type(error).__name__}: {reason})") from error
    finally:
        assigned = [v.path for v, value in held if v._value is not value]
        for v, value in held:
            v._value = value
    if assigned:
        raise Impure(f"its training step assigns to variables itself ({', '.join(assigned[:3])})")
