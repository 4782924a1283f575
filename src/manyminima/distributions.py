"""Distributions over classes: the check that members' rows are such, and how unsure one of them is."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import entr

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


def entropy(rows: Float[np.ndarray, "*examples classes"]) -> Float[np.ndarray, "*examples"]:
    """Entropy of each distribution in nats, 0..log(classes); higher is less sure."""
    return np.maximum(entr(rows, dtype=np.float64).sum(axis=-1), 0.0)
