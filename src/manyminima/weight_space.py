"""How far the members' weights lie from each other, whatever they predict."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from manyminima.arrays import Pairs
from manyminima.averaging.running import is_float

__all__ = ["weight_cosine", "weight_distance"]

Member = Sequence[ArrayLike]


def weight_cosine(members: Sequence[Member]) -> Pairs:
    """Cosine of the angle between the weights of each pair of members, -1..1; lower is more diverse.

    ```python
    flat = np.stack([np.concatenate([w.ravel() for w in weights]) for weights in members])
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    unit @ unit.T
    ```

    Arrays of floating point count, moving statistics among them; integers, such as the states of random seeds, do not. A
    member whose weights are all 0 has no direction: 0 with others, 1 with itself and others like it.

    Args:
        members: One list of arrays for each, in the order of `model.weights`, such as an ensemble.

    Returns:
        (members, members), symmetric, ones on the diagonal.

    Raises:
        ValueError: No members, arrays that differ in number or shape, NaN or infinity, or no floating-point array.

    Example:
        >>> weight_cosine([[np.array([1.0, 0.0])], [np.array([2.0, 2.0])]]).round(3).tolist()
        [[1.0, 0.707], [0.707, 1.0]]

    Reference:
        Fort et al. 2019, Deep Ensembles: A Loss Landscape Perspective, figure 2.
    """
    products = np.zeros((len(members), len(members)))
    for flat in _arrays(members):
        products += flat @ flat.T
    length = np.sqrt(np.diag(products))
    matrix = np.clip(products / np.where(length == 0, 1, length) / np.where(length == 0, 1, length)[:, None], -1, 1)
    zero = np.flatnonzero(length == 0)
    matrix[np.ix_(zero, zero)] = 1.0
    np.fill_diagonal(matrix, 1.0)
    return matrix


def weight_distance(members: Sequence[Member]) -> Pairs:
    """Euclidean distance of the weights of each pair of members, at least 0, in their unit; higher is more diverse.

    ```python
    flat = np.stack([np.concatenate([w.ravel() for w in weights]) for weights in members])
    scipy.spatial.distance.squareform(scipy.spatial.distance.pdist(flat))
    ```

    Arrays of floating point count, moving statistics among them; integers, such as the states of random seeds, do not.

    Args:
        members: One list of arrays for each, in the order of `model.weights`, such as an ensemble.

    Returns:
        (members, members), symmetric, zeros on the diagonal.

    Raises:
        ValueError: No members, arrays that differ in number or shape, NaN or infinity, or no floating-point array.

    Example:
        >>> weight_distance([[np.array([1.0, 0.0])], [np.array([4.0, 4.0])]]).tolist()
        [[0.0, 5.0], [5.0, 0.0]]

    Reference:
        Fort et al. 2019, Deep Ensembles: A Loss Landscape Perspective, section 4.
    """
    squares = np.zeros((len(members), len(members)))
    for flat in _arrays(members):
        # Differences first: from products of long vectors, the distance of close ones is lost in rounding.
        squares += np.stack([np.sum((flat - one) ** 2, axis=1) for one in flat])
    return np.sqrt(squares)


def _arrays(members: Sequence[Member]) -> Iterator[Float[np.ndarray, "members values"]]:
    """One array of all members after the other, flat and in float64."""
    lists = [[np.asarray(w) for w in weights] for weights in members]
    _check(lists)
    for place, arrays in enumerate(zip(*lists, strict=True)):
        if is_float(arrays[0].dtype):
            flat = np.stack([one.ravel() for one in arrays]).astype(np.float64)
            bad = ~np.isfinite(flat).all(axis=1)
            if bad.any():
                raise ValueError(
                    f"member {int(np.argmax(bad))} holds NaN or infinity in array {place}: it diverged. Leave it out of "
                    "members."
                )
            yield flat


def _check(lists: list[list[np.ndarray]]) -> None:
    if not lists:
        raise ValueError("there are no members. Pass at least one list of arrays, as in [model.get_weights()].")
    shapes = [w.shape for w in lists[0]]
    for number, weights in enumerate(lists):
        found = [w.shape for w in weights]
        if found != shapes:
            raise ValueError(
                f"member {number} has arrays of shapes {_short(found)}, but member 0 has {_short(shapes)}. Pass members of "
                "one architecture, each a list of arrays in the order of model.weights."
            )
    if not any(is_float(w.dtype) for w in lists[0]):
        raise ValueError(
            "the members hold no array of floating point. Pass lists of weights, as in [model.get_weights(), ...]."
        )


def _short(shapes: list[tuple[int, ...]]) -> str:
    return f"{len(shapes)}: {', '.join(map(str, shapes[:4]))}{', ...' if len(shapes) > 4 else ''}"
