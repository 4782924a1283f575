"""Whatever Keras users call data, as batches of NumPy arrays: arrays, tf.data, DataLoader, PyDataset, generators."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from manyminima.parameters import is_whole

__all__ = ["Batch", "Rows", "batches", "is_dataset", "map_arrays", "pad", "power_of_two", "rows", "rows_at_once"]

_MOST, _FEWEST = 1024, 32  # rows at once, unless the user says otherwise
_NUMBERS_IN, _NUMBERS_OUT = 2**17, 2**24  # what goes into a program at once, and what comes out of it: 64 MB
_NUMBERS_WITHIN = 2**20  # of the largest array on the way, 4 MB: what comes next finds it in a processor's cache


class Batch(NamedTuple):
    """Inputs, and where the source has them labels and sample weights; the first axis of every array is the example."""

    x: Any
    y: Any = None
    sample_weight: Any = None

    def map(self, function: Callable) -> "Batch":
        """Return `function` of every array."""
        return Batch(*(None if part is None else map_arrays(function, part) for part in self))


def map_arrays(function: Callable, arrays: Any) -> Any:
    """Return `function` of every array in a nested structure; None, which stands for an input left out, stays None."""
    if hasattr(arrays, "shape"):  # by itself, as most are: a tree of one costs more than what is done to it
        return function(arrays)
    return keras.tree.map_structure(lambda leaf: None if leaf is None else function(leaf), arrays)


def rows(x: Any) -> int:
    """Return the number of examples in a (nested) array.

    Raises:
        ValueError: something in it is no array, or its arrays have different lengths.
    """
    if isinstance(x, np.ndarray) and x.ndim:
        return len(x)
    leaves = _leaves(x)
    for leaf in leaves or [None]:
        if not getattr(leaf, "shape", ()):
            raise ValueError(
                f"found {leaf!r:.50} where an array was expected, with one row per example. Make an array of a list of "
                f"numbers: np.array(x); of a single example: x[None]."
            )
    lengths = {int(leaf.shape[0]) for leaf in leaves}
    if len(lengths) != 1:
        raise ValueError(
            f"inputs of different lengths: {sorted(lengths)}. Expected one row per example in every array."
        )
    return lengths.pop()


def _leaves(x: Any) -> list[Any]:
    return [leaf for leaf in keras.tree.flatten(x) if leaf is not None]


def is_dataset(x: Any) -> bool:
    """Tell whether `x` yields batches itself, instead of being arrays to cut into batches."""
    if isinstance(x, np.ndarray):
        return False
    if isinstance(x, keras.utils.PyDataset):
        return True
    is_array = hasattr(x, "shape") or hasattr(x, "iloc")
    return not is_array and not isinstance(x, dict | list | tuple | str | bytes) and isinstance(x, Iterable)


def batches(x: Any, batch_size: int, y: Any = None, sample_weight: Any = None) -> Iterator[Batch]:
    """Yield batches in order; the last one may be smaller. A data set's own batch size is kept.

    Raises:
        ValueError: a data set was given together with `y`, no example at all, or arrays of different lengths.
    """
    if not is_whole(batch_size):
        raise ValueError(
            f"batch_size={batch_size!r:.60}: expected a whole number of at least 1, such as batch_size=256."
        )
    if is_dataset(x):
        if y is not None or sample_weight is not None:
            raise ValueError("y and sample_weight come out of the data set itself: pass the data set alone.")
        # Copies: a source may use its buffer again for the next batch, which is read while this one is computed.
        source = (_unpack(batch).map(lambda leaf: np.array(_array(leaf))) for batch in _iterate(x))
    else:
        whole = Batch(x, y, sample_weight)
        total = rows(x if y is None and sample_weight is None else whole)
        whole = whole.map(_array)
        source = (whole.map(lambda a, i=i: a[i : i + batch_size]) for i in range(0, total, batch_size))
    batch = None
    for batch in source:
        yield batch._replace(x=map_arrays(_as_in_fit, batch.x))
    if batch is None:
        raise ValueError("there is no example to predict: x is empty (or a generator that is used up already).")


def rows_at_once(x: Any, numbers_out: int, numbers_within: int = 0) -> int:
    """Return how many examples to predict at once: a power of two, fewer where examples or outputs are large.

    Args:
        x: a (nested) array, or a data set, which is not asked.
        numbers_out: how many numbers all members together predict for one example.
        numbers_within: how many numbers the largest array has on the way there; 0: not known.
    """
    fitting = _NUMBERS_WITHIN // numbers_within if numbers_within else _NUMBERS_IN // max(_numbers_in(x), 1)
    wanted = min(_MOST, max(_FEWEST, fitting))
    return 1 << (max(1, min(wanted, _NUMBERS_OUT // numbers_out)).bit_length() - 1)


def _numbers_in(x: Any) -> int:
    return 1 if is_dataset(x) else sum(math.prod(leaf.shape[1:]) for leaf in _leaves(x))


def pad(x: Any, size: int) -> Any:
    """Repeat the last row until there are `size` rows, so that a compiled program sees one shape only."""
    missing = size - rows(x)
    if missing <= 0:
        return x
    return map_arrays(lambda a: _lengthened(a, size), x)


def _lengthened(array: np.ndarray, size: int) -> np.ndarray:
    longer = np.empty((size, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    longer[len(array) :] = array[-1]
    return longer


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
        elif n == self._total:
            self._whole = part
        else:
            if self._whole is None:
                self._whole = map_arrays(self._empty, part)
            place = (slice(None),) * self._axis + (slice(self.count, self.count + n),)
            if isinstance(part, np.ndarray):
                self._whole[place] = part
            else:
                keras.tree.map_structure(lambda whole, new: _put(whole, place, new), self._whole, part)
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
        return keras.tree.map_structure(
            lambda *parts: None if parts[0] is None else np.concatenate(parts, axis=self._axis), *self._parts
        )


def _put(whole: np.ndarray | None, place: tuple, new: np.ndarray | None) -> None:
    if whole is not None:
        whole[place] = new


def _iterate(x: Any) -> Iterable:
    is_pydataset = isinstance(x, keras.utils.PyDataset)
    endless = x.num_batches is None if is_pydataset else hasattr(x, "cardinality") and int(x.cardinality()) == -1
    if endless:
        raise ValueError("the data set never ends: leave out repeat(), or pass dataset.take(number of batches).")
    return (x[i] for i in range(x.num_batches)) if is_pydataset else x


def _unpack(batch: Any) -> Batch:
    batch = tuple(batch) if isinstance(batch, list) else batch  # a torch DataLoader yields lists
    return Batch(*keras.utils.unpack_x_y_sample_weight(batch))


def _array(leaf: Any) -> np.ndarray:
    array = np.asarray(leaf.detach().cpu() if hasattr(leaf, "detach") else leaf)
    if array.dtype == object and not all(isinstance(item, str | bytes) for item in array.flat):
        raise ValueError(
            f"the data holds Python objects, such as {array.flat[0]!r:.50}, where numbers were expected. Write "
            f'x.astype("float32"); of a table with columns of several kinds, encode those that are no numbers first.'
        )
    return array


def _as_in_fit(array: np.ndarray) -> np.ndarray:
    """Return double precision as Keras's own, which is what `fit` does to it; done batch by batch to save memory."""
    return array.astype(keras.config.floatx()) if array.dtype == np.float64 else array
