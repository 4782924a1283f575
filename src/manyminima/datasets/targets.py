"""The column of a table that is to be predicted: classes by their names, or numbers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from manyminima.datasets.columns import FEW, numbers
from manyminima.datasets.natural import natural_order
from manyminima.datasets.records import Table

LEAST = 5  # the smallest class of which a fifth is one row
_MOST_CLASSES = 10_000


@dataclass(frozen=True)
class Target:
    """What is predicted, as a run keeps it.

    Args:
        name: of the column.
        task: "multiclass" or "regression".
        classes: names in the order of the class numbers; empty for a regression.
        mean: of the training rows' numbers, for a regression.
        deviation: their standard deviation.
    """

    name: str
    task: str
    classes: tuple[str, ...] = ()
    mean: float = 0.0
    deviation: float = 1.0

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self.classes)}

    def encode(self, cells: Sequence[str], first: int, path: Any) -> np.ndarray:
        """Return the cells as class numbers (rows,) int64, or as numbers (rows,) float32.

        Raises:
            ValueError: a cell is empty, no number, or a class that the run does not know; the message names the row.
        """
        gaps = [i for i, cell in enumerate(cells) if not cell]
        if gaps:
            raise ValueError(
                f"row {first + gaps[0]} below the header of '{path}' has no value in the target column {self.name!r}. Expected "
                f"a label in each: remove such rows; `manyminima predict` takes rows without labels."
            )
        if self.task == "regression":
            return _checked_numbers(cells, first, path, self.name)
        codes = [self._codes.get(cell, self._codes.get(_canonical(cell), -1)) for cell in cells]
        if -1 in codes:
            row = codes.index(-1)
            raise ValueError(
                f"row {first + row} below the header of '{path}' has {cells[row]!r:.60} in the target column {self.name!r}. "
                f"Expected one of {_shown(self.classes)}: remove such rows, or train on data that has them."
            )
        return np.array(codes, np.int64)

    def fitted(self, y: np.ndarray) -> "Target":
        """Return a regression's target with mean and standard deviation of the training rows, (rows,)."""
        if self.task != "regression":
            return self
        deviation = float(y.std(dtype=np.float64))
        if deviation == 0:
            raise ValueError(
                f"the target column {self.name!r} holds {y[0]:.10g} in all training rows. Expected numbers that differ: "
                f"name another --target."
            )
        return replace(self, mean=float(y.mean(dtype=np.float64)), deviation=deviation)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for `run.json`; the classes are elsewhere in it."""
        return {name: value for name, value in asdict(self).items() if name != "classes"}


def read_target(table: Table, name: str, task: str | None) -> tuple[Target, np.ndarray]:
    """Return what a column holds, and all of it: class numbers (rows,) int64, or numbers (rows,) float32.

    Text makes classes, sorted by name; so do whole numbers of which there are few. Other numbers make a regression.

    Args:
        table: which has this column.
        name: of the column.
        task: "multiclass" or "regression" if it is not to be told from the values.

    Raises:
        ValueError: labels are missing, they are not what the task needs, or a class has too few rows.
    """
    words, codes, values, whole = _gathered(table, name)
    few = words is not None and len(words) <= FEW and len(codes) >= LEAST * len(words)
    found = task or ("multiclass" if values is None or (whole and few) else "regression")
    if found == "regression":
        return _regression(table, name, values)
    if words is None:
        raise ValueError(
            f"the target column {name!r} of '{table.path}' holds more than {_MOST_CLASSES:,} different values. Expected "
            f"classes, each with several rows: name another --target, or for numbers --task regression."
        )
    named = [_canonical(word) if whole else word for word in words]
    classes = sorted(set(named), key=natural_order)
    if whole:
        classes.sort(key=float)
    place = {label: code for code, label in enumerate(classes)}
    y = np.array([place[label] for label in named], np.int64)[codes]
    _check_classes(y, classes, table, name, numeric=values is not None)
    return Target(name, "multiclass", tuple(classes)), y


def _gathered(table: Table, name: str) -> tuple[dict[str, int] | None, np.ndarray, np.ndarray | None, bool]:
    """Return the different words by number, each row's number, and of numbers all values, float32, and if they are whole."""
    words: dict[str, int] | None = {}
    values: list[np.ndarray] | None = []
    codes, rows, gaps, first, whole = [], 0, 0, 0, True
    for chunk in table.chunks([name]):
        cells = chunk.columns[0]
        if "" in cells:
            first = first or chunk.first + cells.index("")
            gaps += cells.count("")
        found = numbers(cells) if values is not None else None
        if values is None or found is None:
            values = None
        else:
            whole = whole and bool(np.all(found == np.round(found)))
            values.append(_single(found))
        if words is not None:
            for word in dict.fromkeys(cells):
                words.setdefault(word, len(words))
            codes.append(np.fromiter(map(words.__getitem__, cells), np.int32, len(cells)))
            words = words if len(words) <= _MOST_CLASSES else None
        rows += len(cells)
    if gaps:
        raise ValueError(_unlabelled(table.path, name, first, gaps, rows))
    every = None if values is None else np.concatenate(values)
    return words, np.concatenate(codes), every, whole and values is not None


