"""The weights of many members, averaged after training: one model."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from manyminima.averaging import batchnorm
from manyminima.averaging.coefficients import coefficients as shares
from manyminima.averaging.running import is_float
from manyminima.inference.export import copy_of
from manyminima.inference.sources import Stored
from manyminima.runs import architecture
from manyminima.runs.format import Weights
from manyminima.runs.streaming import MemberFile

if TYPE_CHECKING:
    from manyminima.inference.ensemble import Ensemble

__all__ = ["average", "average_weights", "mean_of"]

_ROUNDING = 1e-5
_PIECE = 2**17  # numbers at once: with their sums they stay in a core's cache


def average(
    ensemble: "Ensemble",
    coefficients: Any,
    *,
    decay: float = 2.0,
    x: Any = None,
    validation_data: Any = None,
) -> keras.Model:
    """Return a new model with the average of the members' weights; see `Ensemble.average`."""
    weights = average_weights(ensemble, coefficients, decay=decay, x=x)
    if x is None and batchnorm.layers_of(ensemble.model):
        warnings.warn(
            f"model '{ensemble.model.name}' has BatchNormalization, and its statistics in an average of weights belong to no "
            f"network: pass training data, as in average(x=x_train), or call mm.refresh_batchnorm.",
            stacklevel=3,
        )
    if validation_data is not None:
        _warn_of_barrier(ensemble, weights, x, validation_data)
    model = copy_of(ensemble.model, f"{ensemble.model.name}_average")
    architecture.adopt(model, weights)
    return model


def average_weights(ensemble: "Ensemble", coefficients: Any, *, decay: float = 2.0, x: Any = None) -> Weights:
    """Return the average of the members' weights, with statistics of BatchNormalization from `x` if it is given."""
    mask = [v["averaged"] for v in architecture.variables(ensemble.model)]
    weights = mean_of(ensemble._members, shares(coefficients, len(ensemble), decay), mask)
    return weights if x is None else batchnorm.refresh_batchnorm(ensemble.model, weights, x)


def mean_of(
    members: Sequence[Weights], coefficients: Sequence[float] | np.ndarray, averaged: Sequence[bool] | None = None
) -> list[np.ndarray]:
    """Return `sum(c * weights)` over the members, summed in float64, each array in its own type.

    What may not be averaged, or is no floating point, is the newest member's, bit for bit. Members on disk are read piece by
    piece, and their hashes checked on the way.

    Args:
        members: oldest first.
        coefficients: one for each member, of sum 1.
        averaged: for each array whether it may be averaged; None: all of floating point.

    Raises:
        ValueError: a file is damaged; nothing is returned then.
    """
    sources = _files(members) if isinstance(members, Stored) else [_InMemory(weights) for weights in members]
    newest = sources[-1]
    result = []
    for i, (shape, dtype) in enumerate(zip(newest.shapes, newest.dtypes, strict=True)):
        mixed = is_float(dtype) and (averaged is None or averaged[i])
        whole = np.empty(math.prod(shape), dtype)
        for start in range(0, max(whole.size, 1), _PIECE):
            stop = min(start + _PIECE, whole.size)
            pieces = (source.read(i, start, stop) for source in sources)
            whole[start:stop] = _sum(pieces, coefficients, stop - start) if mixed else list(pieces)[-1]
        result.append(whole.reshape(shape))
    for source in sources:
        source.check()
    return result


def _sum(pieces, coefficients: Sequence[float] | np.ndarray, size: int) -> np.ndarray:
    total, product = np.zeros(size), np.empty(size)
    for piece, coefficient in zip(pieces, coefficients, strict=True):
        if coefficient:
            total += np.multiply(
                piece.astype("float32") if piece.dtype.itemsize < 4 else piece,
                coefficient,
                out=product,
                dtype="float64",
            )
    return total


class _InMemory:
    """The same as a `MemberFile`, for arrays that are at hand."""

    def __init__(self, weights: Weights):
        self._flat = [np.asarray(w).reshape(-1) for w in weights]
        self.shapes, self.dtypes = [np.shape(w) for w in weights], [np.asarray(w).dtype for w in weights]

    def read(self, array: int, start: int, stop: int) -> np.ndarray:
        return self._flat[array][start:stop]

    def check(self) -> None:
        """Nothing can have happened to it."""


def _files(members: Stored) -> list[MemberFile]:
    return [MemberFile(Path(run.path) / member.file, member) for run, member in members.places]


def _warn_of_barrier(ensemble: "Ensemble", weights: Weights, x: Any, validation_data: Any) -> None:
    """Warn if the average is worse than every member, all of them with statistics of BatchNormalization from the same data."""
    from manyminima.averaging.scores import loss

    fresh = x is not None and batchnorm.layers_of(ensemble.model)
    members = (batchnorm.refresh_batchnorm(ensemble.model, one, x) if fresh else one for one in ensemble)
    mean, *single = (loss(ensemble.of([one]), *validation_data) for one in (weights, *members))
    if mean > max(single) * (1 + _ROUNDING):
        warnings.warn(
            f"a loss barrier lies between the members: the average of their weights has a loss of {mean:.4g}, they themselves "
            f"{min(single):.4g} to {max(single):.4g}. Average their predictions instead: ensemble.predict(x).",
            stacklevel=4,
        )
