"""How often a prediction is right, by how sure it is. The gaps between the two are what `metrics.ece` is the mean of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from manyminima.metrics import ECE_BINS
from manyminima.sharpness import one_prediction

__all__ = ["Bins", "bins"]


@dataclass(frozen=True)
class Bins:
    """Examples grouped by the probability of the class predicted; groups without examples are left out.

    Attributes:
        confidence: Mean probability of the class predicted in each group, 0..1, increasing.
        accuracy: How often it was the label, 0..1.
        share: Of all examples; they sum to 1.
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    share: tuple[float, ...]

    @property
    def ece(self) -> float:
        """Expected calibration error, 0..1; lower is better."""
        return float(np.dot(self.share, np.abs(np.subtract(self.accuracy, self.confidence))))


def bins(y: ArrayLike, probs: ArrayLike, sample_weight: ArrayLike | None = None) -> Bins:
    """Confidence and accuracy in 15 equal bins `(lo, hi]` of confidence, the points of a reliability diagram.

    ```python
    bin = np.searchsorted(np.linspace(0, 1, 16)[1:-1], probs.max(-1), side="left")
    accuracy = [np.mean((probs.argmax(-1) == y)[bin == b]) for b in np.unique(bin)]
    ```

    Args:
        y: (examples,) class numbers, or (examples, classes) one-hot.
        probs: (examples, classes) of one prediction, rows summing to 1.
        sample_weight: (examples,) non-negative.

    Raises:
        ValueError: The arrays do not fit together or `probs` are not probabilities.

    Example:
        >>> found = bins([0, 1], [[0.9, 0.1], [0.6, 0.4]])
        >>> found.confidence, found.accuracy, found.share
        ((0.6, 0.9), (0.0, 1.0), (0.5, 0.5))

    Reference:
        Guo et al. 2017, On Calibration of Modern Neural Networks, section 2.
    """
    problem = one_prediction(y, probs, "multiclass", sample_weight)
    rows, confidence = problem.probs[0], problem.probs[0].max(axis=-1)
    weight = np.ones(len(rows)) if problem.sample_weight is None else problem.sample_weight
    place = np.searchsorted(np.linspace(0, 1, ECE_BINS + 1)[1:-1], confidence, side="left")
    total, sure, hits = (
        np.bincount(place, weight * value, minlength=ECE_BINS)
        for value in (1.0, confidence, rows.argmax(axis=-1) == problem.y)
    )
    full = total > 0
    return Bins(
        *(tuple(one.tolist()) for one in (sure[full] / total[full], hits[full] / total[full])),
        share=tuple((total[full] / total.sum()).tolist()),
    )
