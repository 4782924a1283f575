"""Calibration of the very rows that it is fitted on: each by a fit on the others."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from manyminima.arrays import Task
from manyminima.calibrate.curves import Isotonic
from manyminima.calibrate.scaling import Temperature, temperature
from manyminima.calibrate.scoring import Prediction
from manyminima.sharpness import one_prediction

__all__ = ["cross_fitted"]


def cross_fitted(
    y: ArrayLike,
    probs: ArrayLike,
    fit: Callable[..., Temperature | Isotonic] = temperature,
    *,
    task: Task | None = None,
    folds: int = 5,
    seed: int = 0,
) -> Prediction:
    """Calibrated probabilities without held-out data: each example is calibrated by a fit on the other folds.

    ```python
    for part in folds: out[part] = fit(y[~part], probs[~part])(probs[part])
    ```

    The rows of one example (the pixels of an image) stay together. The result says how good calibration is on data
    like these; for new data, fit once on all of them.

    Args:
        y: (examples,) class numbers, or what the task has.
        probs: (examples, classes) combined probabilities.
        fit: `temperature`, `isotonic`, or `(y, probs, *, task) -> calibrator`.
        task: One of the tasks of classification; inferred from the values if None.
        folds: Number of parts, at least 2.
        seed: Of the random parts.

    Returns:
        The shape of `probs`.

    Raises:
        ValueError: More folds than examples, or what `fit` raises.

    Example:
        >>> probs = np.array([[0.99, 0.01]] * 8)
        >>> cross_fitted([0, 0, 0, 1] * 2, probs, folds=2, seed=3).shape
        (8, 2)
    """
    labels, rows = np.asarray(y), np.asarray(probs)
    known = one_prediction(labels, rows, task, None).task
    if not 2 <= folds <= len(labels):
        raise ValueError(
            f"folds is {folds} for {len(labels)} examples, expected 2 to {len(labels)}. Pass folds=2, or more examples."
        )
    out = np.empty(rows.shape)
    for part in np.array_split(np.random.default_rng(seed).permutation(len(labels)), folds):
        out[part] = fit(np.delete(labels, part, 0), np.delete(rows, part, 0), task=known)(rows[part])
    return out
