"""What an uncertainty is good for: leaving out what is likely wrong, and noticing what is foreign.

Every uncertainty here is one number per prediction, higher where the ensemble is less sure, such as
`uncertainty.total(probs)` or `1 - uncertainty.max_probability(probs)`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from manyminima.arrays import CLASSIFICATION, Problem, as_problem
from manyminima.checks import numbers, one_prediction

__all__ = ["Detection", "RiskCoverage", "misclassification", "out_of_distribution", "risk_coverage"]

FOUND = 0.95

Rows = Float[np.ndarray, " rows"]
Points = Float[np.ndarray, " points"]


@dataclass(frozen=True)
class RiskCoverage:
    """What answering only where the uncertainty is low is worth.

    Attributes:
        coverage: (points,) share of the examples that are answered, 0..1, one for each distinct uncertainty, rising.
        risk: (points,) mean loss of the examples answered: the error rate, or the squared error for regression.
        area: Mean of the risk over the coverage, in the risk's unit; lower is better.
        excess: How far the area lies above that of the best order there is, at least 0; lower is better.
    """

    coverage: Points
    risk: Points
    area: float
    excess: float

    def __str__(self) -> str:
        return (
            f"area under risk and coverage {self.area:.4g}, {self.excess:.4g} above the best order; "
            f"risk {self.risk[-1]:.4g} where everything is answered"
        )


@dataclass(frozen=True)
class Detection:
    """How well an uncertainty tells what is to be found (the positives) from the rest.

    All but `share` are NaN where there are only positives or none of them, as nothing can be told apart then.

    Attributes:
        auroc: Probability that a positive has the higher uncertainty, ties counting half, 0..1; higher is better, 0.5 is
            chance.
        aupr: Average precision of finding the positives, 0..1; higher is better, `share` is chance.
        fpr95: Share of the negatives that are taken for positives at the highest threshold that finds at least 95 % of
            the positives, 0..1; lower is better.
        share: Share of the positives, 0..1.
    """

    auroc: float
    aupr: float
    fpr95: float
    share: float

    def __str__(self) -> str:
        return (
            f"AUROC {self.auroc:.4f}, AUPR {self.aupr:.4f} (chance {self.share:.4f}), "
            f"{self.fpr95:.2%} false alarms where 95% are found"
        )


def risk_coverage(
    y: ArrayLike,
    probs: ArrayLike,
    uncertainty: ArrayLike,
    *,
    task: str | None = None,
    sample_weight: ArrayLike | None = None,
) -> RiskCoverage:
    """Mean loss of the surest examples for every share of them, and the area under it in the loss's unit; lower is better.

    Examples with the same uncertainty are answered together, because no threshold parts them: the order of the rows
    says nothing. The area is the mean of the risk over the examples, each at its own uncertainty as the threshold.

    ```python
    risk = [loss[uncertainty <= u].mean() for u in uncertainty]
    area = np.mean(risk)
    ```

    The best order there is goes by the loss itself. Its area is taken in the limit of many examples, for an error rate r
    it is `r + (1 - r) * log(1 - r)`.

    Args:
        y: (examples, ...) labels, or what the task has.
        probs: (examples, ..., classes) one prediction, such as `combine.mean(probs)`.
        uncertainty: (examples, ...) one number per prediction, higher is less sure.
        task: One of `arrays.TASKS`; inferred from the values if None.
        sample_weight: (examples,) non-negative.

    Raises:
        ValueError: The arrays do not fit together, or the values are not what the task needs.

    Example:
        >>> curve = risk_coverage([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], [0.1, 0.2, 0.4])
        >>> curve.coverage.round(3).tolist(), curve.risk.round(3).tolist(), round(curve.area, 3)
        ([0.333, 0.667, 1.0], [0.0, 0.0, 0.333], 0.111)

    Reference:
        Geifman, Uziel and El-Yaniv 2019, Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers, section 3.
    """
    problem = _one_prediction(y, probs, task, sample_weight)
    loss, weight, score = _loss(problem), _weight(problem), _scores(uncertainty, probs, problem)
    known, group = np.unique(score[weight > 0], return_inverse=True)
    share = np.bincount(group, weight[weight > 0], len(known)) / weight.sum()
    lost = np.bincount(group, (weight * loss)[weight > 0], len(known)) / weight.sum()
    coverage = np.cumsum(share)
    risk = np.cumsum(lost) / coverage
    area = float(share @ risk)
    return RiskCoverage(coverage / coverage[-1], risk, area, max(area - _best_area(loss, weight), 0.0))


def misclassification(
    y: ArrayLike,
    probs: ArrayLike,
    uncertainty: ArrayLike,
    *,
    task: str | None = None,
    sample_weight: ArrayLike | None = None,
) -> Detection:
    """How well the uncertainty finds the wrong predictions: AUROC 0..1, higher is better. Wrong ones are the positives.

    Where all predictions are right, or all wrong, the three numbers are NaN: `metrics.accuracy(y, probs)` tells before.

    ```python
    sklearn.metrics.roc_auc_score(probs.argmax(-1) != y, uncertainty)
    ```

    Args:
        y: (examples, ...) class numbers, or what the task has.
        probs: (examples, ..., classes) one prediction, such as `combine.mean(probs)`.
        uncertainty: (examples, ...) one number per prediction, higher is less sure.
        task: One of `arrays.TASKS`; inferred from the values if None.
        sample_weight: (examples,) non-negative.

    Raises:
        ValueError: The arrays do not fit together, or the task is regression, where no prediction is right or wrong.

    Example:
        >>> print(misclassification([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], [0.1, 0.2, 0.4]))
        AUROC 1.0000, AUPR 1.0000 (chance 0.3333), 0.00% false alarms where 95% are found

    Reference:
        Hendrycks and Gimpel 2017, A Baseline for Detecting Misclassified and Out-of-Distribution Examples, section 3.
    """
    problem = _one_prediction(y, probs, task, sample_weight)
    if problem.task not in CLASSIFICATION:
        raise ValueError(
            "the task is regression, where no prediction is right or wrong. Judge the uncertainty with "
            "detection.risk_coverage(y, probs, uncertainty), or pass task='multiclass' if y holds classes."
        )
    return _detection(_loss(problem) > 0, _scores(uncertainty, probs, problem), _weight(problem))


def out_of_distribution(uncertainty_in: ArrayLike, uncertainty_out: ArrayLike) -> Detection:
    """How well the uncertainty finds foreign examples: AUROC 0..1, higher is better. Foreign ones are the positives.

    Many papers take the examples of the training distribution as positives; their AUPR and FPR95 are those of
    `out_of_distribution(-uncertainty_out, -uncertainty_in)`, the AUROC is the same.

    ```python
    foreign = np.repeat([0, 1], [uncertainty_in.size, uncertainty_out.size])
    sklearn.metrics.roc_auc_score(foreign, np.concatenate([uncertainty_in, uncertainty_out], axis=None))
    ```

    Args:
        uncertainty_in: (examples, ...) uncertainty of examples like those trained on, higher is less sure.
        uncertainty_out: (other examples, ...) uncertainty of examples from elsewhere.

    Raises:
        ValueError: One of them is empty, or holds NaN or infinity.

    Example:
        >>> out_of_distribution([0.1, 0.2, 0.3, 0.4], [0.35, 0.9]).auroc
        0.875

    Reference:
        Hendrycks and Gimpel 2017, A Baseline for Detecting Misclassified and Out-of-Distribution Examples, section 3.
    """
    known, foreign = numbers(uncertainty_in, "uncertainty_in"), numbers(uncertainty_out, "uncertainty_out")
    positive = np.repeat([False, True], [known.size, foreign.size])
    return _detection(positive, np.concatenate([known, foreign], axis=None), np.ones(len(positive)))


def _detection(positive: Bool[np.ndarray, " rows"], score: Rows, weight: Rows) -> Detection:
    from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

    positive, score, weight = positive[weight > 0], score[weight > 0], weight[weight > 0]
    share = float(weight[positive].sum() / weight.sum())
    if positive.all() or not positive.any():
        return Detection(np.nan, np.nan, np.nan, share)
    alarms, found, _ = roc_curve(positive, score, sample_weight=weight, drop_intermediate=False)
    enough = np.argmax(found >= FOUND - 1e-12)  # sums of weights may end a rounding error below
    return Detection(
        float(roc_auc_score(positive, score, sample_weight=weight)),
        float(average_precision_score(positive, score, sample_weight=weight)),
        float(alarms[enough]),
        share,
    )


def _best_area(loss: Rows, weight: Rows) -> float:
    """Area under risk and coverage where the loss itself is the uncertainty: an exact integral over the coverage."""
    order = np.argsort(loss)
    order = order[weight[order] > 0]
    values, share = loss[order], weight[order] / weight.sum()
    stop, lost = np.cumsum(share), np.cumsum(share * values)
    start, before = stop[:-1], lost[:-1]
    # From `start` on the risk is (before + value * (c - start)) / c.
    return float(share @ values + np.sum((before - values[1:] * start) * np.log(stop[1:] / start)))


def _one_prediction(y: ArrayLike, probs: ArrayLike, task: str | None, sample_weight: ArrayLike | None) -> Problem:
    combine = (
        "one prediction. Combine the members first, as in combine.mean(probs); their uncertainty is of all of them, as in "
        "uncertainty.total(probs)"
    )
    return as_problem(y, one_prediction(y, probs, combine)[None], task, sample_weight)


def _loss(problem: Problem) -> Rows:
    if problem.task == "regression":
        return np.average((problem.probs[0] - problem.y) ** 2, axis=-1)
    return (problem.probs[0].argmax(axis=-1) != problem.y).astype(np.float64)


def _weight(problem: Problem) -> Rows:
    return np.ones(len(problem.y)) if problem.sample_weight is None else problem.sample_weight


def _scores(uncertainty: ArrayLike, probs: ArrayLike, problem: Problem) -> Rows:
    values = numbers(uncertainty, "uncertainty")
    shape = np.shape(probs) if problem.task == "multilabel" else np.shape(probs)[:-1]
    if values.shape not in (shape, (*shape, 1)) and (*values.shape, 1) != shape:
        raise ValueError(
            f"uncertainty has shape {values.shape}, expected {shape}: one number per prediction, as "
            "uncertainty.total(members' probs) has them. Where there is one for each target, pass uncertainty.mean(-1)."
        )
    return values.ravel()
