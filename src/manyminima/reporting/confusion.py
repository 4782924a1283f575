"""What the ensemble takes the examples of each class for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from manyminima.arrays import Combined, Problem

__all__ = ["MOST", "Confusion", "Pair", "look"]

MOST = 20  # classes of which all counts are shown
_PAIRS = 15


@dataclass(frozen=True)
class Pair:
    """Two classes, one of which is taken for the other.

    Attributes:
        label: What the examples are.
        predicted: What they are taken for.
        count: How many of them, by their weights where there are some.
        share: Of all examples with that label, 0..1.
    """

    label: str
    predicted: str
    count: float
    share: float


@dataclass(frozen=True)
class Confusion:
    """Labels against predictions of the ensemble's mean.

    Attributes:
        classes: Names of the classes; empty where there are more than 20.
        counts: (classes, classes) examples by label and by prediction; empty where `classes` is.
        pairs: What is confused most often, at most 15 pairs.
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[float, ...], ...]
    pairs: tuple[Pair, ...]


def look(problem: Problem, prediction: Combined, classes: Sequence[Any]) -> Confusion | None:
    """Count; None for regression. Of several labels to an example, each counts for itself, as 0 or 1.

    Args:
        problem: Labels, and whose they are.
        prediction: (rows, classes) of the ensemble.
        classes: Names of the classes, as far as they are known.
    """
    if problem.task == "regression":
        return None
    from sklearn.metrics import confusion_matrix

    count = prediction.shape[-1]
    known = classes if problem.task != "multilabel" else ()
    names = tuple(str(known[n]) if n < len(known) else str(n) for n in range(count))
    counts = confusion_matrix(
        problem.y, prediction.argmax(axis=-1), labels=range(count), sample_weight=problem.sample_weight
    ).astype("float64")
    few = count <= MOST
    return Confusion(names if few else (), tuple(map(tuple, counts.tolist())) if few else (), _pairs(counts, names))


def _pairs(counts: np.ndarray, names: tuple[str, ...]) -> tuple[Pair, ...]:
    wrong = counts * (1 - np.eye(len(counts)))
    of_label = counts.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]
    places = [divmod(int(at), len(counts)) for at in order]
    return tuple(
        Pair(
            names[label],
            names[predicted],
            float(wrong[label, predicted]),
            float(wrong[label, predicted] / of_label[label]),
        )
        for label, predicted in places
        if wrong[label, predicted] > 0
    )
