"""Checks of arrays in one place: members' distributions, one prediction of them, and any other numbers, by their names."""

import numpy as np
from jaxtyping import Float, Shaped
from numpy.typing import ArrayLike

from manyminima.arrays import ROW_SUM_TOLERANCE, check_distributions, member_outputs

Distributions = Float[np.ndarray, "members *examples classes"]


def member_distributions(probs: ArrayLike) -> Distributions:
    """Members' predictions, each row a distribution over the classes; for functions that no task is passed to.

    Raises:
        ValueError: Fewer than three axes, an empty array, NaN or infinity, negative values, or rows that do not sum to 1.
    """
    outputs = member_outputs(probs)
    sums = outputs.sum(axis=-1, dtype=np.float64)
    if outputs.min() >= 0 and np.any(np.abs(sums - 1) > ROW_SUM_TOLERANCE):
        raise ValueError(
            f"rows of probs sum to {sums.min():.4g} .. {sums.max():.4g}, expected 1 within {ROW_SUM_TOLERANCE}: one "
            "distribution over the classes for each example. If these are logits, apply a softmax first: "
            "scipy.special.softmax(probs, axis=-1). For independent labels, or one column of a sigmoid, make each label "
            "two classes: np.stack([1 - probs, probs], axis=-1)."
        )
    check_distributions(outputs)
    return outputs


def one_prediction(
    y: ArrayLike,
    probs: ArrayLike,
    combine: str,
    *,
    shape: str = "(examples, classes)",
    one_target: str = ", for regression with one target probs[:, None]",
) -> Shaped[np.ndarray, "examples *more classes"]:
    """One prediction as an array, whose values are not looked at; `combine` says what to do with several members' ones.

    Raises:
        ValueError: An axis for members, none for classes, or an empty array.
    """
    values = np.asarray(probs)
    if values.ndim == np.ndim(y) + 2 > 2:
        raise ValueError(f"probs has shape {values.shape}, expected {shape}: {combine}.")
    if values.ndim < 2:
        raise ValueError(
            f"probs has shape {values.shape}, expected {shape}. For two classes pass np.stack([1 - probs, probs], axis=-1)"
            f"{one_target}."
        )
    if values.size == 0:
        raise ValueError(f"probs is empty: its shape is {values.shape}. Pass at least one example.")
    return values


def numbers(values: ArrayLike, name: str) -> Float[np.ndarray, "..."]:
    """The values in float64, if there are any and all are finite; else an error that calls them by `name`."""
    given = np.asarray(values)
    if given.dtype.kind not in "buif":
        raise ValueError(f"{name} holds {given.dtype} values, expected numbers.")
    array = given.astype(np.float64)
    if array.size == 0:
        raise ValueError(f"{name} is empty: its shape is {array.shape}. Pass at least one number.")
    bad = ~np.isfinite(array)
    if bad.any():
        index = tuple(int(i) for i in np.unravel_index(np.argmax(bad), array.shape))
        raise ValueError(
            f"{name} holds {array[index]} at {index}, expected finite numbers. Leave out the examples that have none: "
            f"np.isfinite({name}) tells which do."
        )
    return array
