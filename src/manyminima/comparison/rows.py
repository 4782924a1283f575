"""The rows of a study: three parts, checked before a model trains on them."""

import hashlib
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from manyminima.arrays import Task
from manyminima.datasets import Dataset
from manyminima.datasets.checks import checked

__all__ = ["PARTS", "check_labels", "count", "dataset_of", "digest", "first_rows"]

PARTS = ("train", "val", "test")
_HOW = "((x_train, y_train), (x_val, y_val), (x_test, y_test)), or what mm.datasets.load gives"


def dataset_of(data: Any) -> Dataset:
    """Return the three parts: a data set as it is, or one of pairs of arrays.

    Raises:
        TypeError: it is neither.
        ValueError: a part has no rows, lengths differ, an input is not finite, or rows are in two parts.
    """
    given = data if isinstance(data, Dataset) else _of_pairs(data)
    for part, x, y in _parts(given):
        _check_part(part, x, y, gaps="table" in given.contract)
    _check_apart(given)
    return given


def _of_pairs(data: Any) -> Dataset:
    named = isinstance(data, Mapping)
    if not isinstance(data, tuple | list) or len(data) != len(PARTS) or not all(_is_pair(pair) for pair in data):
        what = f"a {type(data).__name__}" + (f" with {', '.join(map(str, data))}" if named else "")
        raise TypeError(f"the data of a study are {what}: expected {_HOW}.")
    if several := next((y for _, y in data if isinstance(y, Mapping)), None):
        raise TypeError(
            f"the labels are a dictionary of {', '.join(map(str, several))}: a study compares one output. Pass the labels of the "
            f"one that matters, and let build_model return a model with that output."
        )
    pairs = [(_arrays(x), np.asarray(y)) for x, y in data]
    contract = {"source": "arrays", "classes": [], "task": None, "seed": None}
    train, val, test = pairs
    return Dataset(*train, *val, *test, contract)


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, tuple | list) and len(pair) == 2


def _arrays(x: Any) -> Any:
    """Return NumPy arrays in the structure they came in, dictionaries and tuples of inputs; double as single precision."""
    if isinstance(x, Mapping):
        return {name: _arrays(value) for name, value in x.items()}
    if isinstance(x, tuple | list) and all(hasattr(value, "shape") for value in x):
        return tuple(_arrays(value) for value in x)
    array = np.asarray(x)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _parts(data: Dataset) -> list[tuple[str, Any, np.ndarray]]:
    return [(part, getattr(data, f"x_{part}"), getattr(data, f"y_{part}")) for part in PARTS]


def _leaves(x: Any) -> list[np.ndarray]:
    if not isinstance(x, Mapping | tuple):
        return [x]
    return [leaf for value in (x.values() if isinstance(x, Mapping) else x) for leaf in _leaves(value)]


def count(x: Any) -> int:
    """Return how many rows inputs have."""
    return len(_leaves(x)[0])


def first_rows(x: Any, rows: int) -> Any:
    """Return the first rows of inputs, in their structure."""
    if isinstance(x, Mapping):
        return {name: first_rows(value, rows) for name, value in x.items()}
    return tuple(first_rows(value, rows) for value in x) if isinstance(x, tuple) else x[:rows]


def _check_part(part: str, x: Any, y: np.ndarray, *, gaps: bool) -> None:
    """Check lengths and inputs; what labels must be is known with the model only. A table's own gaps are NaN."""
    if not y.ndim or not len(y):
        raise ValueError(f"the {part} part has no rows: a study needs rows in all three. Expected {_HOW}.")
    for leaf in _leaves(x):
        columns = leaf if leaf.ndim > 1 else leaf.reshape(len(leaf), -1)
        known = np.nan_to_num(columns, nan=0.0) if gaps and columns.dtype.kind == "f" else columns
        checked(known, np.zeros(len(y), "int64"), task="multiclass", part=part)


def _check_apart(data: Dataset) -> None:
    """Raise ValueError if two parts are the same rows, or share some."""
    for (one, x, _), (other, z, _) in combinations(_parts(data), 2):
        a, b = _leaves(x)[0], _leaves(z)[0]
        if _share_memory(a, b) or np.array_equal(a, b):
            raise ValueError(
                f"the {one} part and the {other} part have rows in common: what is chosen or scored on rows that something else "
                f"saw tells nothing. Split the rows once, for example with sklearn.model_selection.train_test_split."
            )


def _share_memory(a: np.ndarray, b: np.ndarray) -> bool:
    try:
        return np.shares_memory(a, b, max_work=1000)  # pyright: ignore[reportArgumentType]
    except np.exceptions.TooHardError:  # steps through memory that cannot be told apart cheaply
        return False


def check_labels(data: Dataset, task: Task, outputs: int | None) -> list[np.ndarray]:
    """Return the labels of the three parts as scores take them: class numbers, or targets as they are.

    Args:
        data: whose labels are as the model's loss takes them: class numbers, or one column for each class.
        task: what the model predicts.
        outputs: how many classes it tells apart; None: any.

    Raises:
        ValueError: labels are not whole numbers, not of these classes, or all the same.
    """
    found = []
    for part, _, y in _parts(data):
        hard = _class_numbers(y, outputs) if task != "regression" else y
        columns = hard.reshape(-1) if task != "regression" else hard
        checked(np.zeros((len(columns), 1), "float32"), columns, task=task, part=part)
        if task != "regression" and outputs is not None and columns.max() >= outputs:
            row = int(np.argmax(columns >= outputs))
            raise ValueError(
                f"{part} label {row} is {columns[row]}, and the model knows {outputs} classes: expected 0 to {outputs - 1}. "
                f"Give its last layer {int(columns.max()) + 1} units, or number the classes from 0."
            )
        if part == "train" and (columns == columns[0]).all():
            raise ValueError(
                f"all training labels are {columns[0]}: there is nothing to learn. Expected at least two values."
            )
        found.append(hard.astype("int64") if task != "regression" else hard)
    return found


def _class_numbers(y: np.ndarray, outputs: int | None) -> np.ndarray:
    """Return the class of each row, also of one-hot rows and of a column of 0.0 and 1.0, as a binary loss may have it."""
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim > 1 and y.shape[-1] == outputs and (y.sum(axis=-1) == 1).all():
        return y.argmax(axis=-1)
    return y.astype("int64") if y.dtype.kind == "f" and set(np.unique(y[:1000])) <= {0.0, 1.0} and _whole(y) else y


def _whole(y: np.ndarray) -> bool:
    return bool(np.isfinite(y).all() and (y == np.round(y)).all())


def digest(data: Dataset) -> str:
    """Return a SHA-256 over all rows, in their order, with the names of inputs."""
    found = hashlib.sha256()
    for part, x, y in _parts(data):
        found.update(f"{part} {sorted(x) if isinstance(x, Mapping) else ''}".encode())
        for array in (*_leaves(x), y):
            found.update(f"{array.dtype} {array.shape}".encode())
            found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()
