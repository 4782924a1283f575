"""What all calibrators share: the check of the rows they are called with, and their score on rows they have not seen."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from manyminima.arrays import Problem, Task, check_distributions, finite
from manyminima.fitting_data import FittingData
from manyminima.metrics import nll
from manyminima.sharpness import double, one_prediction

__all__ = ["Prediction", "checked_rows", "gain", "remember", "rescaled", "score_of", "score_unseen"]

Prediction = Float[np.ndarray, "*examples classes"]


def rescaled(rows: Prediction) -> Prediction:
    """Return rows that sum to 1."""
    return rows / rows.sum(axis=-1, keepdims=True)


def checked_rows(probs: ArrayLike, task: Task, classes: int) -> Prediction:
    """Return probabilities in float64, of a shape and with values that a calibrator for this task takes."""
    rows = double(np.asarray(probs))
    if rows.ndim == 0 or rows.shape[-1] != classes:
        raise ValueError(
            f"probs has shape {rows.shape}, but the calibrator was fitted on {classes} columns: expected "
            f"(..., {classes}). Pass predictions of the same task, or fit again."
        )
    finite(rows[None])
    if task != "multilabel":
        check_distributions(rows[None])
    elif rows.min() < 0 or rows.max() > 1:
        raise ValueError(
            f"probs ranges over {rows.min():.4g} to {rows.max():.4g}, expected probabilities in 0..1. If these are "
            "logits, apply a sigmoid first: scipy.special.expit(probs)."
        )
    return rows


def score_of(problem: Problem, rows: Prediction) -> float:
    """NLL of calibrated rows, a mean in nats; lower is better."""
    return nll(problem.y, rescaled(rows), problem.sample_weight)


def remember(y: ArrayLike, problem: Problem) -> FittingData:
    """The fitting data, by labels of the shape that `y` has, and by what it is scored with before any calibration."""
    return FittingData.of(problem.y.reshape(len(np.asarray(y)), -1), nll(problem.y, problem.probs[0]))


def score_unseen(calibrator: Any, y: ArrayLike, probs: ArrayLike, refuse: str | None) -> float:
    """NLL after calibration, a mean in nats; with `refuse`, the name of what was fitted, not on the fitting data."""
    problem = one_prediction(y, probs, calibrator.task)
    if refuse:
        seen = remember(y, problem)
        calibrator.data.check_unseen(problem.y.reshape(seen.examples, -1), seen.score, refuse)
    calibrated = one_prediction(y, calibrator(probs), calibrator.task)
    return score_of(calibrated, calibrated.probs[0])


def gain(calibrator: Any) -> str:
    """Say what the fit has changed on its own data."""
    examples = f"{calibrator.data.examples:,} examples"
    return f"NLL {calibrator.before:.4f} → {calibrator.after:.4f} nats on {examples}"
