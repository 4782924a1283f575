"""Outputs turned into probabilities and checked where they are computed, so that a mean need not bring all members here.

What `outputs.probabilities` does to arrays, done to tensors inside a compiled program. A program cannot name what is wrong;
it says that something is, and the arrays of that batch are then looked at one member at a time.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from manyminima.arrays import ROW_SUM_TOLERANCE
from manyminima.inference.outputs import HALF_PRECISION_TOLERANCE, by_name, task_of
from manyminima.runs.tasks import Task

__all__ = ["judge_of"]


def judge_of(model: keras.Model, tasks: dict[str, Task | None]) -> Callable[[Any], tuple[dict[str, Any], Any]]:
    """Return a function from one member's outputs to named float32 probabilities, and whether all of them are such.

    Targets, for regression. Like `outputs.probabilities` it writes down in `tasks` what an output's width tells.
    """

    def judge(outputs: Any) -> tuple[dict[str, Any], Any]:
        found = {
            name: _judged(output, task_of(tasks, name, model.name, output.shape[-1]))
            for name, output in by_name(outputs, model).items()
        }
        fine = [good for _, good in found.values()]
        return {name: probs for name, (probs, _) in found.items()}, ops.all(ops.stack(fine))

    return judge


def _judged(output: Any, task: Task) -> tuple[Any, Any]:
    values = ops.cast(output, "float32")
    if task.from_logits and task.kind != "regression":
        values = ops.softmax(values) if task.kind == "multiclass" else ops.sigmoid(values)
    elif task.kind != "regression":
        half = keras.backend.standardize_dtype(output.dtype) in ("bfloat16", "float16")
        return _probabilities(values, task, HALF_PRECISION_TOLERANCE if half else ROW_SUM_TOLERANCE)
    return _both_columns(values, task), ops.isfinite(ops.sum(values))  # that of huge numbers overflows: looked at again


def _probabilities(values: Any, task: Task, off: float) -> tuple[Any, Any]:
    fine = ops.logical_and(ops.min(values) >= -ROW_SUM_TOLERANCE, ops.max(values) <= 1 + ROW_SUM_TOLERANCE)
    if task.kind != "multiclass":
        return _both_columns(values, task), ops.logical_and(fine, ops.isfinite(ops.sum(values)))
    sums = ops.sum(values, axis=-1, keepdims=True)
    fine = ops.logical_and(fine, ops.max(ops.absolute(sums - 1)) <= off)
    return values / sums if off > ROW_SUM_TOLERANCE else values, ops.logical_and(fine, ops.isfinite(ops.sum(sums)))


def _both_columns(probs: Any, task: Task) -> Any:
    return ops.concatenate([1 - probs, probs], axis=-1) if task.kind == "binary" else probs
