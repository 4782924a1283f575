"""How much the members of an ensemble differ: the room that combining them has to improve on one."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from manyminima.arrays import Pairs, member_outputs

__all__ = ["disagreement", "softmax_correlation"]


def disagreement(probs: ArrayLike) -> float:
    """Share of examples where two members predict different classes, 0..1, a mean over pairs; higher is more diverse.

    ```python
    i, j = np.triu_indices(members, 1)
    np.mean(probs.argmax(-1)[i] != probs.argmax(-1)[j])
    ```

    One member has nobody to disagree with: 0.0, as for copies of it.

    Args:
        probs: (members, examples, classes).

    Raises:
        ValueError: Another number of axes, an empty array, NaN or infinity.

    Example:
        >>> disagreement([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.1, 0.9]]])
        0.5

    Reference:
        Fort et al. 2019, Deep Ensembles: A Loss Landscape Perspective, section 4.
    """
    return _mean_over_pairs(disagreement_matrix(probs), alone=0.0)


def disagreement_matrix(probs: ArrayLike) -> Pairs:
    """Share of examples on which each pair of members predicts different classes, 0..1; higher is more diverse.

    ```python
    labels = probs.argmax(-1)
    np.mean(labels[:, None] != labels[None], axis=-1)
    ```

    Args:
        probs: (members, examples, classes).

    Returns:
        (members, members), symmetric, zeros on the diagonal.

    Raises:
        ValueError: Another number of axes, an empty array, NaN or infinity.

    Example:
        >>> disagreement_matrix([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.1, 0.9]]]).tolist()
        [[0.0, 0.5], [0.5, 0.0]]

    Reference:
        Fort et al. 2019, Deep Ensembles: A Loss Landscape Perspective, figure 3.
    """
    outputs = member_outputs(probs)
    labels = outputs.argmax(axis=-1).reshape(len(outputs), -1)
    return np.stack([np.mean(labels != one, axis=-1) for one in labels])


def softmax_correlation(probs: ArrayLike) -> float:
    """Pearson correlation of two members' probabilities, -1..1, a mean over pairs; lower is more diverse.

    ```python
    i, j = np.triu_indices(members, 1)
    np.mean(np.corrcoef(probs.reshape(members, -1))[i, j])
    ```

    One member correlates with itself: 1.0, as copies of it do.

    Args:
        probs: (members, examples, classes).

    Raises:
        ValueError: Another number of axes, an empty array, NaN or infinity.

    Example:
        >>> round(softmax_correlation([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.1, 0.9]]]), 3)
        -0.179

    Reference:
        Huang et al. 2017, Snapshot Ensembles, figure 6.
    """
    return _mean_over_pairs(softmax_correlation_matrix(probs), alone=1.0)


def softmax_correlation_matrix(probs: ArrayLike) -> Pairs:
    """Pearson correlation of the probabilities of each pair of members, -1..1; lower is more diverse.

    ```python
    np.corrcoef(probs.reshape(members, -1))
    ```

    A member that gives every class of every example the same probability does not vary, so it has no correlation: it
    counts as 0 with members that do vary, and as 1 with others like it.

    Args:
        probs: (members, examples, classes).

    Returns:
        (members, members), symmetric, ones on the diagonal.

    Raises:
        ValueError: Another number of axes, an empty array, NaN or infinity.

    Example:
        >>> softmax_correlation_matrix([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.1, 0.9]]]).round(3).tolist()
        [[1.0, -0.179], [-0.179, 1.0]]

    Reference:
        Huang et al. 2017, Snapshot Ensembles, figure 6.
    """
    outputs = member_outputs(probs)
    unit, constant = _standardised(outputs.reshape(len(outputs), -1))
    matrix = np.clip(unit @ unit.T, -1.0, 1.0)
    matrix[np.ix_(constant, constant)] = 1.0
    np.fill_diagonal(matrix, 1.0)
    return matrix


def _standardised(flat: Float[np.ndarray, "members values"]) -> tuple[Float[np.ndarray, "members values"], np.ndarray]:
    """Each row centred and scaled to length 1, rows that do not vary as zeros; and which rows those are."""
    constant = np.ptp(flat, axis=1) == 0
    centred = flat - flat.mean(axis=1, keepdims=True, dtype=np.float64)
    centred[constant] = 0.0
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.where(length == 0, 1.0, length), np.flatnonzero(constant)


def _mean_over_pairs(matrix: Pairs, *, alone: float) -> float:
    if len(matrix) == 1:
        return alone
    return float(matrix[np.triu_indices(len(matrix), 1)].mean())
