"""One temperature for all rows."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from manyminima.arrays import Task
from manyminima.calibrate.scoring import Prediction, checked_rows, gain, remember, rescaled, score_of, score_unseen
from manyminima.fitting_data import FittingData
from manyminima.metrics import NLL_FLOOR
from manyminima.sharpness import HIGHEST, LOWEST, best_sharpness, log_rows, one_prediction

__all__ = ["Temperature", "soften", "temperature"]

_AT_BOUND = 1e-6  # so close to a bound it is the bound


@dataclass(frozen=True)
class Temperature:
    """One temperature, to be called with probabilities: `calibrator(probs)`; below 1 it sharpens, above 1 it softens.

    Attributes:
        temperature: What the logarithms of the probabilities are divided by, 0.01 to 100.
        before: NLL on the fitting data at temperature 1, a mean in nats; lower is better.
        after: The same at this temperature, never higher.
        at_bound: Whether the best temperature lies outside 0.01 to 100. It does where every row is right (the lower
            bound) or where the rows are worse than chance (the upper).
        task: One of the tasks of classification.
        classes: Number of columns it was fitted on.
        data: What identifies the fitting data.
    """

    temperature: float
    before: float
    after: float
    at_bound: bool
    task: Task
    classes: int
    data: FittingData

    def __call__(self, probs: ArrayLike) -> Prediction:
        """Return calibrated probabilities: same shape (..., classes), float64, rows summing to 1 unless multilabel."""
        rows = checked_rows(probs, self.task, self.classes)
        if self.task == "multilabel":
            return soften(np.stack([1 - rows, rows], axis=-1), self.temperature)[..., 1]
        return soften(rows, self.temperature)

    def score(self, y: ArrayLike, probs: ArrayLike, *, on_fitting_data: bool = False) -> float:
        """NLL of uncalibrated `probs` after calibration, a mean in nats; lower is better.

        Raises:
            ValueError: The data are those of the fit, unless `on_fitting_data=True`.
        """
        return score_unseen(self, y, probs, None if on_fitting_data else "the temperature")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON; `Temperature.from_dict(data)` is the way back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Temperature":
        """Rebuild it from what `to_dict` returned."""
        return cls(**{**data, "data": FittingData(**data["data"])})

    def __str__(self) -> str:
        bound = ", at the bound" if self.at_bound else ""
        return f"temperature {self.temperature:.3g}{bound}: {gain(self)}"


def temperature(
    y: ArrayLike, probs: ArrayLike, *, task: Task | None = None, sample_weight: ArrayLike | None = None
) -> Temperature:
    """The temperature with the lowest NLL on these rows: one positive number; below 1 sharpens, above 1 softens.

    ```python
    logs = np.log(np.maximum(probs, 1e-12)) / temperature
    np.exp(logs) / np.exp(logs).sum(-1, keepdims=True)
    ```

    It changes how sure a prediction is and never which class is the most probable. Labels that are independent of each
    other (multilabel) share it: the logit of each is divided by it. Fit it on rows that nothing was trained on, and
    score it on others. The NLL is convex in 1 / temperature, so the minimum is the only one. A few rows are enough for
    a number, not for a good one: below about 100 it varies by a tenth and more.

    Args:
        y: (examples,) class numbers, or what the task has.
        probs: (examples, classes) combined probabilities.
        task: One of the tasks of classification; inferred from the values if None.
        sample_weight: (examples,) non-negative.

    Raises:
        ValueError: Members that are not combined yet, or arrays that are not labels and probabilities.

    Example:
        >>> sure = np.array([[0.99, 0.01]] * 4)
        >>> fitted = temperature([0, 0, 0, 1], sure)
        >>> print(fitted)
        temperature 4.18: NLL 1.1588 → 0.5623 nats on 4 examples
        >>> fitted(sure)[0].round(3).tolist()
        [0.75, 0.25]

    Reference:
        Guo et al. 2017, On Calibration of Modern Neural Networks, equation 9.
    """
    problem = one_prediction(y, probs, task, sample_weight)
    below, label = log_rows(problem.y, problem.probs)
    known = 1 / float(best_sharpness(below, label, problem.sample_weight, np.ones(1))[0])
    at_bound = not LOWEST * (1 + _AT_BOUND) < known < HIGHEST * (1 - _AT_BOUND)
    before, after = (score_of(problem, soften(problem.probs[0], t)) for t in (1.0, known))
    known, after = (known, after) if after <= before else (1.0, before)  # they differ by rounding alone
    return Temperature(known, before, after, at_bound, problem.task, np.shape(probs)[-1], remember(y, problem))


def soften(probs: Prediction, temperature: float) -> Prediction:
    """Return probabilities (..., classes) at a temperature, rows summing to 1; below 1 it sharpens, above 1 it softens."""
    logs = np.log(np.maximum(probs, NLL_FLOOR))
    return rescaled(np.exp((logs - logs.max(axis=-1, keepdims=True)) / temperature))
