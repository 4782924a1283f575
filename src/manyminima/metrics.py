"""Scores of one prediction. Each is `metric(y, probs, sample_weight=None)`, a float, computed in float64.

What a metric is, its direction, bounds, unit and tasks, is data on the function: `nll.facts.better == "lower"`.
Reports, plots and the command line read it there, so a new metric is a function with its facts and nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from manyminima.arrays import CLASSIFICATION, Combined, Labels, PerExample, Problem, Targets, Task, as_problem
from manyminima.checks import one_prediction

__all__ = ["accuracy", "brier", "ece", "nll", "squared_error"]

NLL_FLOOR = 1e-12
ECE_BINS = 15


@dataclass(frozen=True)
class Facts:
    """What a metric measures.

    Attributes:
        label: How it is called in a table or on an axis.
        unit: "nats", "share" (0..1), or "" where there is none.
        better: Which direction is better.
        bounds: The lowest and the highest value possible.
        tasks: The tasks it is defined for.
        per_example: `(y, probs) -> (examples,)` on checked float64 arrays, where the metric is the mean of a number per
            example; None where it is not, so that no interval over examples can be given.
    """

    label: str
    unit: str
    better: Literal["lower", "higher"]
    bounds: tuple[float, float]
    tasks: tuple[Task, ...]
    per_example: Callable[[Any, Any], PerExample] | None = None

    @property
    def title(self) -> str:
        """The label as it stands at the start of a sentence."""
        return self.label[0].upper() + self.label[1:]


@runtime_checkable
class Metric(Protocol):
    """A function of labels and one prediction, with its facts."""

    __name__: str
    facts: Facts

    def __call__(self, y: ArrayLike, probs: ArrayLike, sample_weight: ArrayLike | None = None) -> float: ...


def known(metric: Any) -> Metric:
    """The same metric; TypeError if it is none."""
    if not isinstance(metric, Metric):
        raise TypeError(f"metric={metric!r}: expected one of mm.metrics, such as metric=mm.metrics.nll.")
    return metric


def described(facts: Facts) -> Callable[[Callable[..., float]], Metric]:
    """A decorator that puts the facts on a metric."""

    def attach(function: Callable[..., float]) -> Metric:
        metric = cast(Metric, function)
        metric.facts = facts
        return metric

    return attach


def _hit(y: Labels, probs: Combined) -> PerExample:
    return (probs.argmax(axis=-1) == y).astype(np.float64)


@described(Facts("accuracy", "share", "higher", (0.0, 1.0), CLASSIFICATION, _hit))
def accuracy(y: ArrayLike, probs: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Share of examples whose most probable class is the label, 0..1; higher is better.

    ```python
    np.mean(probs.argmax(-1) == y)
    ```

    Of classes with the same highest probability the first counts, as in `numpy.argmax`.

    Args:
        y: (examples,) class numbers, or (examples, classes) one-hot.
        probs: (examples, classes), rows summing to 1.
        sample_weight: (examples,) non-negative.

    Raises:
        ValueError: The arrays do not fit together or `probs` are not probabilities.

    Example:
        >>> accuracy([0, 1], [[0.9, 0.1], [0.6, 0.4]])
        0.5

    Reference:
        `sklearn.metrics.accuracy_score`.
    """
    return _mean(_hit, _classes(y, probs, sample_weight))


def _surprise(y: Labels, probs: Combined) -> PerExample:
    return -np.log(np.clip(probs[np.arange(len(y)), y], NLL_FLOOR, 1.0))