def _single(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _regression(table: Table, name: str, values: np.ndarray | None) -> tuple[Target, np.ndarray]:
    if values is None:
        for chunk in table.chunks([name]):
            _checked_numbers(chunk.columns[0], chunk.first, table.path, name)
    y = np.asarray(values)
    if not np.isfinite(y).all():
        raise ValueError(_not_finite(table.path, name, int(np.argmin(np.isfinite(y))) + 1))
    return Target(name, "regression"), y


def _checked_numbers(cells: Sequence[str], first: int, path: Any, name: str) -> np.ndarray:
    found = numbers(cells)
    if found is None:
        row = next(i for i, cell in enumerate(cells) if numbers([cell]) is None)
        raise ValueError(
            f"row {first + row} below the header of '{path}' has {cells[row]!r:.60} in the target column {name!r}. Expected "
            f"numbers, because the task is regression: correct the cell, or predict classes with --task multiclass."
        )
    y = _single(found)
    if not np.isfinite(y).all():
        raise ValueError(_not_finite(path, name, first + int(np.argmin(np.isfinite(y)))))
    return y


def _not_finite(path: Any, name: str, row: int) -> str:
    return (
        f"row {row} below the header of '{path}' has no finite number in the target column {name!r}. Expected numbers that "
        f"float32 can hold: correct the cell, or remove the row."
    )


def _unlabelled(path: Any, name: str, row: int, count: int, rows: int) -> str:
    return (
        f"{count:,} of {rows:,} rows of '{path}' have no value in the target column {name!r}, the first is row {row} below the "
        f"header. Expected a label in each: remove those rows; `manyminima predict` takes rows without labels."
    )


def _check_classes(y: np.ndarray, classes: list[str], table: Table, name: str, *, numeric: bool) -> None:
    counts = np.bincount(y, minlength=len(classes))
    if len(classes) < 2:
        raise ValueError(
            f"the target column {name!r} of '{table.path}' holds {classes[0]!r} in all rows. Expected at least two classes: "
            f"name another --target."
        )
    if counts.min() < LEAST:
        rare = [f"{classes[c]!r} has {counts[c]}" for c in np.flatnonzero(counts < LEAST)[:5]]
        regression = ", or predict numbers with --task regression" if numeric else ""
        raise ValueError(
            f"of the {len(classes):,} classes in the target column {name!r} of '{table.path}', {', '.join(rare)} "
            f"row{'s' if counts[counts < LEAST][-1] != 1 else ''}. Expected at least {LEAST} of each, so that each part of the "
            f"split gets one: add rows of it, remove the class{regression}."
        )


def _canonical(word: str) -> str:
    """Whole numbers in one form: "1.0" is the class "1"."""
    value = numbers([word])
    return str(int(value[0])) if value is not None and np.isfinite(value[0]) and value[0] == round(value[0]) else word


def _shown(classes: Sequence[str]) -> str:
    return ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")
