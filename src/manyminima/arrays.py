"""The arrays everything after training works on: their names, their shapes, and one set of checks.

Axis order is always members, examples, classes. A public function accepts whatever NumPy accepts and checks it here,
with an error that says what to type; what it returns, and everything behind the checks, carries the shapes named below.
They are verified while the tests run and cost nothing otherwise.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from numpy.typing import ArrayLike

Probs = Float[np.ndarray, "members examples classes"]
Combined = Float[np.ndarray, "examples classes"]
Labels = Int[np.ndarray, " examples"]
Targets = Float[np.ndarray, "examples targets"]
PerExample = Float[np.ndarray, " examples"]
PerMember = Float[np.ndarray, " members"]
Pairs = Float[np.ndarray, "members members"]

Task = Literal["multiclass", "binary", "multilabel", "regression"]
TASKS: tuple[Task, ...] = get_args(Task)
CLASSIFICATION: tuple[Task, ...] = TASKS[:3]
ROW_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Problem:
    """Labels and predictions laid out flat: every pixel of an image and every label of a row is a row of its own.

    Rows of one original example are not independent of each other; `group` keeps them together.

    Attributes:
        task: What the arrays were before.
        y: (rows,) class numbers, or (rows, targets) numbers for regression.
        probs: (members, rows, classes), or (members, rows, targets) for regression.
        group: (rows,) the original example of each row.
        sample_weight: (rows,) or None where every row counts the same.
    """

    task: Task
    y: Int[np.ndarray, " rows"] | Float[np.ndarray, "rows targets"]
    probs: Float[np.ndarray, "members rows columns"]
    group: Int[np.ndarray, " rows"]
    sample_weight: Float[np.ndarray, " rows"] | None


def as_problem(
    y: ArrayLike, probs: ArrayLike, task: str | None = None, sample_weight: ArrayLike | None = None
) -> Problem:
    """The plain problem behind labels and member predictions of any task, checked once.

    Args:
        y: (examples, ...) class numbers, one-hot rows, 0/1 labels or targets, as the task has it.
        probs: (members, examples, ..., classes). The axes between are flattened.
        task: One of `TASKS`; inferred from the values if None.
        sample_weight: (examples,) non-negative.

    Raises:
        ValueError: The arrays do not fit together, or the values are not what the task needs.

    Example:
        >>> dense = as_problem(np.zeros((2, 4, 4), int), np.full((3, 2, 4, 4, 5), 0.2))
        >>> dense.probs.shape, dense.group.tolist()[14:18]
        ((3, 32, 5), [0, 0, 1, 1])
    """
    outputs = member_outputs(probs)
    labels = _numbers(y)
    _check_lengths(labels, outputs)
    known = infer_task(labels, outputs) if task is None else _known(task)
    flatten = {"regression": _flat_targets, "multilabel": _flat_labels}.get(known, _flat_classes)
    flat_y, flat_probs = flatten(labels, outputs)
    examples, repeats = len(labels), flat_probs.shape[1] // len(labels)
    weight = None if sample_weight is None else np.repeat(_check_weight(sample_weight, examples), repeats)
    return Problem(known, flat_y, flat_probs, np.repeat(np.arange(examples), repeats), weight)


def infer_task(y: ArrayLike, probs: ArrayLike) -> Task:
    """The task that labels and member predictions look like; pass `task=` where values alone cannot tell.

    One value of y per output column means one-hot classes if rows of both sum to 1, several labels if y holds only 0
    and 1 and the outputs lie in 0..1, and regression otherwise. One class number per row means classes.

    Args:
        y: (examples, ...).
        probs: (members, examples, ..., columns).

    Example:
        >>> infer_task([0, 2], [[[0.8, 0.1, 0.1], [0.2, 0.2, 0.6]]])
        'multiclass'
        >>> infer_task([0.3, 1.7], [[[0.2], [1.9]]])
        'regression'
    """
    y, probs = np.asarray(y), np.asarray(probs)
    columns = probs.shape[-1]
    classes: Task = "binary" if columns == 2 else "multiclass"
    if np.any(y != np.round(y)):
        return "regression"
    if y.shape != probs.shape[1:] and not (columns == 1 and y.shape == probs.shape[1:-1]):
        return classes
    if np.any((y != 0) & (y != 1)) or probs.min() < 0 or probs.max() > 1:
        return "regression"
    if columns > 1 and np.all(y.sum(-1) == 1) and not _bad_sums(probs).any():
        return classes
    return "multilabel"


def member_outputs(probs: ArrayLike) -> Float[np.ndarray, "members examples *more columns"]:
    """Predictions of several members as a finite float array of at least three axes.

    Raises:
        ValueError: Fewer axes, nothing in it, whole numbers instead of predictions, or NaN or infinity in it.
    """
    outputs = np.asarray(probs)
    if outputs.ndim < 3:
        raise ValueError(
            f"probs has shape {outputs.shape}, expected (members, examples, classes). "
            "For a single member pass probs[None]; for (members, examples) with one output pass probs[..., None]."
        )
    return finite(outputs)


def finite(outputs: Shaped[np.ndarray, "members ..."]) -> Float[np.ndarray, "members ..."]:
    """The same array, if it is not empty and holds finite floating-point numbers; else an error that says where not."""
    if outputs.size == 0:
        raise ValueError(f"probs is empty: its shape is {outputs.shape}. Pass at least one member and one example.")
    if outputs.dtype.kind != "f":
        raise ValueError(
            f"probs holds {outputs.dtype} values, expected floating-point probabilities, not predicted labels. "
            "If the values are predictions all the same, pass probs.astype('float32')."
        )
    bad = ~np.isfinite(outputs)
    if bad.any():
        index = _first(bad)
        raise ValueError(
            f"probs holds {outputs[index]} in {_place(index, outputs)}; predictions must be finite. "
            f"A member that diverged can be left out: np.delete(probs, {index[0]}, axis=0)."
        )
    return outputs.astype(np.float32) if outputs.dtype == np.float16 else outputs


def check_distributions(probs: Float[np.ndarray, "members *more classes"]) -> None:
    """Raise unless every row is a probability distribution: nothing negative, a sum of 1 within `ROW_SUM_TOLERANCE`."""
    softmax = "If these are logits, apply a softmax first: scipy.special.softmax(probs, axis=-1)"
    if probs.min() < 0:
        index = _first(probs < 0)
        raise ValueError(
            f"probs holds {probs[index]:.4g} in {_place(index, probs)}, expected probabilities. {softmax}."
        )
    bad = _bad_sums(probs)
    if bad.any():
        index = _first(bad)
        raise ValueError(
            f"{_place((*index, 0), probs)} of probs sums to {probs[index].sum():.4g}, expected 1 within "
            f"{ROW_SUM_TOLERANCE}. {softmax}. For independent labels pass task='multilabel', for numbers "
            "task='regression'."
        )


def _known(task: str) -> Task:
    for one in TASKS:
        if task == one:
            return one
    raise ValueError(f"task {task!r} is not known. It is one of {', '.join(map(repr, TASKS))}, or None to infer it.")


def _flat_classes(y: np.ndarray, probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    classes = probs.shape[-1]
    if classes == 1:
        raise ValueError(
            f"probs has shape {probs.shape}, with one column for the classes. Two classes are stored as two columns: "
            "pass np.concatenate([1 - probs, probs], axis=-1), or task='multilabel', or task='regression' for numbers."
        )
    check_distributions(probs)
    labels = _class_numbers(y, probs).ravel()
    if labels.min() < 0 or labels.max() >= classes:
        index = int(np.argmax((labels < 0) | (labels >= classes)))
        hint = "They seem to count from 1: pass y - 1." if labels.min() == 1 and labels.max() == classes else ""
        raise ValueError(
            f"y holds label {labels[index]} at row {index}, outside 0..{classes - 1}: probs has {classes} classes. "
            f"{hint or 'Number the classes from 0, in the order of the columns of probs.'}"
        )
    return labels, probs.reshape(len(probs), -1, classes)


def _class_numbers(y: np.ndarray, probs: np.ndarray) -> np.ndarray:
    if y.shape == probs.shape[1:]:
        if np.any((y != 0) & (y != 1)) or np.any(y.sum(-1) != 1):
            raise ValueError(
                "y has one value per class, but its rows are not one-hot. Pass class numbers: y.argmax(-1)."
            )
        return y.argmax(-1)
    if y.shape not in (probs.shape[1:-1], (*probs.shape[1:-1], 1)):
        raise ValueError(_misfit(y, probs, f"{probs.shape[1:-1]}, or {probs.shape[1:]} for one-hot rows"))
    if np.any(y != np.round(y)):
        index = _first(y != np.round(y))
        raise ValueError(
            f"y holds {y[index]} at row {index[0]}, expected whole class numbers 0..{probs.shape[-1] - 1}. "
            "If y holds numbers to predict, pass task='regression'."
        )
    return y.astype(np.int64)


def _flat_labels(y: np.ndarray, probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if y.shape != probs.shape[1:] and (*y.shape, 1) != probs.shape[1:]:
        raise ValueError(_misfit(y, probs, f"{probs.shape[1:]}: a 0 or 1 for every label"))
    if np.any((y != 0) & (y != 1)):
        index = _first((y != 0) & (y != 1))
        raise ValueError(
            f"y holds {y[index]} at row {index[0]}, but labels are 0 or 1. For classes pass task='multiclass'."
        )
    if probs.min() < 0 or probs.max() > 1:
        index = _first((probs < 0) | (probs > 1))
        raise ValueError(
            f"probs holds {probs[index]:.4g} in {_place(index, probs)}, outside 0..1. If these are logits, apply a "
            "sigmoid first: scipy.special.expit(probs)."
        )
    flat = probs.reshape(len(probs), -1)
    return y.ravel().astype(np.int64), np.stack([1 - flat, flat], axis=-1)


def _flat_targets(y: np.ndarray, probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    targets = probs.shape[-1]
    if y.shape != probs.shape[1:] and (*y.shape, 1) != probs.shape[1:]:
        raise ValueError(_misfit(y, probs, f"{probs.shape[1:]}: a number for every output"))
    return y.reshape(-1, targets).astype(np.float64), probs.reshape(len(probs), -1, targets)


def _numbers(y: ArrayLike) -> Shaped[np.ndarray, "examples ..."]:
    labels = np.asarray(y)
    if labels.dtype.kind not in "buif":
        raise ValueError(
            f"y holds {labels.dtype} values, expected numbers. Number the classes: "
            "np.unique(y, return_inverse=True)[1]."
        )
    if labels.ndim == 0:
        raise ValueError(
            f"y is the single value {labels}, expected one label per example: an array of shape (examples,)."
        )
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        index = _first(~np.isfinite(labels))
        raise ValueError(f"y holds {labels[index]} at row {index[0]}. Leave out the examples that have no label.")
    return labels.astype(np.int64) if labels.dtype.kind in "bu" else labels


def _check_lengths(y: np.ndarray, probs: np.ndarray) -> None:
    if len(y) != probs.shape[1]:
        raise ValueError(
            f"y has {len(y)} examples, but probs has {probs.shape[1]}: its shape is {probs.shape}, read as (members, "
            "examples, classes). Pass the same examples, in the same order, to both."
        )


def _check_weight(sample_weight: ArrayLike, examples: int) -> PerExample:
    given = np.asarray(sample_weight)
    if given.dtype.kind not in "buif":
        raise ValueError(
            f"sample_weight holds {given.dtype} values, expected numbers: one weight of at least 0 per example."
        )
    weight = given.astype(np.float64)
    if weight.shape != (examples,):
        raise ValueError(f"sample_weight has shape {weight.shape}, expected ({examples},): one weight per example.")
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        index = int(np.argmax(bad))
        raise ValueError(
            f"sample_weight holds {weight[index]} at row {index}, expected finite numbers of at least 0. Use 0 to "
            "leave an example out."
        )
    if not weight.any():
        raise ValueError(
            "sample_weight is 0 for every example, so nothing is left to average. Give some a weight above 0."
        )
    return weight


def _bad_sums(probs: np.ndarray) -> Bool[np.ndarray, "members *more"]:
    return np.abs(probs.sum(-1, dtype=np.float64) - 1) > ROW_SUM_TOLERANCE


def _first(mask: Bool[np.ndarray, "..."]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(np.argmax(mask), mask.shape))


def _place(index: tuple[int, ...], probs: np.ndarray) -> str:
    row = index[1] if len(index) == 3 else index[1:-1]
    return f"row {row}" if len(probs) == 1 else f"member {index[0]}, row {row}"


def _misfit(y: np.ndarray, probs: np.ndarray, expected: str) -> str:
    return f"y has shape {y.shape}, which does not fit probs of shape {probs.shape}. Expected {expected}."
