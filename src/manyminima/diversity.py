"""How much the members of an ensemble differ: the room that combining them has to improve on one.

All of this is told from predictions alone; what needs labels is in `manyminima.decomposition`. `__all__` names the
measures that a report shows.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import entr

from manyminima.arrays import Pairs, member_outputs
from manyminima.checks import member_distributions
from manyminima.metrics import NLL_FLOOR

__all__ = ["disagreement", "softmax_correlation"]

_PIECE = 2**14  # numbers of each member at once: with their logarithms they stay in a core's cache


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


def kl(probs: ArrayLike) -> float:
    """Kullback-Leibler divergence of two members' probabilities in nats, 0..27.6, a mean over pairs; higher is more diverse.

    It is a mean over ordered pairs, as the divergence of a from b is not that of b from a. One member, and copies of it,
    have 0.0.

    ```python
    matrix = kl_matrix(probs)
    matrix.sum() / (members * (members - 1))
    ```

    Args:
        probs: (members, examples, ..., classes), rows summing to 1.

    Raises:
        ValueError: `probs` that are not probabilities of several members.

    Example:
        >>> round(kl([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.1, 0.9]]]), 3)
        0.695

    Reference:
        Kullback and Leibler 1951, On Information and Sufficiency.
    """
    matrix = kl_matrix(probs)
    return _mean_over_pairs((matrix + matrix.T) / 2, alone=0.0)


def kl_matrix(probs: ArrayLike) -> Pairs:
    """Kullback-Leibler divergence of row member from column member in nats, a mean over examples; higher is more diverse.

    ```python
    floored = np.maximum(probs, 1e-12)
    [[np.mean(np.sum(p * np.log(f / g), axis=-1)) for g in floored] for p, f in zip(probs, floored)]
    ```

    The floor is that of `metrics.nll`: a class that one member rules out and the other does not counts as that unlikely.

    Args:
        probs: (members, examples, ..., classes), rows summing to 1.

    Returns:
        (members, members), zeros on the diagonal, not symmetric.

    Raises:
        ValueError: `probs` that are not probabilities of several members.

    Example:
        >>> kl_matrix([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.1, 0.9]]]).round(3).tolist()
        [[0.0, 0.74], [0.65, 0.0]]

    Reference:
        Kullback and Leibler 1951, On Information and Sufficiency.
    """
    outputs = member_distributions(probs)
    total = np.zeros((len(outputs), len(outputs)))
    for piece in _pieces(outputs):
        logs = np.log(np.maximum(piece, NLL_FLOOR))
        total += np.stack([(log - logs) @ one for one, log in zip(piece, logs, strict=True)])
    return np.maximum(total / _rows(outputs), 0.0)


def js(probs: ArrayLike) -> float:
    """Jensen-Shannon divergence of two members' probabilities in nats, 0..log 2, a mean over pairs; higher is more diverse.

    One member, and copies of it, have 0.0.

    ```python
    i, j = np.triu_indices(members, 1)
    np.mean(js_matrix(probs)[i, j])
    ```

    Args:
        probs: (members, examples, ..., classes), rows summing to 1.

    Raises:
        ValueError: `probs` that are not probabilities of several members.

    Example:
        >>> round(js([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.1, 0.9]]]), 3)
        0.154

    Reference:
        Lin 1991, Divergence Measures Based on the Shannon Entropy, equation 4.1.
    """
    return _mean_over_pairs(js_matrix(probs), alone=0.0)


def js_matrix(probs: ArrayLike) -> Pairs:
    """Jensen-Shannon divergence of each pair of members in nats, 0..log 2, a mean over examples; higher is more diverse.

    ```python
    entropy = lambda p: -np.sum(p * np.log(p), axis=-1)        # 0 log 0 = 0
    [[np.mean(entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2) for q in probs] for p in probs]
    ```

    It is what the two alone would have as `uncertainty.epistemic`, and needs no floor.

    Args:
        probs: (members, examples, ..., classes), rows summing to 1.

    Returns:
        (members, members), symmetric, zeros on the diagonal.

    Raises:
        ValueError: `probs` that are not probabilities of several members.

    Example:
        >>> js_matrix([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.1, 0.9]]]).round(3).tolist()
        [[0.0, 0.154], [0.154, 0.0]]

    Reference:
        Lin 1991, Divergence Measures Based on the Shannon Entropy, equation 4.1.
    """
    outputs = member_distributions(probs)
    total = np.zeros((len(outputs), len(outputs)))
    for piece in _pieces(outputs):
        alone = entr(piece).sum(axis=1)
        for i, one in enumerate(piece):
            total[i, i:] += entr((one + piece[i:]) / 2).sum(axis=1) - (alone[i] + alone[i:]) / 2
    mean = (total + np.triu(total, 1).T) / _rows(outputs)
    return np.clip(mean, 0.0, np.log(2))


def _pieces(outputs: Float[np.ndarray, "members *examples classes"]) -> Iterator[Float[np.ndarray, "members values"]]:
    """The members side by side, flat and in float64, a piece at a time: the memory does not grow with the pairs."""
    flat = outputs.reshape(len(outputs), -1)
    for start in range(0, flat.shape[1], _PIECE):
        yield flat[:, start : start + _PIECE].astype(np.float64)


def _rows(outputs: np.ndarray) -> int:
    return outputs[0].size // outputs.shape[-1]


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
