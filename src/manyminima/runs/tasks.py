"""What a model predicts: inferred from its loss, recorded in the run, applied to its raw outputs. No Keras."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import numpy as np

from manyminima.arrays import TASKS
from manyminima.arrays import Task as Kind

__all__ = ["Task", "from_json", "infer", "of_model", "override", "to_json", "to_probabilities", "with_units"]

_MULTICLASS = ("categoricalcrossentropy", "categoricalfocalcrossentropy")
_BINARY = ("binarycrossentropy", "binaryfocalcrossentropy")
_REGRESSION = ("meansquared", "meanabsolute", "mse", "mae", "mape", "msle", "huber", "logcosh")


class Task(NamedTuple):
    """What one output of a model means.

    Args:
        kind: "multiclass" (one class each), "binary" (one unit, stored as two columns), "multilabel" or "regression".
        from_logits: whether the model's outputs still have to go through softmax or sigmoid.
    """

    kind: Kind
    from_logits: bool = False

    def __str__(self):
        return self.kind + (" from logits" if self.from_logits else "")


def _checked(kind: str) -> Kind:
    if kind not in TASKS:
        raise ValueError(f"there is no task {kind!r}; choose from {', '.join(TASKS)}.")
    return cast(Kind, kind)


def infer(loss: Any) -> Task | None:
    """Return the task that a Keras loss (its name, object or function) is made for; None if it cannot be told."""
    if loss is None:
        return None
    name: str = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    name = name.replace("_", "").lower().removeprefix("sparse")
    logits = bool(getattr(loss, "get_config", dict)().get("from_logits", False))
    if name.startswith(_MULTICLASS):
        return Task("multiclass", logits)
    if name.startswith(_BINARY):
        return Task("binary", logits)
    return Task("regression") if name.startswith(_REGRESSION) else None


def of_model(model: Any, task: str | Mapping[str, str] | None = None, from_logits: bool | None = None) -> dict:
    """Return the task of each output by name; a model with one output, or one loss for all, has the name "".

    What the caller says wins over what the compiled loss tells; None stands for a task that cannot be told.
    """
    loss = getattr(model, "loss", None)
    if isinstance(loss, Mapping):
        losses = dict(loss)
    elif isinstance(loss, list | tuple):
        losses = dict(zip(getattr(model, "output_names", map(str, range(len(loss)))), loss, strict=False))
    else:
        losses = {"": loss}
    found = {name: infer(one) for name, one in losses.items()}
    shape = getattr(model, "output_shape", None)
    only = found.get("")
    if only and isinstance(shape, tuple) and isinstance(shape[-1], int):
        found[""] = with_units(only, shape[-1])
    return override(found, task, from_logits)


def override(
    found: Mapping[str, Task | None], task: str | Mapping[str, str] | None, from_logits: bool | None
) -> dict[str, Task | None]:
    """Return the tasks with what the caller says in place of what was found."""
    kinds = dict(task) if isinstance(task, Mapping) else dict.fromkeys(found, task) if task else {}
    result = dict(found)
    for name, kind in kinds.items():
        known = found.get(name)
        result[name] = Task(_checked(kind), known.from_logits if known else False)
    if from_logits is not None:
        result = {name: t and t._replace(from_logits=from_logits) for name, t in result.items()}
    return result


def with_units(task: Task, units: int) -> Task:
    """Return the task now that the output's width is known: binary losses on several units mean several labels."""
    return task._replace(kind="multilabel") if task.kind == "binary" and units > 1 else task


def to_probabilities(outputs: np.ndarray, task: Task) -> np.ndarray:
    """Turn raw outputs of shape (..., units) into float32 probabilities (targets, for regression) of that shape.

    A binary output, which has one unit, becomes two columns, `[1 - p, p]`.
    """
    z = np.asarray(outputs, "float32")
    if task.kind == "regression":
        return z
    if task.kind == "multiclass":
        return _softmax(z) if task.from_logits else z
    p = _sigmoid(z) if task.from_logits else z
    return np.concatenate([1 - p, p], axis=-1) if task.kind == "binary" else p


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return np.where(z >= 0, 1 / (1 + np.exp(-np.abs(z))), 1 - 1 / (1 + np.exp(-np.abs(z)))).astype("float32")


def to_json(tasks: Mapping[str, Task | None]) -> dict[str, Any]:
    """Return plain data for `run.json`."""
    return {name: task and task._asdict() for name, task in tasks.items()}


def from_json(data: Mapping[str, Any] | None) -> dict[str, Task | None]:
    """Return what `to_json` was given."""
    return {name: task and Task(**task) for name, task in (data or {}).items()}
