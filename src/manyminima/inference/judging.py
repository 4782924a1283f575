"""Outputs turned into probabilities and checked where they are computed, so that a mean need not bring all members here.

What `outputs.probabilities` does to arrays, done to tensors inside a compiled program. A program cannot name what is wrong; it
puts NaN there, which no mean loses, and the arrays of that batch are then looked at one member at a time.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from manyminima.arrays import ROW_SUM_TOLERANCE
from manyminima.inference.outputs import HALF_PRECISION_TOLERANCE, by_name, task_of
from manyminima.runs.tasks import Task

__all__ = ["judge_of"]

_SIGMOID, _SOFTMAX = keras.activations.sigmoid, keras.activations.softmax
_HALVES = ("bfloat16", "float16")
_GIVES = {"multiclass": _SOFTMAX, "binary": _SIGMOID, "multilabel": _SIGMOID}


def judge_of(model: keras.Model, tasks: dict[str, Task | None]) -> Callable[[Any], dict[str, Any]]:
    """Return a function from outputs, of one member or along a leading axis of many, to named float32 probabilities.

    Targets, for regression. What is no probability is NaN. Like `outputs.probabilities` it writes down in `tasks` what an
    output's width tells.
    """

    activation = _last_activation(model)

    def judge(outputs: Any) -> dict[str, Any]:
        return {
            name: _judged(output, task_of(tasks, name, model.name, output.shape[-1]), activation)
            for name, output in by_name(outputs, model).items()
        }

    return judge


def _last_activation(model: keras.Model) -> Callable | None:
    """Return the function that the only output comes out of, along its last axis; None where that is not known."""
    ends = [tensor._keras_history.operation for tensor in keras.tree.flatten(getattr(model, "outputs", None) or [])]
    known = len(ends) == 1 and type(ends[0]) in (keras.layers.Dense, keras.layers.Activation)
    return ends[0].activation if known else None


def _judged(output: Any, task: Task, activation: Callable | None) -> Any:
    values, half = ops.cast(output, "float32"), keras.backend.standardize_dtype(output.dtype) in _HALVES
    if task.kind == "regression":
        return values
    if task.from_logits:
        probs = ops.softmax(values) if task.kind == "multiclass" else ops.sigmoid(values)
    elif activation is _GIVES[task.kind] and not half:
        probs = values  # or NaN
    elif task.kind == "multiclass":
        probs = _rows_of_sum_one(values, half)
    else:
        inside = ops.logical_and(values >= -ROW_SUM_TOLERANCE, values <= 1 + ROW_SUM_TOLERANCE)
        probs = ops.where(inside, values, float("nan"))
    return ops.concatenate([1 - probs, probs], axis=-1) if task.kind == "binary" else probs


def _rows_of_sum_one(values: Any, half: bool) -> Any:
    # One sum tells it all: with no number below 0, none is above the sum. The rare -1e-9 is let pass by who looks again.
    sums = ops.sum(ops.where(values >= 0, values, float("inf")), axis=-1, keepdims=True)
    near = ops.absolute(sums - 1) <= (HALF_PRECISION_TOLERANCE if half else ROW_SUM_TOLERANCE)
    return ops.where(near, values / sums if half else values, float("nan"))
