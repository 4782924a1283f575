"""Predicted numbers against labels, of a regression with one target."""

from dataclasses import dataclass

import numpy as np

from manyminima.arrays import Combined, Problem

__all__ = ["Against", "look"]

_MOST = 300  # points: more are drawn over each other


@dataclass(frozen=True)
class Against:
    """Labels and predictions in the target's unit.

    Attributes:
        label: Of at most 300 of the rows, evenly through the data.
        predicted: The members' mean there.
        deviation: The members' standard deviation there.
        rows: How many rows there are.
        explained: Coefficient of determination over all rows, at most 1; 0 is what the labels' mean has. None for equal labels.
        bias: Mean of prediction minus label over all rows.
    """

    label: tuple[float, ...]
    predicted: tuple[float, ...]
    deviation: tuple[float, ...]
    rows: int
    explained: float | None
    bias: float


def look(problem: Problem, mean: Combined) -> Against | None:
    """Compare; None for classes and for several targets."""
    if problem.task != "regression" or mean.shape[1] != 1:
        return None
    label, predicted, weight = np.asarray(problem.y)[:, 0], mean[:, 0], problem.sample_weight
    shown = np.unique(np.linspace(0, len(label) - 1, _MOST).round().astype(int))
    spread = np.average((label - np.average(label, weights=weight)) ** 2, weights=weight)
    lost = np.average((predicted - label) ** 2, weights=weight)
    return Against(
        *(tuple(one[shown].tolist()) for one in (label, predicted, problem.probs[:, :, 0].std(axis=0))),
        rows=len(label),
        explained=float(1 - lost / spread) if spread > 0 else None,
        bias=float(np.average(predicted - label, weights=weight)),
    )
