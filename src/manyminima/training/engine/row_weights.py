"""How much each row counts in training: what `fit` calls sample_weight and class_weight."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

__all__ = ["either", "row_weights"]


def either(sample_weight: Any, class_weight: Any) -> Any:
    """Return the weights of rows or those of classes, whichever were given; Keras does not take both either.

    Raises:
        ValueError: both were given.
        TypeError: weights of classes are no mapping.
    """
    if class_weight is None:
        return sample_weight
    if sample_weight is not None:
        raise ValueError(
            "sample_weight and class_weight were both given, and fit takes one of them. For their product write "
            "sample_weight=weights * np.array([1.0, 5.0])[y], with the weights of the classes in their order."
        )
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            f"class_weight={class_weight!r:.60}: expected a mapping from class number to weight, such as {{0: 1.0, 1: 5.0}}. "
            f"For equal shares of all classes write class_weight=dict(enumerate(len(y) / (classes * np.bincount(y))))."
        )
    return class_weight


def row_weights(sample_weight: Any, y: Any) -> np.ndarray | None:
    """Return the factor on each row's loss, (rows, ...) of Keras's float type; None if there is none.

    Args:
        sample_weight: an array whose rows are those of the data; or a mapping from class number to weight, as `class_weight`
            of `fit`, where classes that are not named count 1.
        y: labels; class numbers (rows,) or (rows, 1), or one-hot rows (rows, classes).

    Raises:
        ValueError: a weight is negative or no number, or there are no labels to weigh.
    """
    if sample_weight is None:
        return None
    if y is None:
        raise ValueError("sample_weight was given without y, so there is no loss to weigh. Pass y, or leave it out.")
    found = _of_classes(sample_weight, y) if isinstance(sample_weight, Mapping) else np.asarray(sample_weight)
    if found.dtype.kind not in "biuf" or not np.isfinite(found).all() or (found < 0).any():
        raise ValueError(
            f"sample_weight holds {_worst(found)!r}: expected finite numbers of at least 0, one for each row. For weights of "
            f"classes write sample_weight={{0: 1.0, 1: 5.0}}."
        )
    return found.astype(keras.config.floatx())


def _of_classes(weights: Mapping, y: Any) -> np.ndarray:
    classes = _class_numbers(y)
    if classes is None:
        raise ValueError(
            f"{dict(weights)!r:.60} has weights of classes, but labels are no class numbers, (rows,) or one-hot. Pass "
            f"sample_weight, an array with one weight for each row."
        )
    missing = sorted(set(weights) - set(classes.tolist()))
    if missing:
        raise ValueError(
            f"{dict(weights)!r:.60} has weights of classes {missing[:8]}, which the labels do not have: they have "
            f"{np.unique(classes)[:8].tolist()}. Leave them out."
        )
    found = np.ones(len(classes))
    for label, weight in weights.items():
        found[classes == label] = weight
    return found


def _class_numbers(y: Any) -> np.ndarray | None:
    """Return the class of each row, (rows,) int64; None where labels are something else."""
    if isinstance(y, Mapping | list | tuple):
        return None
    labels = np.asarray(y)
    if labels.dtype.kind not in "biuf" or labels.ndim not in (1, 2):
        return None
    classes = labels.argmax(axis=1) if labels.ndim == 2 and labels.shape[1] > 1 else labels.reshape(len(labels))
    return classes.astype("int64") if (classes == np.round(classes)).all() else None


def _worst(found: np.ndarray) -> Any:
    """Return an entry that is no weight."""
    if found.dtype.kind not in "biuf":
        return found.flat[0] if found.size else found
    return found[~np.isfinite(found) | (found < 0)].flat[0].item()
