"""Batches for `fit` whose order anyone can compute: a pure function of a seed and an epoch.

The order of `fit(x, y)` comes from generators that differ per backend and cannot be put back. Here the rows of epoch e are
`Generator(Philox(key=[seed, e])).permutation(rows)`, cut into batches, which is what makes a run repeatable and resumable.
"""

import copy
from collections.abc import Callable
from functools import cached_property
from typing import Any, Self

import keras
import numpy as np
from jaxtyping import Int

from manyminima.parameters import is_whole


class Batches(keras.utils.PyDataset):
    """Batches of arrays in an order that depends on the seed and the epoch alone, the last, partial one included.

    Give it to `fit` with `shuffle=False`: Keras would otherwise put its batches into another order, drawn from Python's
    global generator; this is noticed and refused. `fit` moves `epoch` on at each epoch's end. In a loop of your own, set it.
    For predictions use the arrays: these rows are shuffled.

    Args:
        x: inputs, one array or a list, tuple or dict of arrays, each (rows, ...).
        y: labels, of the same kinds, or None.
        batch_size: rows in a batch.
        seed: of the order, 0 to 2**64 - 1.
        sample_weight: weights of the rows, (rows,), or None. Needs `y`.
        epoch: which epoch comes first, counted from 0. A resumed run starts where the other stopped.

    Raises:
        ValueError: lengths differ, there are no rows, or a number is out of range.

    >>> batches = Batches(np.arange(5), batch_size=2, seed=1)
    >>> [x.tolist() for (x,) in batches]
    [[0, 1], [2, 4], [3]]
    >>> batches.epoch = 1
    >>> [x.tolist() for (x,) in batches]
    [[3, 1], [4, 2], [0]]
    """

    def __init__(self, x, y=None, batch_size: int = 32, *, seed: int = 0, sample_weight=None, epoch: int = 0):
        super().__init__()
        if sample_weight is not None and y is None:
            raise ValueError(
                "sample_weight was given without y. Expected labels too: write Batches(x, y, sample_weight=w)."
            )
        given = (x,) if y is None else (x, y) if sample_weight is None else (x, y, sample_weight)
        self._arrays: Any = keras.tree.map_structure(np.asarray, given)
        self._rows = _common_length(keras.tree.flatten(self._arrays))
        self.batch_size = _whole("batch_size", batch_size, 1)
        self.seed = _whole("seed", seed, 0)
        self._reset_done = False  # `fit` calls on_epoch_end once before its first epoch
        self._begun = False
        self._changes: tuple[Callable, ...] = ()
        self.epoch = epoch

    def through(self, *changes: Callable[[Any, np.random.Generator], Any]) -> Self:
        """Return the same batches with their inputs changed, in turn, by functions such as those of `datasets.augmentation`.

        Each gets a batch's inputs and a generator that depends on the seed, the epoch and the batch's number alone, apart from
        the one that orders the rows: batches can be had again, in any order, and a resumed run gets those it would have got.

        >>> noisy = Batches(np.zeros(4), batch_size=2, seed=1).through(lambda x, generator: x + generator.integers(9, size=2))
        >>> noisy[1][0].tolist() == noisy[1][0].tolist() != noisy[0][0].tolist()
        True
        """
        changed = copy.copy(self)
        changed._changes = (*self._changes, *changes)
        return changed

    @property
    def epoch(self) -> int:
        """The epoch whose order is served, counted from 0."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int):
        self._epoch = _whole("epoch", epoch, 0)
        self._finished = False
        self._last = -1
        self.__dict__.pop("order", None)

    @cached_property
    def order(self) -> Int[np.ndarray, " rows"]:
        """The rows of this epoch in the order in which they are served, (rows,) int64."""
        return self._generator(0).permutation(self._rows)

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return -(-self._rows // self.batch_size)

    def __getitem__(self, index: int) -> tuple:
        """Return batch `index` of this epoch: (x,), (x, y) or (x, y, sample_weight)."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} does not exist. Expected 0 to {len(self) - 1}.")
        if self._begun:
            self._check_order(index)
            self._finished |= index == len(self) - 1
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        x, *others = keras.tree.map_structure(lambda array: array[rows], self._arrays)
        if self._changes:
            generator = self._generator(index + 1)
            for change in self._changes:
                x = change(x, generator)
        return (x, *others)

    def on_epoch_begin(self):
        """Keras calls this before it draws an epoch's batches, and before it draws one to build an unbuilt model."""
        self._begun = True

    def on_epoch_end(self):
        """Keras calls this after an epoch, and once before training: the epoch moves on if all batches were drawn."""
        if self._reset_done and self._begun and self._finished:
            self.epoch += 1
        elif not (self._reset_done and self._begun):
            self._finished = False
        self._reset_done = True
        self._begun = False

    def _generator(self, stream: int) -> np.random.Generator:
        """Streams of one epoch are 2**192 numbers apart: the order is stream 0, the changes of batch i are stream i + 1."""
        key, counter = np.array([self.seed, self.epoch], np.uint64), np.array([0, 0, 0, stream], np.uint64)
        return np.random.Generator(np.random.Philox(counter=counter, key=key))

    def _check_order(self, index: int) -> None:
        if index not in (0, self._last + 1):
            raise ValueError(
                f"batch {index} was asked for where batch {self._last + 1} was due: fit shuffles the batches, so their "
                f"order would not depend on the seed alone. Expected them in turn: write model.fit(batches, shuffle=False)."
            )
        self._last = index


def _common_length(arrays: list[np.ndarray]) -> int:
    shapes = [array.shape for array in arrays]
    lengths = {shape[0] if shape else -1 for shape in shapes}
    if len(lengths) != 1 or -1 in lengths:
        raise ValueError(
            f"the arrays have shapes {', '.join(map(str, shapes[:6]))}. Expected the same number of rows in all: pass "
            f"NumPy arrays of equal length."
        )
    if (rows := lengths.pop()) == 0:
        raise ValueError("the arrays have no rows. Expected at least one: check what was selected.")
    return rows


def _whole(name: str, value: int, least: int) -> int:
    if not is_whole(value, least) or value >= 2**64:
        raise ValueError(
            f"{name} is {value!r}. Expected a whole number of at least {least}, below 2**64: write {name}={least}."
        )
    return int(value)
