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

__all__ = [
    "HALF_PRECISION_TOLERANCE",
    "by_name",
    "for_each",
    "numbers_out",
    "probabilities",
    "scores",
    "task_of",
    "widest",
]

HALF_PRECISION_TOLERANCE = 2e-2  # rows of a bfloat16 softmax miss 1 by up to 1 %


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


def widest(model: keras.Model) -> int:
    """Return how many numbers the largest array has that the layers make of one example; 0 where they do not tell."""
    layers = model._flatten_layers(include_self=False)
    shapes = [tensor.shape for layer in layers for node in layer._inbound_nodes for tensor in node.output_tensors]
    return max((int(np.prod([n or 1 for n in shape[1:]])) for shape in shapes), default=0)


def task_of(known: dict[str, Task | None], output: str, model: str, units: int | None = None) -> Task:
    """Return an output's task; once its width is known, that is written down in `known`.

    Raises:
        ValueError: the loss did not tell, and nobody said it.
    """
    key = output if output in known else "" if "" in known or output else next(iter(known))  # the only one there is
    task = known.get(key)
    if task is None:
        said = f'task={{"{output}": "multiclass", …}}' if output else 'task="multiclass"'
        others = f" Of these outputs it is known: {', '.join(filter(None, known))}." if output else ""
        raise ValueError(
            f"it cannot be told from the loss what output {output or model!r} means. Say it: "
            f'{said} (or "binary", "multilabel", "regression"), and from_logits=True if it gives logits.{others}'
        )
    if units is not None:
        known[key or output] = task = tasks.with_units(task, units)
    return task


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
    if off.max() > (HALF_PRECISION_TOLERANCE if half_precision else ROW_SUM_TOLERANCE):
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
