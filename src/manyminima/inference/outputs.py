"""What members' raw outputs mean: named, turned into probabilities, checked, and scored against labels."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from manyminima import metrics
from manyminima.arrays import ROW_SUM_TOLERANCE, as_problem
from manyminima.arrays import Task as Kind
from manyminima.runs import tasks
from manyminima.runs.tasks import Task

__all__ = ["by_name", "for_each", "numbers_out", "probabilities", "scores"]

_HALF_PRECISION_TOLERANCE = 2e-2  # rows of a bfloat16 softmax miss 1 by up to 1 %


def by_name(outputs: Any, model: keras.Model) -> dict[str, Any]:
    """Return outputs by their names; a single one has the name ""."""
    if isinstance(outputs, Mapping):
        return dict(outputs)
    if isinstance(outputs, list | tuple):
        return dict(zip(getattr(model, "output_names", map(str, range(len(outputs)))), outputs, strict=False))
    return {"": outputs}


def numbers_out(model: keras.Model) -> int:
    """Return how many numbers the model predicts for one example, as far as its shapes tell; at least 1."""
    shapes = getattr(model, "output_shape", None)
    tensors = keras.tree.flatten(getattr(model, "outputs", None)) if shapes else []
    return max(1, sum(int(np.prod([n or 1 for n in tensor.shape[1:]])) for tensor in tensors))


def probabilities(raw: np.ndarray, task: Task, model: str) -> np.ndarray:
    """Return float32 probabilities (targets, for regression) of shape (members, examples, ..., classes).

    Rows of a softmax that was computed in half precision are rescaled to sum to 1.

    Raises:
        ValueError: they are no probabilities, most likely because they are logits.
    """
    with np.errstate(invalid="ignore"):  # NaN is the caller's to name
        probs = tasks.to_probabilities(raw, task)
    if task.kind == "regression" or task.from_logits or not np.isfinite(probs).all():
        return probs
    hint = 'If these are logits, say from_logits=True; if no classes, task="regression".'
    if probs.min() < -ROW_SUM_TOLERANCE or probs.max() > 1 + ROW_SUM_TOLERANCE:
        raise ValueError(
            f"outputs of model '{model}' range from {np.asarray(raw, 'float32').min():.4g} to "
            f"{np.asarray(raw, 'float32').max():.4g}, expected probabilities in 0..1. {hint}"
        )
    return _rows_of_sum_one(probs, model, hint, raw.dtype.itemsize == 2) if task.kind == "multiclass" else probs


def _rows_of_sum_one(probs: np.ndarray, model: str, hint: str, half_precision: bool) -> np.ndarray:
    sums = probs.sum(axis=-1, keepdims=True)
    off = np.abs(sums - 1)
    if off.max() > (_HALF_PRECISION_TOLERANCE if half_precision else ROW_SUM_TOLERANCE):
        raise ValueError(
            f"a row of outputs of model '{model}' sums to {sums.flat[off.argmax()]:.4g}, expected 1 for probabilities. {hint}"
        )
    return probs / sums if half_precision else probs


def for_each(values: Any, names: Iterable[str], what: str) -> dict[str, Any]:
    """Return labels or sample weights by the name of the output; one array stands for all outputs."""
    names = list(names)
    if isinstance(values, list | tuple) and len(values) == len(names):
        return dict(zip(names, values, strict=True))
    if isinstance(values, Mapping):
        found = {name: values.get(name) for name in names}
    else:
        found = dict.fromkeys(names, values if what == "sample_weight" or len(names) == 1 else None)
    missing = [name for name, value in found.items() if value is None]
    if missing and what == "y":
        raise ValueError(f"y has no labels for {missing}. Pass a dict with the keys {names}, or a list in that order.")
    return found


def scores(y: Any, probs: np.ndarray, kind: Kind, sample_weight: Any) -> dict[str, float]:
    """Return every metric that the task has, by name."""
    problem = as_problem(y, probs[None], kind, sample_weight)
    chosen = [metric for metric in (getattr(metrics, name) for name in metrics.__all__) if kind in metric.facts.tasks]
    return {m.__name__: m(problem.y, problem.probs[0], problem.sample_weight) for m in chosen}
