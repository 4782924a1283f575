"""What a study found: scores of every method over seeds, paired with those of the single run, and a verdict in words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from manyminima import calibrated, metrics
from manyminima.arrays import Task
from manyminima.equivalent import Equivalent
from manyminima.reporting.verdict import Outcome, paired_interval

__all__ = ["Difference", "Row", "Tried", "holm", "measures", "paired", "scores_by_seed"]


@dataclass(frozen=True)
class Difference:
    """A score minus that of the reference with the same seeds, a mean with its interval over seeds.

    Attributes:
        mean: In the metric's unit.
        low: Lower end of Student's 95 % interval.
        high: Upper end.
        outcome: "better" or "worse" where the interval lies on one side of 0, else "unclear".
        p: Student's two-sided p-value of there being no difference, from the same pairs.
    """

    mean: float
    low: float
    high: float
    outcome: Outcome
    p: float = float("nan")

    @property
    def half(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Tried:
    """A peak that was tried for a method.

    Attributes:
        peak: The rate.
        loss: Mean loss on the validation rows, over the seeds that did not diverge; lower is better.
        diverged: Seeds that did. Such a peak is chosen only where there is no other.
    """

    peak: float
    loss: float
    diverged: tuple[int, ...] = ()


@dataclass(frozen=True)
class Row:
    """One method.

    Attributes:
        name: As it was typed.
        peak: The peak that was chosen on validation rows.
        epochs: Of each of its runs.
        models: How many have to be run to predict.
        runs: How many runs share the budget.
        scores: By metric, one for each seed, on the test rows.
        differences: By metric, from the single run; empty for that one.
        at_edge: Whether the peak is the lowest or highest of several that were tried: the best may lie beyond.
        equivalent: Deep-ensemble equivalent with its interval; None for the single run, and where nets are too few.
        failed: Seeds whose predictions are not finite; their scores are NaN.
        tried: Every peak that was tried; empty where there was one to take.
        recipe: What is typed in Python to train it with this peak.
    """

    name: str
    peak: float
    epochs: int
    models: int
    scores: dict[str, tuple[float, ...]]
    differences: dict[str, Difference]
    at_edge: bool = False
    equivalent: Equivalent | None = None
    failed: tuple[int, ...] = ()
    runs: int = 1
    tried: tuple[Tried, ...] = ()
    recipe: str = ""

    def mean(self, metric: str) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.scores[metric]))


def measures(task: Task) -> tuple[str, ...]:
    """The metrics of a study, by name."""
    return ("squared_error",) if task == "regression" else ("error", "nll", "calibrated_nll", "ece")


def scores_by_seed(y: ArrayLike, probs: np.ndarray, task: Task) -> dict[str, tuple[float, ...]]:
    """Each metric of each seed's prediction, (seeds, examples, classes); NaN where a prediction is not finite."""
    found: dict[str, list[float]] = {name: [] for name in measures(task)}
    for one in probs:
        finite = np.isfinite(one).all()
        for name, values in found.items():
            values.append(_score(name, y, one, task) if finite else float("nan"))
    return {name: tuple(values) for name, values in found.items()}


def _score(name: str, y: ArrayLike, probs: np.ndarray, task: Task) -> float:
    if name == "calibrated_nll":
        return calibrated.calibrated_nll(y, probs, task=task)
    if name == "error":
        return 1 - metrics.accuracy(y, probs)
    return getattr(metrics, name)(y, probs)


def paired(ours: tuple[float, ...], reference: tuple[float, ...]) -> Difference:
    """The difference of two methods over the same seeds; of all studies' metrics, lower is better.

    Example:
        >>> paired((0.1, 0.2, 0.3), (0.2, 0.3, 0.4)).outcome
        'better'
    """
    gaps = np.subtract(ours, reference)
    mean, interval, _ = paired_interval(gaps, np.arange(len(gaps)), None)
    if interval is None:
        raise ValueError(f"{len(gaps)} seed gives no interval: at least 2 are needed.")
    outcome: Outcome = "better" if interval[1] < 0 else "worse" if interval[0] > 0 else "unclear"
    return Difference(mean, *interval, outcome, _p_value(mean, interval, len(gaps) - 1))


def _p_value(mean: float, interval: tuple[float, float], freedom: int) -> float:
    error = (interval[1] - interval[0]) / 2 / stdtrit(freedom, 0.975)
    if not error > 0:  # all pairs alike, or not finite
        return float("nan") if np.isnan(mean) else float(mean == 0)
    return float(2 * stdtr(freedom, -abs(mean) / error))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """P-values that allow for how many there are: where all below 0.05 are believed, one is wrong at most once in 20 studies.

    ```python
    sorted_p[i] * (n - i)    # the smallest times n, the next times n - 1, ..; never below one before it, at most 1
    ```

    Example:
        >>> holm([0.01, 0.04, 0.03])
        (0.03, 0.06, 0.06)

    Reference:
        Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure.
    """
    order, n = np.argsort(p_values, kind="stable"), len(p_values)
    raised = np.maximum.accumulate(np.asarray(p_values, "float64")[order] * (n - np.arange(n)))
    found = np.empty(n)
    found[order] = np.minimum(raised, 1.0)
    return tuple(found.tolist())
