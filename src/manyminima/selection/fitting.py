"""Coefficients with the lowest loss, shrunk towards equal ones as far as cross-validation says."""

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike

from manyminima.arrays import PerMember, Problem, as_problem
from manyminima.selection.chosen import Selection, selection_of
from manyminima.selection.losses import Loss, equal, gap, loss_of
from manyminima.selection.shrinking import FOLDS, cross_validated
from manyminima.selection.simplex import lowest
from manyminima.selection.words import examples_in, gap_text, members_text, scored, these

__all__ = ["fit_coefficients"]

_FEW_PER_MEMBER = 10


def fit_coefficients(
    y: ArrayLike,
    probs: ArrayLike,
    *,
    shrinkage: float | int | str = "auto",
    task: str | None = None,
    sample_weight: ArrayLike | None = None,
) -> Selection:
    """Coefficients of the mean that minimise the NLL of the labels, in nats; squared error for regression. Lower is better.

    ```python
    -np.mean(np.log(coefficients @ probs[:, np.arange(examples), y]))     # minimised: non-negative, sum 1
    (1 - shrinkage) * coefficients + shrinkage / members                   # returned
    ```

    The loss is convex, so there is one lowest score, and `gap` proves how close the fit is to it. Without shrinkage the
    fit is at least as good as equal coefficients and as the best single member on these data, up to the gap. With
    shrinkage it is still at least as good as equal coefficients, but a single member may be better.

    Coefficients fitted on few examples fit their noise too. `shrinkage="auto"` moves them towards equal ones by the share
    of 0, 0.1 ... 1 that 5-fold cross-validation chooses: the largest whose held-out score is within one standard error,
    paired by example, of the best. Where that cannot be told from noise, equal coefficients are the safer choice. With
    fewer examples than members, nothing is estimated: the coefficients are equal.

    Members that give the labels the same probabilities get the same coefficient.

    Args:
        y: (examples, ...) labels that nothing was trained on.
        probs: (members, examples, ..., classes).
        shrinkage: 0 (none) to 1 (equal coefficients), or "auto".
        task: One of `manyminima.arrays.TASKS`; inferred from the values if None.
        sample_weight: (examples,) non-negative.

    Raises:
        ValueError: The arrays do not fit together, are not what the task needs, or `shrinkage` is not in 0..1.

    Example:
        >>> probs = np.array([[[0.9, 0.1], [0.6, 0.4]], [[0.5, 0.5], [0.1, 0.9]], [[0.4, 0.6], [0.6, 0.4]]])
        >>> fitted = fit_coefficients([0, 1], probs, shrinkage=0)
        >>> fitted.coefficients.round(3).tolist(), fitted.gap < 1e-9
        ([0.275, 0.725, 0.0], True)

    Reference:
        Smyth and Wolpert 1999, Linearly Combining Density Estimators via Stacking (the log loss); Jaggi 2013, Revisiting
        Frank-Wolfe: Projection-Free Sparse Convex Optimization, equation 2 (the gap); Breiman et al. 1984,
        Classification and Regression Trees, section 3.4.3 (one standard error).
    """
    _check_shrinkage(shrinkage)
    problem = as_problem(y, probs, task, sample_weight)
    loss = loss_of(problem)
    fitted = lowest(loss)
    share, why = _shrinkage(shrinkage, problem, loss)
    shrunk = fitted if share == 0 else (1 - share) * fitted + share * equal(len(fitted))
    bound = gap(loss, fitted)
    reason = f"{_zeros(problem, fitted, bound, share)} {why}"
    return selection_of("fitted", y, problem.task, loss, shrunk, reason, gap=bound, shrinkage=share)


def _check_shrinkage(shrinkage: float | int | str) -> None:
    number = isinstance(shrinkage, Real) and not isinstance(shrinkage, bool)
    if shrinkage != "auto" and not (number and 0 <= float(shrinkage) <= 1):
        raise ValueError(
            f"shrinkage is {shrinkage!r}, expected 'auto' or a number from 0 (none) to 1 (equal coefficients). "
            "Pass shrinkage='auto' to choose it by cross-validation."
        )


def _shrinkage(asked: float | int | str, problem: Problem, loss: Loss) -> tuple[float, str]:
    """The shrinkage, and a sentence on how it was found."""
    members, examples = len(problem.probs), examples_in(problem)
    if members == 1:
        return 0.0, "There is nothing to combine it with."
    if not isinstance(asked, str):
        return float(asked), f"Shrinkage {float(asked):g} was given." if asked else "The coefficients were not shrunk."
    if examples < max(members, 2):
        return 1.0, f"Shrinkage 1: {members} coefficients cannot be fitted on {these(examples)}, so all are equal."
    share = cross_validated(problem, loss)
    few = f", which is few for {members} coefficients" if examples < _FEW_PER_MEMBER * members else ""
    return (
        share,
        f"Shrinkage {share:g} was chosen by {min(FOLDS, examples)}-fold cross-validation on {examples:,} examples{few}.",
    )


def _zeros(problem: Problem, fitted: PerMember, bound: float, share: float) -> str:
    """Say which members got 0, here or before shrinking, and why that is right."""
    if len(fitted) == 1:
        return "The only member got 1."
    zero = np.flatnonzero(fitted == 0).tolist()
    if not zero or share == 1:
        return "No member got 0."
    unit = " nats" if problem.task != "regression" else ""
    got = "got 0" if share == 0 else "got 0 before shrinking"
    each = "taking it" if len(zero) == 1 else "taking any of them"
    return (
        f"{members_text(zero)} {got}: {each} into the mix of the others would not lower the {scored(problem)} "
        f"(duality gap {gap_text(bound)}{unit})."
    )
