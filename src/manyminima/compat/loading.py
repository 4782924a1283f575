"""What the two tutorials share: reading numbered models, choosing the first n, counting hits."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

__all__ = ["accuracy", "first_members", "load_all_models"]

_KINDS = (".keras", ".h5")


def load_all_models(first: int, end: int | None = None) -> list[keras.Model]:
    """Return the models that the tutorials save by number, in that order.

    `load_all_models(10)` reads `snapshot_model_1` to `snapshot_model_10`, which `SnapshotEnsemble` writes.
    `load_all_models(490, 500)` reads `model_490` to `model_499`. The files end in ".keras", or in ".h5".

    Args:
        first: the number of models; with `end`, the first number.
        end: one more than the last number.

    Raises:
        FileNotFoundError: one of the files is missing.
        ValueError: no number is asked for.
    """
    stem, numbers = ("snapshot_model", range(1, first + 1)) if end is None else ("model", range(first, end))
    if not numbers:
        raise ValueError(f"load_all_models({first}, {end}) asks for no model: write load_all_models(10).")
    paths = [_path(stem, number) for number in numbers]
    return [keras.saving.load_model(path) for path in paths]


def _path(stem: str, number: int) -> Path:
    candidates = [Path(f"{stem}_{number}{kind}") for kind in _KINDS]
    found = next((path for path in candidates if path.exists()), None)
    if found is None:
        there = sorted(path.name for kind in _KINDS for path in Path().glob(f"{stem}_*{kind}"))
        raise FileNotFoundError(
            f"there is no '{candidates[0]}' in '{Path.cwd()}', which holds {len(there)} of such files. Ask for the models that "
            f"were saved, or save them first: SnapshotEnsemble writes snapshot_model_1.keras and so on, "
            f"model.save('model_490.keras') the others."
        )
    return found


def first_members(members: Sequence[keras.Model], n: int) -> list[keras.Model]:
    """Return the first n members; ValueError if there are not so many, or none."""
    if not 1 <= n <= len(members):
        raise ValueError(f"n_members={n}: expected between 1 and the number of members, {len(members)}.")
    return list(members[:n])


def accuracy(y, predicted: np.ndarray) -> float:
    """Return the share of examples whose class number was predicted; `y` are class numbers or one-hot rows.

    Example:
        >>> accuracy([[0, 1], [1, 0]], np.array([1, 1]))
        0.5
    """
    y = np.asarray(y)
    y = y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1)
    if y.shape != predicted.shape:
        raise ValueError(f"there are {len(y)} labels for {len(predicted)} examples, expected one for each.")
    return float(np.mean(y == predicted))
