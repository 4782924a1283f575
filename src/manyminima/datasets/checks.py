"""What must hold of inputs and labels before anything is trained on them. Each error names the row and the way out."""

import numpy as np


def checked(x: np.ndarray, y: np.ndarray, *, task: str, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs (float64 as float32, others as they are) and labels (int64; float32 for regression).

    Args:
        x: inputs, (rows, ...).
        y: labels, (rows,); for regression also (rows, targets).
        task: "multiclass" or "regression".
        part: what to call these rows in an error, for example "train".

    Raises:
        ValueError: lengths differ, an input is NaN or infinite, or the labels are not the task's.
    """
    if x.dtype.kind not in "biuf":
        raise ValueError(f"the {part} inputs are of type {x.dtype}. Expected numbers: use x.astype('float32').")
    if x.ndim < 2:
        raise ValueError(f"the {part} inputs have shape {x.shape}. Expected (rows, ...): use x.reshape(len(x), -1).")
    if len(x) == 0 or y.ndim == 0 or len(x) != len(y):
        raise ValueError(
            f"the {part} part has {len(x)} inputs {x.shape} and labels of shape {y.shape}. Expected one label per input, "
            f"and at least one: save arrays of the same length."
        )
    _finite(x, f"{part} inputs")
    labels = _targets(y, part) if task == "regression" else _labels(y, part)
    return (x.astype(np.float32) if x.dtype == np.float64 else x), labels


def check_classes(y: np.ndarray, classes: int, part: str) -> None:
    """Raise a ValueError unless all labels are below the number of classes."""
    if y.max() >= classes:
        row = int(np.argmax(y >= classes))
        raise ValueError(
            f"{part} row {row} has label {y[row]}, but there are {classes} classes: expected 0 to {classes - 1}. "
            f"Remove such rows, or train on data that has them."
        )


def check_every_class(y: np.ndarray, least: int, why: str) -> None:
    """Raise a ValueError unless each class from 0 to the largest has at least `least` rows."""
    counts = np.bincount(y)
    if not counts.all():
        present = ", ".join(map(str, np.flatnonzero(counts)[:10]))
        raise ValueError(
            f"no training row has label {np.argmin(counts)}; there are rows of {present}. Expected labels 0, 1, 2, ... "
            f"without gaps: use y = numpy.unique(y, return_inverse=True)[1]."
        )
    if len(counts) < 2:
        raise ValueError("all training rows have label 0. Expected at least two classes: check the labels.")
    if counts.min() < least:
        raise ValueError(
            f"class {np.argmin(counts)} has {counts.min()} rows. Expected at least {least}, {why}. Add rows of it, "
            f"leave the class out, or save your own x_train, y_train, x_val, y_val, x_test, y_test."
        )


def _finite(x: np.ndarray, what: str) -> None:
    if x.dtype.kind != "f" or np.isfinite(x).all():
        return
    bad = ~np.isfinite(x.reshape(len(x), -1)).all(axis=1)
    value = x[bad][0][~np.isfinite(x[bad][0])][0]
    raise ValueError(
        f"row {int(np.argmax(bad))} of the {what} holds {value} ({int(bad.sum())} of {len(x)} rows do). Expected finite "
        f"numbers: drop those rows, or fill them in, for example with numpy.nan_to_num(x)."
    )


def _targets(y: np.ndarray, part: str) -> np.ndarray:
    if y.dtype.kind not in "biuf" or y.ndim > 2:
        raise ValueError(
            f"the {part} targets are {y.dtype} of shape {y.shape}. Expected numbers of shape (rows,) or (rows, targets)."
        )
    _finite(y, f"{part} targets")
    return y.astype(np.float32)


def _labels(y: np.ndarray, part: str) -> np.ndarray:
    if y.ndim != 1:
        fix = "y.argmax(axis=1)" if y.ndim == 2 and y.shape[1] > 1 else "y.ravel()"
        raise ValueError(f"the {part} labels have shape {y.shape}. Expected one class number per row: save {fix}.")
    if y.dtype.kind not in "biu":
        row = int(np.argmax(y != np.round(y))) if y.dtype.kind == "f" else 0
        raise ValueError(
            f"the {part} labels are {y.dtype}, not integers (row {row}: {y[row]}). Expected class numbers 0, 1, 2, ...: "
            f"use y.astype(int), or numpy.unique(y, return_inverse=True)[1] for names, or the task 'regression'."
        )
    if y.min() < 0:
        row = int(np.argmax(y < 0))
        raise ValueError(
            f"{part} row {row} has label {y[row]}. Expected class numbers 0, 1, 2, ...: use "
            f"y = numpy.unique(y, return_inverse=True)[1]."
        )
    return y.astype(np.int64)
