"""Weights that are not finite: found before they are stored, and said in words."""

import re
from collections.abc import Mapping

import keras
import numpy as np

from manyminima.averaging.running import is_float
from manyminima.runs.format import Weights

__all__ = ["AsTheyAre", "Finite", "diverged_line", "stopped_text"]


class Finite:
    """Which of a model's weights have to be finite: all that are trained, and the others that are when training begins.

    (A layer may hold an infinity on purpose, as a mask does.)
    """

    def __init__(self, model: keras.Model):
        self._names = [re.sub(r"_\d+(?=/)", "", v.path) for v in model.weights]
        values = model.get_weights()
        self._watched = [v.trainable or _finite(w) for v, w in zip(model.weights, values, strict=True)]

    def problem(self, weights: Weights) -> str:
        """Say which of the weights, in the order of `model.weights`, is the first that is not finite; "" if all are."""
        for name, array, watched in zip(self._names, weights, self._watched, strict=True):
            if watched and not _finite(array):
                return f"'{name}' holds {_counts(array)} among its {array.size:,} values"
        return ""


class AsTheyAre(Finite):
    """For callers who judge the weights themselves: whatever is collected is stored."""

    def problem(self, weights: Weights) -> str:
        """Find none."""
        return ""


def _finite(array: np.ndarray) -> bool:
    if not is_float(array.dtype):
        return True
    if array.dtype.kind == "f" and array.dtype.itemsize >= 4:
        flat = array.reshape(-1)
        with np.errstate(all="ignore"):
            if np.isfinite(
                np.dot(flat, flat)
            ):  # one fast pass; squares of finite numbers may overflow, hence the other
                return True
    return bool(np.isfinite(array).all())


def _counts(array: np.ndarray) -> str:
    counts = {"NaN": int(np.isnan(array).sum()), "infinite": int(np.isinf(array).sum())}
    return " and ".join(f"{count:,} {word}" for word, count in counts.items() if count)


def diverged_line(problem: str, epoch: float, logs: Mapping[str, float]) -> str:
    """Return what is recorded of weights that are not finite."""
    losses = ", ".join(f"{name} {logs[name]:.4g}" for name in ("loss", "val_loss") if name in logs)
    return f"the weights were not finite at epoch {epoch:.4g}: {problem}" + (f" ({losses})" if losses else "")


def stopped_text(step: int, why: str, stored: int, due: int) -> str:
    """Return the message of a training that is stopped because it has diverged."""
    return (
        f"training has diverged by step {step}: {why}. Nothing of that is stored; what was before is complete, {stored} of {due} "
        f"members. Lower the peak or the rate, give the optimizer clipnorm=1.0, or look for NaN in the data. To train on in "
        f'spite of it write mm.Collect(…, diverged="go on").'
    )
