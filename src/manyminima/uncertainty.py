"""How unsure an ensemble is of each example, and whether its members are unsure or differ.

`total` is `aleatoric` + `epistemic`. In all but `max_probability`, higher is less sure.
"""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import entr

from manyminima.arrays import member_outputs
from manyminima.checks import Distributions, member_distributions

__all__ = ["aleatoric", "disagreement", "epistemic", "max_probability", "total"]

OnePerExample = Float[np.ndarray, "*examples"]


def total(probs: ArrayLike) -> OnePerExample:
    """Entropy of the members' mean prediction in nats, 0..log(classes), for each example; higher is less sure.

    ```python
    mean = probs.mean(0)
    -np.sum(mean * np.log(mean), axis=-1)        # 0 log 0 = 0
    ```

    For independent labels pass `np.stack([1 - probs, probs], axis=-1)`: there is one number for each label then.

    Args:
        probs: (members, examples, ..., classes), rows summing to 1.

    Returns:
        (examples, ...).

    Raises:
        ValueError: `probs` that are not probabilities of several members.

    Example:
        >>> total([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]]).round(3).tolist()
        [0.693, 0.693]

    Reference:
        Depeweg et al. 2018, Decomposition of Uncertainty in Bayesian Deep Learning, section 3.
    """
    return _total(member_distributions(probs))


def aleatoric(probs: ArrayLike) -> OnePerExample:
    """Mean of the members' own entropies in nats, 0..log(classes), for each example; higher is less sure.

    It is how unsure a member is by itself: of classes that overlap, however many members there are.

    ```python
    np.mean(-np.sum(probs * np.log(probs), axis=-1), axis=0)        # 0 log 0 = 0
    ```

    For independent labels pass `np.stack([1 - probs, probs], axis=-1)`: there is one number for each label then.

    Args:
        probs: (members, examples, ..., classes), rows summing to 1.

    Returns:
        (examples, ...).

    Raises:
        ValueError: `probs` that are not probabilities of several members.

    Example:
        >>> aleatoric([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]]).round(3).tolist()
        [0.0, 0.693]

    Reference:
        Depeweg et al. 2018, Decomposition of Uncertainty in Bayesian Deep Learning, section 3.
    """
    return _aleatoric(member_distributions(probs))


def epistemic(probs: ArrayLike) -> OnePerExample:
    """Mutual information of class and member in nats, 0..log(members), for each example; higher is less sure.

    It is how much the members differ, what is left of the total when each member's own entropy is taken off. One member
    and copies of it have none. Rounding never makes it negative.

    ```python
    total(probs) - aleatoric(probs)
    ```

    For independent labels pass `np.stack([1 - probs, probs], axis=-1)`: there is one number for each label then.

    Args:
        probs: (members, examples, ..., classes), rows summing to 1.

    Returns:
        (examples, ...).

    Raises:
        ValueError: `probs` that are not probabilities of several members.

    Example:
        >>> epistemic([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]]).round(3).tolist()
        [0.693, 0.0]

    Reference:
        Houlsby et al. 2011, Bayesian Active Learning for Classification and Preference Learning, equation 2.
    """
    members = member_distributions(probs)
    return np.maximum(_total(members) - _aleatoric(members), 0.0)


def max_probability(probs: ArrayLike) -> OnePerExample:
    """Highest probability in the members' mean prediction, 1/classes..1, for each example; higher is surer.

    The functions of `manyminima.detection` want a number that is higher where the ensemble is less sure: pass them
    `1 - max_probability(probs)`.

    ```python
    probs.mean(0).max(-1)
    ```

    For independent labels pass `np.stack([1 - probs, probs], axis=-1)`: there is one number for each label then.

    Args:
        probs: (members, examples, ..., classes), rows summing to 1.

    Returns:
        (examples, ...).

    Raises:
        ValueError: `probs` that are not probabilities of several members.

    Example:
        >>> max_probability([[[0.9, 0.1]], [[0.4, 0.6]]]).tolist()
        [0.65]

    Reference:
        Hendrycks and Gimpel 2017, A Baseline for Detecting Misclassified and Out-of-Distribution Examples.
    """
    return member_distributions(probs).mean(axis=0, dtype=np.float64).max(axis=-1)


def disagreement(probs: ArrayLike) -> OnePerExample:
    """Share of the pairs of members that predict different classes, 0..1, for each example; higher is less sure.

    Its mean over the examples is `manyminima.diversity.disagreement`. One member has nobody to disagree with: 0.0.

    ```python
    i, j = np.triu_indices(members, 1)
    np.mean(probs.argmax(-1)[i] != probs.argmax(-1)[j], axis=0)
    ```

    For independent labels pass `np.stack([1 - probs, probs], axis=-1)`: there is one number for each label then.

    Args:
        probs: (members, examples, ..., classes).

    Returns:
        (examples, ...).

    Raises:
        ValueError: Another number of axes, an empty array, NaN or infinity.

    Example:
        >>> disagreement([[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.1, 0.9]]]).tolist()
        [0.0, 1.0]

    Reference:
        Fort et al. 2019, Deep Ensembles: A Loss Landscape Perspective, section 4.
    """
    outputs = member_outputs(probs)
    members, classes = len(outputs), outputs.shape[-1]
    labels = outputs.argmax(axis=-1).reshape(members, -1)
    # Votes of each class tell the agreeing pairs without looking at every pair.
    votes = np.zeros((labels.shape[1], classes))
    for one in labels:
        votes[np.arange(len(votes)), one] += 1
    agreeing = np.sum(votes * (votes - 1), axis=-1) / max(members * (members - 1), 1)
    return (1 - agreeing if members > 1 else agreeing).reshape(outputs.shape[1:-1])


def _total(members: Distributions) -> OnePerExample:
    return _entropy(members.mean(axis=0, dtype=np.float64))


def _aleatoric(members: Distributions) -> OnePerExample:
    # One member at a time: entropies of all of them at once take the memory of another copy of probs.
    return np.sum([_entropy(one) for one in members], axis=0) / len(members)


def _entropy(rows: Float[np.ndarray, "*examples classes"]) -> OnePerExample:
    # A row of float32 may sum to a little more than 1, which would make this a little less than 0.
    return np.maximum(entr(rows, dtype=np.float64).sum(axis=-1), 0.0)
