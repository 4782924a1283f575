"""Batches in, rows of predictions out: the next batch is read and sent to the device while the present one is computed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from math import isnan
from typing import Any, NamedTuple

import keras
import numpy as np

from manyminima.calibrate import Temperature
from manyminima.combination import Combination
from manyminima.combine import mean
from manyminima.inference import inputs, outputs
from manyminima.inference.arguments import combined
from manyminima.inference.execution import Execution, batches_at_once, compiles_each_shape
from manyminima.inference.inputs import Batch, Rows
from manyminima.inference.programs import Pending, Program
from manyminima.runs.tasks import Task

__all__ = ["Reader", "Way", "each_member", "gather", "size_of", "way_of"]

_AHEAD = 1  # batches under way beside the one that is waited for


class Reader(NamedTuple):
    """Makes checked probabilities of what members put out; it knows what to call them in an error."""

    model: keras.Model
    tasks: dict[str, Task | None]
    files: list[str]

    def __call__(self, raw: Any, rows: int, first_row: int) -> dict[str, np.ndarray]:
        """Return (members, rows, ..., classes) of each output of a batch that may be padded.

        Raises:
            ValueError: NaN or infinity, naming member and row, or what are no probabilities.
        """
        named = outputs.by_name(raw, self.model).items()
        return {name: self._checked(name, output[:, :rows], first_row) for name, output in named}

    def _checked(self, output: str, raw: np.ndarray, first_row: int) -> np.ndarray:
        task = outputs.task_of(self.tasks, output, self.model.name, raw.shape[-1])
        probs = outputs.probabilities(raw, task, self.model.name)
        if not np.isfinite(probs).all():
            member, row = np.argwhere(~np.isfinite(probs))[0][:2]
            file = f" ('{self.files[member]}')" if self.files[member] else ""
            others = f"ensemble[:{member}]" if member else "ensemble[1:]"
            raise ValueError(
                f"member {member}{file} predicts NaN or infinity for row {first_row + row}. Look for NaN in that row of the "
                f"inputs; if there is none, the member has diverged: leave it out, as in {others}."
            )
        return probs


class Way(NamedTuple):
    """How predictions of a batch come about.

    Attributes:
        start: From the inputs, which may be padded, to what is under way.
        finish: From those inputs, what is under way, the number of rows that count and the first one's place among all, to the
            predictions of each output.
        axis: Of them, along which the rows are.
    """

    start: Callable[[Any], Pending]
    finish: Callable[[Any, Pending, int, int], dict[str, np.ndarray]]
    axis: int


def each_member(program: Callable[[], Program], read: Reader) -> Way:
    """Return the way to what every member predicts, (members, rows, ..., classes)."""
    return Way(
        lambda x: program().members(x), lambda x, pending, rows, first_row: read(pending(), rows, first_row), axis=1
    )


def way_of(combine: Callable | None, members: int, program: Callable[[], Program], read: Reader) -> Way:
    """Return the way to one prediction, (rows, ..., classes).

    A mean of members is taken where they are computed; other rules get what every member predicts, batch by batch.
    """
    combination = Combination() if combine is None or combine is mean else combine
    every = each_member(program, read)

    def on_arrays(x: Any, pending: Pending, rows: int, first_row: int) -> dict[str, np.ndarray]:
        rule = combine or mean
        found = every.finish(x, pending, rows, first_row)
        return {name: combined(rule(probs), rows) for name, probs in found.items()}

    if not (isinstance(combination, Combination) and all(read.tasks.values()) and _suits(combination, members)):
        return Way(every.start, on_arrays, axis=0)  # or their errors
    calibrate = combination.calibrator
    start = cache(lambda: program().mean(combination.coefficients(members)))

    def on_device(x: Any, pending: Pending, rows: int, first_row: int) -> dict[str, np.ndarray]:
        means = {name: values[:rows] for name, values in pending().items()}
        if any(isnan(values.item(0)) for values in means.values()):  # which member, and which row?
            return on_arrays(x, program().members(x), rows, first_row)
        return means if calibrate is None else {name: calibrate(values) for name, values in means.items()}

    return Way(lambda x: start()(x), on_device, axis=0)


def size_of(model: keras.Model, members: int, how: Execution) -> Callable[[Any, int | None], int]:
    """Return how many rows to predict at once as a function of the inputs, and of their number where it is known."""
    numbers_out = members * outputs.numbers_out(model)
    numbers_within = outputs.widest(model) * (members if how == "stacked" else 1)
    several = batches_at_once()

    def size(x: Any, total: int | None) -> int:
        most = several * inputs.rows_at_once(x, numbers_out, numbers_within)
        return min(most, inputs.power_of_two(total)) if total else most

    return size


def _suits(combination: Combination, members: int) -> bool:
    """Tell whether a mean in single precision is enough of these members, and for the calibrator behind it.

    Steep curves make much of the last digit; so does what a label's probability close to 1 leaves.
    """
    calibrator = combination.calibrator
    gentle = calibrator is None or (isinstance(calibrator, Temperature) and calibrator.task != "multilabel")
    return gentle and len(combination.coefficients(members)) == members


def gather(batches: Iterable[Batch], way: Way, total: int | None, size: int | None) -> tuple[Any, Any, Any]:
    """Return the predictions, labels and sample weights of all batches; a dict of predictions where outputs have names.

    Args:
        batches: each is read once.
        way: how they are predicted.
        total: the number of rows, where it is known.
        size: rows that every batch is padded to, where the backend compiles each shape; None: those of the first one.
    """
    gathered: dict[str, Rows] = {}
    labels, weights = Rows(total), Rows(total)
    for batch, rows, x, pending in _ahead(batches, way, size):
        for name, part in way.finish(x, pending, rows, labels.count).items():
            gathered.setdefault(name, Rows(total, way.axis)).add(part.astype("float32", copy=False), rows)
        labels.add(batch.y, rows)
        weights.add(batch.sample_weight, rows)
    result = {name: rows.array for name, rows in gathered.items()}
    return result.get("", result), labels.array, weights.array


def _ahead(batches: Iterable[Batch], way: Way, size: int | None) -> Iterator[tuple[Batch, int, Any, Pending]]:
    padded, waiting = compiles_each_shape(), deque()
    for batch in batches:
        rows = inputs.rows(batch.x)
        size = size or rows
        x = inputs.pad(batch.x, size) if padded and rows < size else batch.x
        waiting.append((batch, rows, x, way.start(x)))
        if len(waiting) > _AHEAD:
            yield waiting.popleft()
    yield from waiting
