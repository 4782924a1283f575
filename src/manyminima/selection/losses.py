"""What coefficients are judged by: the loss of the combination they make, with its slopes and a bound on the optimum.

Both losses are convex in the coefficients, so the Frank-Wolfe gap says how far a loss is above the lowest possible one.
`score` is the number the metric of the same name gives. `smooth` is what a solver minimises: it is never above `score`,
and differs from it only where a combination gives a label less than `metrics.NLL_FLOOR`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from manyminima.arrays import Pairs, PerMember, Problem
from manyminima.metrics import NLL_FLOOR

Rows = Float[np.ndarray, " rows"]
Likelihoods = Float[np.ndarray, "members rows"]
Residuals = Float[np.ndarray, "members rows targets"]
Chosen = Bool[np.ndarray, " rows"] | Int[np.ndarray, " rows"]


@dataclass(frozen=True)
class LogLoss:
    """Mean log loss of a combination, in nats.

    Attributes:
        values: (members, rows) the probability that each member gives the label.
        weight: (rows,) sum 1.
    """

    values: Likelihoods
    weight: Rows
    metric: Literal["nll"] = "nll"
    unit: float = 1.0

    @cached_property
    def floored(self) -> Likelihoods:
        return np.maximum(self.values, NLL_FLOOR)

    def per_row(self, coefficients: PerMember) -> Rows:
        return -np.log(np.clip(coefficients @ self.values, NLL_FLOOR, 1.0))

    def score(self, coefficients: PerMember) -> float:
        return float(self.weight @ self.per_row(coefficients))

    def smooth(self, coefficients: PerMember) -> float:
        return float(-self.weight @ np.log(coefficients @ self.floored))

    def slopes(self, coefficients: PerMember) -> PerMember:
        return -(self.floored @ (self.weight / (coefficients @ self.floored)))

    def curvature(self, coefficients: PerMember) -> Pairs:
        scaled = self.floored * (np.sqrt(self.weight) / (coefficients @ self.floored))
        return scaled @ scaled.T

    def gap(self, coefficients: PerMember) -> float:
        """By Jensen no loss is below this one by more than the log of the steepest slope."""
        beyond_floor = self.score(coefficients) - self.smooth(coefficients)
        return max(0.0, float(np.log(-self.slopes(coefficients).min()))) + max(0.0, beyond_floor)

    def with_one_more(self, counts: PerMember) -> PerMember:
        """Score of these counts plus one of each member in turn."""
        mixed = (counts @ self.values + self.values) / (counts.sum() + 1)
        return -np.log(np.clip(mixed, NLL_FLOOR, 1.0)) @ self.weight


@dataclass(frozen=True)
class SquaredError:
    """Mean squared error of a combination, in the target's unit squared.

    Attributes:
        values: (members, rows, targets) prediction minus target.
        weight: (rows,) sum 1.
    """

    values: Residuals
    weight: Rows
    metric: Literal["squared_error"] = "squared_error"

    @cached_property
    def products(self) -> Pairs:
        """The mean product of the residuals of each pair of members: the whole loss as a quadratic form."""
        scaled = self.values * np.sqrt(self.weight / self.values.shape[2])[:, None]
        flat = scaled.reshape(len(scaled), -1)
        return flat @ flat.T

    @property
    def unit(self) -> float:
        return float(np.diag(self.products).mean())

    def _mixed(self, coefficients: PerMember) -> Float[np.ndarray, "rows targets"]:
        return np.tensordot(coefficients, self.values, 1)

    def per_row(self, coefficients: PerMember) -> Rows:
        return np.mean(self._mixed(coefficients) ** 2, axis=-1)

    def score(self, coefficients: PerMember) -> float:
        return float(self.weight @ self.per_row(coefficients))

    smooth = score

    def slopes(self, coefficients: PerMember) -> PerMember:
        """Taken from the residuals: `products` would lose digits where members cancel each other's errors."""
        weighted = self._mixed(coefficients) * (2 * self.weight / self.values.shape[2])[:, None]
        return np.tensordot(self.values, weighted, 2)

    def curvature(self, coefficients: PerMember) -> Pairs:
        return 2 * self.products

    def gap(self, coefficients: PerMember) -> float:
        slopes = self.slopes(coefficients)
        return max(0.0, float(coefficients @ slopes - slopes.min()))

    def with_one_more(self, counts: PerMember) -> PerMember:
        """Score of these counts plus one of each member in turn."""
        return np.array([self.score((counts + one) / (counts.sum() + 1)) for one in np.eye(len(counts))])


Loss = LogLoss | SquaredError


def loss_of(problem: Problem) -> Loss:
    """The loss of combining the members of a checked problem: squared error for regression, else log loss."""
    weight = np.ones(len(problem.y)) if problem.sample_weight is None else problem.sample_weight
    weight = weight / weight.sum()
    if problem.task == "regression":
        return SquaredError(problem.probs - problem.y, weight)
    likelihoods = problem.probs[:, np.arange(len(problem.y)), problem.y]
    return LogLoss(likelihoods.astype(np.float64), weight)


def restricted(loss: Loss, rows: Chosen) -> Loss:
    """The same loss over some of its rows."""
    weight = loss.weight[rows]
    return type(loss)(loss.values[:, rows], weight / weight.sum())


def best_single(loss: Loss) -> float:
    """The lowest score that one member has alone."""
    return min(loss.score(one) for one in np.eye(len(loss.values)))


def equal(members: int) -> PerMember:
    """The same coefficient for every member."""
    return np.full(members, 1 / members)
