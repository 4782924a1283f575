"""Rules that turn the predictions of several members into one prediction."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from manyminima.arrays import PerMember, check_distributions, finite

__all__ = ["geometric_mean", "majority_vote", "mean"]

_SUM_TOLERANCE = 1e-6
_SMALLEST = np.finfo(np.float64).tiny

Members = Float[np.ndarray, "members *examples classes"]
OnePrediction = Float[np.ndarray, "*examples classes"]


def mean(probs: ArrayLike, coefficients: ArrayLike | None = None) -> OnePrediction:
    """Mean of the members' predictions, in their own unit: probabilities, or numbers for regression.

    ```python
    np.mean(probs, axis=0)                                        # coefficients=None
    np.einsum("m,m...->...", coefficients, probs)                 # otherwise
    ```

    Sums are taken in float64, and the result is float64.

    Args:
        probs: (members, ..., classes), or (members, ..., targets).
        coefficients: (members,) non-negative, summing to 1. None weighs all members alike.

    Returns:
        (..., classes). Rows sum to 1 where the members' rows do.

    Raises:
        ValueError: NaN or infinity in `probs`, or coefficients that are negative, do not sum to 1 or are not one per
            member.

    Example:
        >>> mean([[[1.0, 0.0]], [[0.5, 0.5]]]).tolist()
        [[0.75, 0.25]]
        >>> mean([[[1.0, 0.0]], [[0.5, 0.5]]], coefficients=[0.0, 1.0]).tolist()
        [[0.5, 0.5]]

    Reference:
        Huang et al. 2017, Snapshot Ensembles, section 3, `h_Ensemble = 1/m Σ h_{M-i}(x)`.
    """
    members = _members(probs)
    if coefficients is None:
        return members.mean(axis=0, dtype=np.float64)
    return _weighted_sum(_checked(coefficients, len(members)), members)


def geometric_mean(probs: ArrayLike, coefficients: ArrayLike | None = None) -> OnePrediction:
    """Geometric mean of the members' probabilities, each row rescaled to sum to 1: the mean in log space.

    ```python
    logs = np.einsum("m,m...->...", coefficients, np.log(probs))
    np.exp(logs) / np.exp(logs).sum(-1, keepdims=True)
    ```

    A class that one member with a positive coefficient gives exactly 0 ends at (almost) 0, however sure the others are.
    If that happens to every class of a row, the rest decides between them and nothing becomes NaN.

    Args:
        probs: (members, ..., classes), rows summing to 1.
        coefficients: (members,) non-negative, summing to 1. None weighs all members alike.

    Returns:
        (..., classes), rows summing to 1.

    Raises:
        ValueError: `probs` that are not probabilities, or coefficients that are negative, do not sum to 1 or are not
            one per member.

    Example:
        >>> geometric_mean([[[0.9, 0.1]], [[0.5, 0.5]]]).round(2).tolist()
        [[0.75, 0.25]]
        >>> geometric_mean([[[1.0, 0.0]], [[0.0, 1.0]]]).round(2).tolist()
        [[0.5, 0.5]]

    Reference:
        Hinton 2002, Training Products of Experts by Minimizing Contrastive Divergence, equation 1.
    """
    members = _members(probs)
    check_distributions(members)
    logs = np.log(np.maximum(members, _SMALLEST, dtype=np.float64))
    mean_log = _weighted_sum(_checked(coefficients, len(members)), logs)
    unscaled = np.exp(mean_log - mean_log.max(axis=-1, keepdims=True))
    return unscaled / unscaled.sum(axis=-1, keepdims=True)


def majority_vote(probs: ArrayLike, coefficients: ArrayLike | None = None) -> OnePrediction:
    """Share of the members' votes that each class gets, 0..1; each member votes for its most probable class.

    ```python
    np.einsum("m,m...->...", coefficients, probs == probs.max(-1, keepdims=True))    # where no member has a tie
    ```

    A member whose highest probability is shared by several classes splits its vote evenly between them, so no class
    gains from its place in the order. Classes that end with the same share keep it; `argmax` takes the first of them.

    Args:
        probs: (members, ..., classes).
        coefficients: (members,) non-negative, summing to 1: the members' shares of the vote. None gives all the same.

    Returns:
        (..., classes), rows summing to 1.

    Raises:
        ValueError: NaN or infinity in `probs`, or coefficients that are negative, do not sum to 1 or are not one per
            member.

    Example:
        >>> majority_vote([[[0.6, 0.4, 0.0]], [[0.5, 0.3, 0.2]], [[0.0, 0.9, 0.1]], [[0.4, 0.4, 0.2]]]).tolist()
        [[0.625, 0.375, 0.0]]

    Reference:
        Hansen and Salamon 1990, Neural Network Ensembles.
    """
    members = _members(probs)
    top = members == members.max(axis=-1, keepdims=True)
    return _weighted_sum(_checked(coefficients, len(members)), top / top.sum(axis=-1, keepdims=True))


def _members(probs: ArrayLike) -> Members:
    members = np.asarray(probs)
    if members.ndim < 2:
        raise ValueError(
            f"probs has shape {members.shape}, expected (members, examples, classes). "
            "For a single member pass probs[None]."
        )
    return finite(members)


def _weighted_sum(coefficients: PerMember, members: Members) -> OnePrediction:
    return np.einsum("m,m...->...", coefficients, members, dtype=np.float64)


def _checked(coefficients: ArrayLike | None, members: int) -> PerMember:
    if coefficients is None:
        return np.full(members, 1 / members)
    values = np.asarray(coefficients, dtype=np.float64)
    if values.shape != (members,):
        raise ValueError(f"coefficients has shape {values.shape}, expected ({members},): one for each member of probs.")
    if not np.all(values >= 0):
        raise ValueError(f"coefficients must be non-negative, got {values.tolist()}. Use 0 to leave a member out.")
    if abs(values.sum() - 1) > _SUM_TOLERANCE:
        raise ValueError(
            f"coefficients sum to {values.sum():.7g}, expected 1 within {_SUM_TOLERANCE}. "
            "Pass coefficients / np.sum(coefficients)."
        )
    return values
