"""Averages of weights that take one set after the other. NumPy only."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from manyminima.runs.format import Weights

__all__ = ["Running", "Window", "is_float"]


def is_float(dtype: np.dtype) -> bool:
    """Tell whether numbers of this type can be averaged; bfloat16 can, float8 is a storage format of scaled numbers."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


class Running:
    """`average += coefficient(n) * (weights - average)` for the n-th weights, in float64 whatever they are stored in.

    What is no number to average (integers, states of generators, quantised kernels) is that of the newest weights.

    Args:
        coefficient: of n = 1, 2, …; the first weights count in full whatever it says.
        averaged: for each array whether it may be averaged; None: all of floating point.
    """

    def __init__(self, coefficient: Callable[[int], float], averaged: Sequence[bool] | None = None):
        self._coefficient, self._allowed = coefficient, averaged
        self._average: list[np.ndarray | None] = []
        self._newest: list[np.ndarray] = []
        self._count = 0

    def update(self, weights: Weights) -> None:
        """Take in one more set of weights."""
        arrays = [np.asarray(w) for w in weights]
        if self._count and [a.shape for a in arrays] != [a.shape for a in self._newest]:
            raise ValueError("these weights have other shapes than those before: an average needs one architecture.")
        self._count += 1
        if self._count == 1:
            allowed = self._allowed or [True] * len(arrays)
            chosen = [may and is_float(a.dtype) for a, may in zip(arrays, allowed, strict=True)]
            self._average = [a.astype("float64") if c else None for a, c in zip(arrays, chosen, strict=True)]
        else:
            coefficient = float(self._coefficient(self._count))
            for average, new in zip(self._average, arrays, strict=True):
                if average is not None:
                    average += coefficient * (new - average)
        # Only what is not averaged is looked at again; of the rest the shape and the type are.
        self._newest = [a.copy() if v is None else a for a, v in zip(arrays, self._average, strict=True)]

    @property
    def weights(self) -> list[np.ndarray]:
        """The average, each array in its own type; [] before the first update."""
        pairs = zip(self._average, self._newest, strict=True)
        return [new.copy() if average is None else average.astype(new.dtype) for average, new in pairs]

    def state(self) -> dict[str, Any]:
        """Return what it takes to go on, as plain data and copies of arrays."""
        pairs = list(zip(self._average, self._newest, strict=True))
        return {
            "count": self._count,
            "average": [None if average is None else average.copy() for average, _ in pairs],
            # Of what is averaged the type alone is asked for again.
            "newest": [new.copy() if average is None else np.zeros(0, new.dtype) for average, new in pairs],
        }

    def put_back(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._count, self._average = state["count"], list(state["average"])
        pairs = zip(self._average, state["newest"], strict=True)
        self._newest = [new if average is None else np.zeros(average.shape, new.dtype) for average, new in pairs]


class Window:
    """The equal mean of the newest `k` sets of weights, all of which are kept."""

    def __init__(self, k: int, averaged: Sequence[bool] | None = None):
        self._averaged = averaged
        self._newest: deque[Weights] = deque(maxlen=k)

    def update(self, weights: Weights) -> None:
        """Take in one more set of weights, and drop the oldest if there are more than `k`."""
        self._newest.append([np.array(w) for w in weights])

    @property
    def weights(self) -> list[np.ndarray]:
        """The mean; [] before the first update."""
        mean = Running(lambda n: 1 / n, self._averaged)
        for weights in self._newest:
            mean.update(weights)
        return mean.weights

    def state(self) -> dict[str, Any]:
        """Return what it takes to go on, as plain data and arrays that stay as they are."""
        return {"newest": [list(weights) for weights in self._newest]}

    def put_back(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._newest.clear()
        self._newest.extend(state["newest"])
