"""Monotone curves, one per class."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from manyminima.arrays import Problem, Task
from manyminima.calibrate.scoring import Prediction, checked_rows, gain, remember, rescaled, score_of, score_unseen
from manyminima.fitting_data import FittingData
from manyminima.sharpness import one_prediction

__all__ = ["Isotonic", "isotonic"]


@dataclass(frozen=True)
class Isotonic:
    """One monotone curve per class, to be called with probabilities: `calibrator(probs)`.

    Attributes:
        inputs: Per curve, the probabilities at its corners. Two classes have one curve, that of the second.
        outputs: Per curve, the shares of the label seen there; linear between corners, constant outside.
        floor: No class gets less before its row is rescaled: 1 / (rows · classes) of the fitting data.
        before: NLL on the fitting data without calibration, a mean in nats; lower is better.
        after: The same with it.
        task: One of the tasks of classification.
        classes: Number of columns it was fitted on.
        data: What identifies the fitting data.
    """

    inputs: tuple[tuple[float, ...], ...]
    outputs: tuple[tuple[float, ...], ...]
    floor: float
    before: float
    after: float
    task: Task
    classes: int
    data: FittingData

    def __call__(self, probs: ArrayLike) -> Prediction:
        """Return calibrated probabilities: same shape (..., classes), float64, rows summing to 1 unless multilabel."""
        rows = checked_rows(probs, self.task, self.classes)
        if self.task == "multilabel":
            return np.clip(self._curves(rows), self.floor, 1 - self.floor)
        if self.classes == 2:
            second = np.clip(self._curves(rows[..., 1:]), self.floor, 1 - self.floor)
            return np.concatenate([1 - second, second], axis=-1)
        shares = self._curves(rows)
        nothing = shares.sum(axis=-1, keepdims=True) == 0
        return rescaled(np.maximum(rescaled(np.where(nothing, rows, shares)), self.floor))

    def _curves(self, columns: Prediction) -> Prediction:
        curves = zip(np.moveaxis(columns, -1, 0), self.inputs, self.outputs, strict=True)
        return np.stack([np.interp(column, x, y) for column, x, y in curves], axis=-1)

    def score(self, y: ArrayLike, probs: ArrayLike, *, on_fitting_data: bool = False) -> float:
        """NLL of uncalibrated `probs` after calibration, a mean in nats; lower is better.

        Raises:
            ValueError: The data are those of the fit, unless `on_fitting_data=True`.
        """
        return score_unseen(self, y, probs, None if on_fitting_data else "the isotonic regression")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON; `Isotonic.from_dict(data)` is the way back."""
        return asdict(self) | {"inputs": list(map(list, self.inputs)), "outputs": list(map(list, self.outputs))}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Isotonic":
        """Rebuild it from what `to_dict` returned."""
        corners = {name: tuple(map(tuple, data[name])) for name in ("inputs", "outputs")}
        return cls(**{**data, **corners, "data": FittingData(**data["data"])})

    def __str__(self) -> str:
        return f"isotonic regression of {self.classes} classes: {gain(self)}"


def isotonic(
    y: ArrayLike, probs: ArrayLike, *, task: Task | None = None, sample_weight: ArrayLike | None = None
) -> Isotonic:
    """Monotone curves from the probability of a class to how often it was the label, one per class against the rest.

    ```python
    curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probs[:, c], y == c)      # for each class c
    shares / shares.sum(-1, keepdims=True)
    ```

    It has as many free numbers as the data allow, so it wants about 1,000 rows for two classes and many more for many;
    with fewer, take `temperature`. A class may end above another that it was below. A share of 0 is raised to a small
    floor, 1 / (rows · classes), which keeps the NLL finite; a class that no label names gets that floor. A row to which
    every curve gives 0 keeps its uncalibrated probabilities. For more than two classes the NLL can rise, even on these
    rows.

    Args:
        y: (examples,) class numbers, or what the task has.
        probs: (examples, classes) combined probabilities.
        task: One of the tasks of classification; inferred from the values if None.
        sample_weight: (examples,) non-negative.

    Raises:
        ValueError: Members that are not combined yet, or arrays that are not labels and probabilities.

    Example:
        >>> fitted = isotonic([0, 1, 0, 1], [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.2, 0.8]])
        >>> fitted([[0.75, 0.25], [0.5, 0.5]]).round(2).tolist()
        [[0.5, 0.5], [0.3, 0.7]]

    Reference:
        Zadrozny and Elkan 2002, Transforming Classifier Scores into Accurate Multiclass Probability Estimates.
    """
    from sklearn.isotonic import IsotonicRegression

    problem, classes = one_prediction(y, probs, task, sample_weight), np.shape(probs)[-1]
    curves = []
    for column, hit, weight in _columns(problem, classes):
        curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(column, hit, weight)
        curves.append((tuple(curve.X_thresholds_.tolist()), tuple(curve.y_thresholds_.tolist())))
    inputs, outputs = zip(*curves, strict=True)
    floor, before = 1 / problem.probs[0].size, score_of(problem, problem.probs[0])
    fitted = Isotonic(inputs, outputs, floor, before, before, problem.task, classes, remember(y, problem))
    calibrated = one_prediction(y, fitted(probs), problem.task, sample_weight)
    return replace(fitted, after=score_of(calibrated, calibrated.probs[0]))


def _columns(problem: Problem, classes: int):
    """What each curve is fitted on: probabilities, whether they were right, and weights."""
    hit, rows, weight = problem.y, problem.probs[0], problem.sample_weight
    if problem.task == "multilabel":
        for label in range(classes):
            every = slice(label, None, classes)
            yield rows[every, 1], hit[every], None if weight is None else weight[every]
        return
    for column in [1] if classes == 2 else range(classes):
        yield rows[:, column], hit == column, weight
