"""Scores of each class by itself, for images labelled pixel by pixel and other dense outputs."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from manyminima.arrays import as_problem
from manyminima.checks import one_prediction
from manyminima.metrics import Facts, described

__all__ = ["iou", "mean_iou"]

PerClass = Float[np.ndarray, " classes"]


def iou(y: ArrayLike, probs: ArrayLike, *, sample_weight: ArrayLike | None = None) -> PerClass:
    """Intersection over union of labelled and predicted pixels for each class, 0..1; higher is better.

    A class that is neither in y nor predicted has no union: NaN. The pixels of all images count together.

    ```python
    predicted = probs.argmax(-1)
    [np.sum((y == c) & (predicted == c)) / np.sum((y == c) | (predicted == c)) for c in range(classes)]
    ```

    Args:
        y: (examples, height, width) class numbers, or (examples, height, width, classes) one-hot.
        probs: (examples, height, width, classes) one prediction, rows summing to 1. Any number of axes may stand between.
        sample_weight: (examples,) non-negative: all pixels of an image have its weight.

    Returns:
        (classes,).

    Raises:
        ValueError: The arrays do not fit together or `probs` are not probabilities.

    Example:
        >>> iou([[0, 1], [1, 1]], [[[0.9, 0.1], [0.2, 0.8]], [[0.7, 0.3], [0.1, 0.9]]]).round(3).tolist()
        [0.5, 0.667]

    Reference:
        Everingham et al. 2010, The PASCAL Visual Object Classes Challenge; `sklearn.metrics.jaccard_score`.
    """
    combine = "one prediction. Combine the members first, as in combine.mean(probs)"
    values = one_prediction(y, probs, combine, shape="(examples, height, width, classes)", one_target="")
    problem = as_problem(y, values[None], "multiclass", sample_weight)
    labels, predicted, classes = problem.y, problem.probs[0].argmax(axis=-1), values.shape[-1]
    weight = np.ones(len(labels)) if problem.sample_weight is None else problem.sample_weight
    hit = labels == predicted
    both = np.bincount(labels[hit], weight[hit], classes)
    union = np.bincount(labels, weight, classes) + np.bincount(predicted, weight, classes) - both
    return np.divide(both, union, out=np.full(classes, np.nan), where=union > 0)


@described(Facts("mean IoU", "share", "higher", (0.0, 1.0), ("multiclass", "binary")))
def mean_iou(y: ArrayLike, probs: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Mean over the classes of their intersection over union, 0..1; higher is better.

    Classes that are neither in y nor predicted are left out. It takes what the metrics take, so
    `selection.scores_by_size(y, probs, segmentation.mean_iou)` scores every size of ensemble by it.

    ```python
    np.nanmean(iou(y, probs))
    ```

    Args:
        y: (examples, height, width) class numbers, or (examples, height, width, classes) one-hot.
        probs: (examples, height, width, classes) one prediction, rows summing to 1. Any number of axes may stand between.
        sample_weight: (examples,) non-negative: all pixels of an image have its weight.

    Raises:
        ValueError: The arrays do not fit together or `probs` are not probabilities.

    Example:
        >>> round(mean_iou([[0, 1], [1, 1]], [[[0.9, 0.1], [0.2, 0.8]], [[0.7, 0.3], [0.1, 0.9]]]), 3)
        0.583

    Reference:
        Everingham et al. 2010, The PASCAL Visual Object Classes Challenge; `sklearn.metrics.jaccard_score`.
    """
    return float(np.nanmean(iou(y, probs, sample_weight=sample_weight)))
