"""The temperature with the lowest NLL, for one prediction or for many of the same rows at once."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from manyminima.arrays import Labels, PerExample, Problem, Task, as_problem
from manyminima.metrics import NLL_FLOOR

__all__ = ["HIGHEST", "LOWEST", "best_sharpness", "double", "log_rows", "losses", "one_prediction", "probabilities"]

LOWEST, HIGHEST = 0.01, 100.0
_CLOSE = 1e-6
_TINY = 1e-290

Logs = Float[np.ndarray, "classes fits rows"]
PerRow = Float[np.ndarray, "fits rows"]
PerFit = Float[np.ndarray, " fits"]


def one_prediction(
    y: ArrayLike, probs: ArrayLike, task: Task | None, sample_weight: ArrayLike | None = None
) -> Problem:
    """Labels and one combined prediction, checked, in float64: the problem of a single member."""
    labels, rows = np.asarray(y), np.asarray(probs)
    uncombined = rows.ndim > 2 and labels.shape in (rows.shape[1:], rows.shape[1:-1])
    if uncombined and labels.shape not in (rows.shape, rows.shape[:-1]):
        raise ValueError(
            f"probs has shape {rows.shape}, expected (examples, classes): members are not calibrated one by one. "
            "Combine first, calibrate after: pass combine.mean(probs)."
        )
    if rows.ndim < 2:
        raise ValueError(
            f"probs has shape {rows.shape}, expected (examples, classes). For two classes pass "
            "np.stack([1 - probs, probs], axis=-1)."
        )
    return probabilities(labels, rows[None], task, sample_weight)


def probabilities(y: ArrayLike, probs: ArrayLike, task: Task | None, sample_weight: ArrayLike | None = None) -> Problem:
    """The problem of several predictions, checked to be one of classification, in float64."""
    problem = as_problem(y, double(np.asarray(probs)), task, sample_weight)
    if problem.task == "regression":
        raise ValueError(
            "y and probs are numbers of a regression, expected labels and probabilities: only those are calibrated "
            "here. If probs are logits, apply a softmax first: scipy.special.softmax(probs, axis=-1). If the task is "
            "another one, pass it, as in task='multiclass'."
        )
    return problem


def log_rows(y: Labels, probs: Float[np.ndarray, "fits rows classes"]) -> tuple[Logs, PerRow]:
    """Logarithms of the probabilities below the highest of their row, classes first; and those of the labels."""
    logs = np.log(np.maximum(probs, NLL_FLOOR))
    logs -= logs.max(axis=-1, keepdims=True)
    below = np.ascontiguousarray(np.moveaxis(logs, -1, 0))
    return below, below[y, :, np.arange(len(y))].T


def best_sharpness(below: Logs, label: PerRow, weight: PerExample | None, start: PerFit) -> PerFit:
    """1 / temperature with the lowest mean NLL, for several predictions of the same rows at once, 0.01 to 100.

    Newton's steps on a convex function, kept inside a bracket; a step that is not half the one before it halves the
    bracket instead, so that it ends.
    """
    share = np.ones(label.shape[1]) if weight is None else weight
    share = share / max(share.sum(), _TINY)
    low, high = np.full_like(start, 1 / HIGHEST), np.full_like(start, 1 / LOWEST)
    slope, curvature = _slopes(below, label, share, start)
    edge = np.where(slope < 0, high, low)
    beyond = _slopes(below, label, share, edge)[0] * np.sign(slope) >= 0
    now, step = np.where(beyond & (slope != 0), edge, start), np.full_like(start, np.inf)
    low, high = np.where(beyond, now, low), np.where(beyond, now, high)
    while np.any(step > _CLOSE * now):
        low, high = np.where(slope <= 0, now, low), np.where(slope >= 0, now, high)
        then = np.clip(now - slope / np.maximum(curvature, _TINY), low, high)
        then = np.where(np.abs(then - now) > 0.5 * step, np.sqrt(low * high), then)
        now, step = then, np.abs(then - now)
        slope, curvature = _slopes(below, label, share, now)
    return now


def losses(below: Logs, label: PerRow, sharpness: PerFit) -> PerRow:
    """NLL of each row at 1 / temperature, in nats."""
    at = sharpness[:, None]
    return np.log(np.exp(at * below).sum(axis=0)) - at * label


def _slopes(below: Logs, label: PerRow, share: PerExample, sharpness: PerFit) -> tuple[PerFit, PerFit]:
    weights = np.exp(sharpness[:, None] * below)
    weights /= weights.sum(axis=0)
    mean = np.einsum("cfr,cfr->fr", weights, below)
    square = np.einsum("cfr,cfr,cfr->fr", weights, below, below)
    return (mean - label) @ share, (square - mean**2) @ share


def double(rows: np.ndarray) -> np.ndarray:
    """Floats in double precision; anything else as it is, to be refused where it is checked."""
    return rows.astype(np.float64) if rows.dtype.kind == "f" else rows
