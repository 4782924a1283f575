"""What coefficients are judged by: the loss of the combination they make, with its slopes and a bound on the optimum.

Both losses depend on the members only through `values`, mixed by the coefficients. `score` is the number that the metric
of the same name gives. A solver minimises `smooth`, which is convex, never above `score`, and the same wherever every
label gets more than 3e-12, so the Frank-Wolfe gap of `smooth` bounds how far a score is above the lowest possible one.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from manyminima.arrays import Pairs, PerMember, Problem
from manyminima.metrics import NLL_FLOOR

# Below it `-log` of the floored mix gives way to its tangent, which meets it at 0: the highest convex function below it.
_TANGENT = np.e * NLL_FLOOR

Rows = Float[np.ndarray, " rows"]
Likelihoods = Float[np.ndarray, "members rows"]
Residuals = Float[np.ndarray, "members rows targets"]
Mixed = Float[np.ndarray, "rows *targets"]
SomeRows = Bool[np.ndarray, " all"] | Int[np.ndarray, " rows"]


@dataclass(frozen=True)
class LogLoss:
    """Mean log loss of a combination, in nats.

    Attributes:
        values: (members, rows) the probability that each member gives the label.
        weight: (rows,) sum 1.
        metric: The metric that `score` is.
        unit: What is large for a gap.
    """

    values: Likelihoods
    weight: Rows
    metric: Literal["nll"] = "nll"
    unit: float = 1.0

    def per_row(self, mixed: Rows) -> Rows:
        """Loss of each row, as the metric has it."""
        return -np.log(np.clip(mixed, NLL_FLOOR, 1.0))

    def smooth(self, coefficients: PerMember) -> float:
        """The loss without the metric's bounds."""
        mixed = mix(self, coefficients)
        below = np.maximum(_TANGENT - mixed, 0) / _TANGENT
        return float(self.weight @ (below - np.log(np.maximum(mixed, _TANGENT))))

    def slopes(self, coefficients: PerMember) -> PerMember:
        """First derivatives of `smooth`."""
        return -(self.values @ (self.weight / self._safe(coefficients)))

    def curvature(self, coefficients: PerMember) -> Pairs:
        """Second derivatives of `smooth`; more than them where it is a tangent, so that a step always has some."""
        scaled = self.values * (np.sqrt(self.weight) / self._safe(coefficients))
        return scaled @ scaled.T

    def _safe(self, coefficients: PerMember) -> Rows:
        return np.maximum(mix(self, coefficients), _TANGENT)


@dataclass(frozen=True)
class SquaredError:
    """Mean squared error of a combination, in the target's unit squared.

    Attributes:
        values: (members, rows, targets) prediction minus target.
        weight: (rows,) sum 1.
        metric: The metric that `score` is.
    """

    values: Residuals
    weight: Rows
    metric: Literal["squared_error"] = "squared_error"

    @cached_property
    def _products(self) -> Pairs:
        """Mean product of the residuals of each pair of members."""
        flat = (self.values * np.sqrt(self.weight / self.values.shape[2])[:, None]).reshape(len(self.values), -1)
        return flat @ flat.T

    @property
    def unit(self) -> float:
        """What is large for a gap: the members' mean loss."""
        return float(np.diag(self._products).mean())

    def per_row(self, mixed: Float[np.ndarray, "rows targets"]) -> Rows:
        """Loss of each row."""
        return np.mean(mixed**2, axis=-1)

    def smooth(self, coefficients: PerMember) -> float:
        """The loss itself."""
        return score(self, coefficients)

    def slopes(self, coefficients: PerMember) -> PerMember:
        """First derivatives, from the residuals: products lose digits where members cancel each other's errors."""
        weighted = mix(self, coefficients) * (2 * self.weight / self.values.shape[2])[:, None]
        return np.tensordot(self.values, weighted, 2)

    def curvature(self, coefficients: PerMember) -> Pairs:
        """Second derivatives, the same everywhere."""
        return 2 * self._products


Loss = LogLoss | SquaredError


def loss_of(problem: Problem) -> Loss:
    """The loss of combining the members of a checked problem: squared error for regression, else log loss."""
    weight = np.ones(len(problem.y)) if problem.sample_weight is None else problem.sample_weight
    weight = weight / weight.sum()
    if problem.task == "regression":
        return SquaredError(problem.probs.astype(np.float64) - problem.y, weight)
    likelihoods = problem.probs[:, np.arange(len(problem.y)), problem.y]
    return LogLoss(likelihoods.astype(np.float64), weight)


def restricted(loss: Loss, rows: SomeRows) -> Loss:
    """The same loss over some of its rows."""
    weight = loss.weight[rows]
    return type(loss)(loss.values[:, rows], weight / weight.sum())


def mix(loss: Loss, coefficients: PerMember) -> Mixed:
    """The members' values combined."""
    return np.tensordot(coefficients, loss.values, 1)


def score(loss: Loss, coefficients: PerMember) -> float:
    """The metric of the combination, lower is better."""
    return float(loss.weight @ loss.per_row(mix(loss, coefficients)))


def smooth_gap(loss: Loss, coefficients: PerMember) -> float:
    """How far `smooth` is above its own minimum at most."""
    slopes = loss.slopes(coefficients)
    return max(0.0, float(coefficients @ slopes - slopes.min()))


def gap(loss: Loss, coefficients: PerMember) -> float:
    """How far the score of these coefficients is above the lowest possible one at most."""
    if len(coefficients) == 1:
        return 0.0
    beyond = score(loss, coefficients) - loss.smooth(coefficients)
    return smooth_gap(loss, coefficients) + max(0.0, beyond)


def best_single(loss: Loss) -> float:
    """The lowest score that one member has alone."""
    return min(score(loss, one) for one in np.eye(len(loss.values)))


def equal(members: int) -> PerMember:
    """The same coefficient for every member."""
    return np.full(members, 1 / members)
