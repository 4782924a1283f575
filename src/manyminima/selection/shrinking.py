"""How far fitted coefficients are moved towards equal ones, by cross-validation."""

import numpy as np
from jaxtyping import Float, Int

from manyminima.arrays import Problem
from manyminima.selection.losses import Loss, equal, mix, restricted
from manyminima.selection.simplex import lowest

__all__ = ["FOLDS", "cross_validated"]

FOLDS = 5
GRID = np.round(np.linspace(0, 1, 11), 1)
_SEED = 0
_SAME = 1e-12

Examples = Int[np.ndarray, " rows"]


def cross_validated(problem: Problem, loss: Loss) -> float:
    """The largest shrinkage whose held-out score is within one standard error of the best, 0 to 1.

    The error is that of the difference to the best, paired by example. On few examples the differences are mostly noise,
    and equal coefficients, which cannot overfit, get the benefit of the doubt; on many the error vanishes.
    """
    example = _examples(problem)
    losses = _held_out(loss, example)
    totals = losses.sum(axis=1)
    worse = losses - losses[totals.argmin()]
    error = np.sqrt(losses.shape[1]) * worse.std(axis=1, ddof=1)
    return float(GRID[np.flatnonzero(worse.sum(axis=1) <= error + _SAME * abs(totals.min())).max()])


def _examples(problem: Problem) -> Examples:
    """The example of each row, 0 .. n - 1 for those that count and -1 for those of weight 0."""
    counts = np.ones(len(problem.group), bool) if problem.sample_weight is None else problem.sample_weight > 0
    numbers = np.full(len(counts), -1)
    numbers[counts] = np.unique(problem.group[counts], return_inverse=True)[1]
    return numbers


def _held_out(loss: Loss, example: Examples) -> Float[np.ndarray, "shrinkages examples"]:
    """What each example adds to the score of each shrinkage when the coefficients were fitted without it."""
    examples = example.max() + 1
    folds = min(FOLDS, examples)
    fold = (np.random.default_rng(_SEED).permutation(examples) % folds)[example]
    losses = np.zeros((len(GRID), examples))
    for k in range(folds):
        inside = (fold == k) & (example >= 0)
        fitted = lowest(restricted(loss, (fold != k) & (example >= 0)))
        held = restricted(loss, inside)
        share = loss.weight[inside]
        for row, shrinkage in zip(losses, GRID, strict=True):
            coefficients = (1 - shrinkage) * fitted + shrinkage * equal(len(fitted))
            row += np.bincount(example[inside], share * held.per_row(mix(held, coefficients)), minlength=examples)
    return losses
