"""Checks of arrays that come without labels: members' distributions, and any other numbers, named in the message."""

import numpy as np
from jaxtyping import Float
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


def numbers(values: ArrayLike, name: str) -> Float[np.ndarray, "..."]:
    """The values in float64, if there are any and all are finite; else an error that calls them by `name`."""
    array = np.asarray(values, dtype=np.float64)
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
