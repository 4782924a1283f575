"""What the members' differences are worth on labelled data: what the ensemble gains over its members, exactly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from manyminima import combine, diversity, metrics
from manyminima.arrays import CLASSIFICATION, Problem, as_problem

__all__ = ["Ambiguity", "ambiguity", "jensen_gap", "normalised_disagreement"]


@dataclass(frozen=True)
class Ambiguity:
    """The score of the mean prediction in two parts: `ensemble == members - variance`.

    All three are squared errors for regression, in the target's unit squared, and Brier scores for classes.

    Attributes:
        ensemble: Score of the mean prediction; lower is better.
        members: Mean of the members' scores; lower is better.
        variance: Variance of the members around their mean, a mean over the examples; higher is a larger gain.
    """

    ensemble: float
    members: float
    variance: float

    def __str__(self) -> str:
        return f"ensemble {self.ensemble:.4g} = members {self.members:.4g} - variance {self.variance:.4g}"


def normalised_disagreement(y: ArrayLike, probs: ArrayLike, *, task: str | None = None) -> float:
    """Disagreement of the members as a multiple of their error rate, 0..2 without unit; higher is more diverse.

    Members that are wrong more often disagree more often by that alone; the quotient takes it off. Members without an
    error cannot disagree: 0.0.

    ```python
    diversity.disagreement(probs) / (1 - np.mean([metrics.accuracy(y, one) for one in probs]))
    ```

    Args:
        y: (examples, ...) class numbers, or what the task has.
        probs: (members, examples, ..., classes), rows summing to 1.
        task: One of `arrays.TASKS`; inferred from the values if None.

    Raises:
        ValueError: The arrays do not fit together, or the task is regression.

    Example:
        >>> normalised_disagreement([0, 0], [[[0.9, 0.1], [0.8, 0.2]], [[0.7, 0.3], [0.1, 0.9]]])
        2.0

    Reference:
        Fort et al. 2019, Deep Ensembles: A Loss Landscape Perspective, section 4.
    """
    problem = _classes(y, probs, task)
    error = 1 - np.mean([metrics.accuracy(problem.y, one) for one in problem.probs])
    return diversity.disagreement(problem.probs) / float(error) if error > 0 else 0.0


def jensen_gap(
    y: ArrayLike, probs: ArrayLike, *, task: str | None = None, sample_weight: ArrayLike | None = None
) -> float:
    """How much lower the NLL of the mean prediction is than the members' on average, in nats, at least 0; higher is better.

    ```python
    np.mean([metrics.nll(y, one) for one in probs]) - metrics.nll(y, combine.mean(probs))
    ```

    Rounding, and the floor in `metrics.nll`, never make it negative.

    Args:
        y: (examples, ...) class numbers, or what the task has.
        probs: (members, examples, ..., classes), rows summing to 1.
        task: One of `arrays.TASKS`; inferred from the values if None.
        sample_weight: (examples,) non-negative.

    Raises:
        ValueError: The arrays do not fit together, or the task is regression.

    Example:
        >>> round(jensen_gap([0], [[[0.9, 0.1]], [[0.1, 0.9]]]), 4)
        0.5108

    Reference:
        Abe et al. 2022, Deep Ensembles Work, But Are They Necessary?
    """
    problem = _classes(y, probs, task, sample_weight)
    members, ensemble = _scores(metrics.nll, problem)
    return max(members - ensemble, 0.0)


def ambiguity(
    y: ArrayLike, probs: ArrayLike, *, task: str | None = None, sample_weight: ArrayLike | None = None
) -> Ambiguity:
    """The squared error of the mean prediction, or its Brier score for classes, as the members' less their variance.

    ```python
    np.mean((combine.mean(probs) - y) ** 2) == np.mean((probs - y) ** 2) - np.mean(probs.var(0))     # regression
    ```

    For classes y is one-hot there, and the squares are summed over the classes, as in `metrics.brier`.

    Args:
        y: (examples, ...) labels, or what the task has.
        probs: (members, examples, ..., classes), or targets instead of classes for regression.
        task: One of `arrays.TASKS`; inferred from the values if None.
        sample_weight: (examples,) non-negative.

    Raises:
        ValueError: The arrays do not fit together, or the values are not what the task needs.

    Example:
        >>> print(ambiguity([0.5], [[[0.0]], [[2.0]]]))
        ensemble 0.25 = members 1.25 - variance 1

    Reference:
        Krogh and Vedelsby 1995, Neural Network Ensembles, Cross Validation, and Active Learning.
    """
    problem = as_problem(y, probs, task, sample_weight)
    regression = problem.task == "regression"
    members, ensemble = _scores(metrics.squared_error if regression else metrics.brier, problem)
    centre = combine.mean(problem.probs)
    spread = np.mean([np.sum((one - centre) ** 2, axis=-1) for one in problem.probs], axis=0)
    per_row = spread / centre.shape[-1] if regression else spread
    return Ambiguity(ensemble, members, float(np.average(per_row, weights=problem.sample_weight)))


def _scores(metric: metrics.Metric, problem: Problem) -> tuple[float, float]:
    """The mean of the members' scores, and the score of their mean."""
    y, weight = problem.y, problem.sample_weight
    members = np.mean([metric(y, one, weight) for one in problem.probs])
    return float(members), metric(y, combine.mean(problem.probs), weight)


def _classes(y: ArrayLike, probs: ArrayLike, task: str | None, sample_weight: ArrayLike | None = None) -> Problem:
    problem = as_problem(y, probs, task, sample_weight)
    if problem.task not in CLASSIFICATION:
        raise ValueError(
            "the task is regression, which has no classes. What its members' differences are worth is "
            "decomposition.ambiguity(y, probs); if y holds classes, pass task='multiclass'."
        )
    return problem
