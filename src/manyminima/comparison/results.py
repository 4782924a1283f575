"""What a study found: scores of every method over seeds, paired with those of the single run, and a verdict in words."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from manyminima import calibrated, metrics
from manyminima.arrays import Task
from manyminima.equivalent import Equivalent
from manyminima.reporting.verdict import Outcome, paired_interval

__all__ = ["Difference", "Row", "measures", "paired", "scores_by_seed"]


@dataclass(frozen=True)
class Difference:
    """A score minus that of the reference with the same seeds, a mean with its interval over seeds.

    Attributes:
        mean: In the metric's unit.
        low: Lower end of Student's 95 % interval.
        high: Upper end.
        outcome: "better" or "worse" where the interval lies on one side of 0, else "unclear".
    """

    mean: float
    low: float
    high: float
    outcome: Outcome


@dataclass(frozen=True)
class Row:
    """One method.

    Attributes:
        name: As it was typed.
        peak: The peak that was chosen on validation rows.
        epochs: Of each of its runs.
        models: How many have to be run to predict.
        scores: By metric, one for each seed, on the test rows.
        differences: By metric, from the single run; empty for that one.
        at_edge: Whether the peak is the lowest or highest of several that were tried: the best may lie beyond.
        equivalent: Deep-ensemble equivalent with its interval; None for the single run, and where nets are too few.
        failed: Seeds whose predictions are not finite; their scores are NaN.
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
    return Difference(mean, *interval, outcome)
