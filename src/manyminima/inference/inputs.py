"""Whatever Keras users call data, as batches of NumPy arrays: arrays, tf.data, DataLoader, PyDataset, generators."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

__all__ = ["Batch", "Rows", "batches", "is_dataset", "pad", "power_of_two", "rows"]


class Batch(NamedTuple):
    """Inputs, and where the source has them labels and sample weights; the first axis of every array is the example."""

    x: Any
    y: Any = None
    sample_weight: Any = None


def rows(x: Any) -> int:
    """Return the number of examples in a (nested) array.

    Raises:
        ValueError: its arrays have different lengths.
    """
    lengths = {len(leaf) for leaf in keras.tree.flatten(x) if leaf is not None}
    if len(lengths) != 1:
        raise ValueError(
            f"inputs of different lengths: {sorted(lengths)}. Expected one row per example in every array."
        )
    return lengths.pop()


def is_dataset(x: Any) -> bool:
    """Tell whether `x` yields batches itself, instead of being arrays to cut into batches."""
    if isinstance(x, keras.utils.PyDataset):
        return True
    is_array = hasattr(x, "shape") or hasattr(x, "iloc")
    return not is_array and not isinstance(x, dict | list | tuple) and isinstance(x, Iterable)


def batches(x: Any, batch_size: int, y: Any = None, sample_weight: Any = None) -> Iterator[Batch]:
    """Yield batches in order; the last one may be smaller. A data set's own batch size is kept.

    Raises:
        ValueError: a data set was given together with `y`, no example at all, or arrays of different lengths.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: expected at least 1 example at a time.")
    if is_dataset(x):
        if y is not None or sample_weight is not None:
            raise ValueError("y and sample_weight come out of the data set itself: pass the data set alone.")
        source = (_unpack(batch) for batch in _iterate(x))
    else:
        whole = _map(_array, Batch(x, y, sample_weight))
        n = rows(whole)
        source = (_map(lambda a, i=i: a[i : i + batch_size], whole) for i in range(0, n, batch_size))
    first = next(source, None)
    if first is None:
        raise ValueError("there is no example to predict: x is empty (or a generator that is used up already).")
    yield from itertools.chain([first], source)


def pad(x: Any, size: int) -> Any:
    """Repeat the last row until there are `size` rows, so that a compiled program sees one shape only."""
    missing = size - rows(x)
    if missing <= 0:
        return x
    return keras.tree.map_structure(lambda a: np.concatenate([a, np.repeat(a[-1:], missing, axis=0)]), x)


def power_of_two(n: int) -> int:
    """Return the smallest power of two that is at least `n`: few shapes to compile for, whatever sizes are predicted."""
    return 1 << (n - 1).bit_length()


class Rows:
    """Arrays gathered batch by batch along `axis`; where the total is known, into one array made at the first batch."""

    def __init__(self, total: int | None, axis: int = 0):
        self._total, self._axis = total, axis
        self._parts: list = []
        self._whole: Any = None
        self.count = 0

    def add(self, part: Any, n: int) -> None:
        """Take in the next batch, a (nested) array of `n` rows, or None."""
        if self._total is None or part is None:
            self._parts.append(part)
        else:
            if self._whole is None:
                self._whole = keras.tree.map_structure(self._empty, part)
            place = (slice(None),) * self._axis + (slice(self.count, self.count + n),)
            keras.tree.map_structure(lambda whole, new: whole.__setitem__(place, new), self._whole, part)
        self.count += n

    def _empty(self, part: np.ndarray) -> np.ndarray:
        shape = list(part.shape)
        shape[self._axis] = self._total
        return np.empty(shape, part.dtype)

    @property
    def array(self) -> Any:
        """All rows; None if the batches had none."""
        if self._whole is not None or not self._parts or self._parts[0] is None:
            return self._whole
        return keras.tree.map_structure(lambda *parts: np.concatenate(parts, axis=self._axis), *self._parts)


def _iterate(x: Any) -> Iterable:
    return (x[i] for i in range(x.num_batches)) if isinstance(x, keras.utils.PyDataset) else x


def _unpack(batch: Any) -> Batch:
    batch = tuple(batch) if isinstance(batch, list) else batch  # a torch DataLoader yields lists
    return _map(_array, Batch(*keras.utils.unpack_x_y_sample_weight(batch)))


def _map(function: Callable, batch: Batch) -> Batch:
    return keras.tree.map_structure(lambda leaf: None if leaf is None else function(leaf), batch)


def _array(leaf: Any) -> np.ndarray:
    """Return a NumPy array; double precision becomes Keras's own, as in `fit`."""
    array = np.asarray(leaf.detach().cpu() if hasattr(leaf, "detach") else leaf)
    return array.astype(keras.config.floatx()) if array.dtype == np.float64 else array