@described(Facts("NLL", "nats", "lower", (0.0, float(-np.log(NLL_FLOOR))), CLASSIFICATION, _surprise))
def nll(y: ArrayLike, probs: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Negative log-likelihood of the labels, a mean in nats, 0..27.6; lower is better.

    ```python
    np.mean(-np.log(np.maximum(probs[np.arange(len(y)), y], 1e-12)))
    ```

    Args:
        y: (examples,) class numbers, or (examples, classes) one-hot.
        probs: (examples, classes), rows summing to 1.
        sample_weight: (examples,) non-negative.

    Raises:
        ValueError: The arrays do not fit together or `probs` are not probabilities.

    Example:
        >>> round(nll([0, 1], [[0.9, 0.1], [0.6, 0.4]]), 4)
        0.5108

    Reference:
        Good 1952, Rational Decisions; `sklearn.metrics.log_loss`.
    """
    return _mean(_surprise, _classes(y, probs, sample_weight))


def _quadratic(y: Labels, probs: Combined) -> PerExample:
    return np.sum((probs - np.eye(probs.shape[-1])[y]) ** 2, axis=-1)


@described(Facts("Brier", "", "lower", (0.0, 2.0), CLASSIFICATION, _quadratic))
def brier(y: ArrayLike, probs: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Brier score, squared error summed over the classes, 0..2 without unit; lower is better.

    ```python
    np.mean(np.sum((probs - np.eye(classes)[y]) ** 2, axis=-1))
    ```

    For two classes this is twice the mean of `(p - y) ** 2`.

    Args:
        y: (examples,) class numbers, or (examples, classes) one-hot.
        probs: (examples, classes), rows summing to 1.
        sample_weight: (examples,) non-negative.

    Raises:
        ValueError: The arrays do not fit together or `probs` are not probabilities.

    Example:
        >>> round(brier([0, 1], [[0.9, 0.1], [0.6, 0.4]]), 4)
        0.37

    Reference:
        Brier 1950, Verification of Forecasts Expressed in Terms of Probability, equation 2.
    """
    return _mean(_quadratic, _classes(y, probs, sample_weight))


@described(Facts("ECE", "share", "lower", (0.0, 1.0), CLASSIFICATION))
def ece(y: ArrayLike, probs: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Expected calibration error of the most probable class, a share 0..1; lower is better.

    Confidences fall into 15 equal bins `(lo, hi]`. The gap between accuracy and mean confidence is averaged over the
    bins, each counting by its examples; an empty bin counts nothing.

    ```python
    bin = np.searchsorted(np.linspace(0, 1, 16)[1:-1], probs.max(-1), side="left")
    gaps = np.bincount(bin, (probs.argmax(-1) == y) - probs.max(-1), minlength=15)
    np.sum(np.abs(gaps)) / len(y)
    ```

    Args:
        y: (examples,) class numbers, or (examples, classes) one-hot.
        probs: (examples, classes), rows summing to 1.
        sample_weight: (examples,) non-negative.

    Raises:
        ValueError: The arrays do not fit together or `probs` are not probabilities.

    Example:
        >>> round(ece([0, 1], [[0.9, 0.1], [0.6, 0.4]]), 4)
        0.35

    Reference:
        Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3.
    """
    problem = _classes(y, probs, sample_weight)
    labels, rows = problem.y, problem.probs[0]
    confidence = rows.max(axis=-1)
    bins = np.searchsorted(np.linspace(0, 1, ECE_BINS + 1)[1:-1], confidence, side="left")
    weight = np.ones(len(labels)) if problem.sample_weight is None else problem.sample_weight
    gaps = np.bincount(bins, weight * (_hit(labels, rows) - confidence), minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / weight.sum())


def _squares(y: Targets, probs: Targets) -> PerExample:
    return np.mean((probs - y) ** 2, axis=-1)


@described(Facts("squared error", "", "lower", (0.0, float("inf")), ("regression",), _squares))
def squared_error(y: ArrayLike, probs: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Squared error, a mean over examples and targets in the target's unit squared; lower is better.

    ```python
    np.mean((probs - y) ** 2)
    ```

    Args:
        y: (examples, targets), or (examples,) for one target.
        probs: (examples, targets) predictions.
        sample_weight: (examples,) non-negative.

    Raises:
        ValueError: The arrays do not fit together.

    Example:
        >>> squared_error([1.0, 3.0], [[1.5], [2.0]])
        0.625

    Reference:
        `sklearn.metrics.mean_squared_error`.
    """
    return _mean(_squares, _one_member(y, probs, "regression", sample_weight))


def _classes(y: ArrayLike, probs: ArrayLike, sample_weight: ArrayLike | None) -> Problem:
    return _one_member(y, probs, "multiclass", sample_weight)


def _one_member(y: ArrayLike, probs: ArrayLike, task: Task, sample_weight: ArrayLike | None) -> Problem:
    combine = (
        "a metric scores one prediction. Combine the members first, as in metrics.nll(y, combine.mean(probs)), or pass "
        "one of them, probs[-1]"
    )
    values = one_prediction(y, probs, combine)
    return as_problem(
        y, values.astype(np.float64)[None] if values.dtype.kind == "f" else values[None], task, sample_weight
    )


def _mean(per_example: Callable[[Any, Any], PerExample], problem: Problem) -> float:
    return float(np.average(per_example(problem.y, problem.probs[0]), weights=problem.sample_weight))
