"""Probabilities that mean what they say: fitted on rows that nothing was trained on, used on others.

Combine first, calibrate after: what is calibrated here is one prediction, such as `combine.mean(probs)`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from manyminima.arrays import Problem, Task, check_distributions, finite
from manyminima.fitting_data import FittingData
from manyminima.metrics import NLL_FLOOR, nll
from manyminima.sharpness import HIGHEST, LOWEST, best_sharpness, double, log_rows, one_prediction

__all__ = ["Isotonic", "Temperature", "cross_fitted", "isotonic", "temperature"]


_AT_BOUND = 1e-6  # so close to a bound it is the bound

Prediction = Float[np.ndarray, "*examples classes"]


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
        rows = _rows(probs, self.task, self.classes)
        if self.task == "multilabel":
            return _soften(np.stack([1 - rows, rows], axis=-1), self.temperature)[..., 1]
        return _soften(rows, self.temperature)

    def score(self, y: ArrayLike, probs: ArrayLike, *, on_fitting_data: bool = False) -> float:
        """NLL of uncalibrated `probs` after calibration, a mean in nats; lower is better.

        Raises:
            ValueError: The data are those of the fit, unless `on_fitting_data=True`.
        """
        return _score(self, y, probs, None if on_fitting_data else "the temperature")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON; `Temperature.from_dict(data)` is the way back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Temperature":
        """Rebuild it from what `to_dict` returned."""
        return cls(**{**data, "data": FittingData(**data["data"])})

    def __str__(self) -> str:
        bound = ", at the bound" if self.at_bound else ""
        return f"temperature {self.temperature:.3g}{bound}: {_gain(self)}"


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
    before, after = (_nll(problem, _soften(problem.probs[0], t)) for t in (1.0, known))
    known, after = (known, after) if after <= before else (1.0, before)  # they differ by rounding alone
    return Temperature(known, before, after, at_bound, problem.task, np.shape(probs)[-1], _remember(y, problem))


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
        rows = _rows(probs, self.task, self.classes)
        if self.task == "multilabel":
            return np.clip(self._curves(rows), self.floor, 1 - self.floor)
        if self.classes == 2:
            second = np.clip(self._curves(rows[..., 1:]), self.floor, 1 - self.floor)
            return np.concatenate([1 - second, second], axis=-1)
        shares = self._curves(rows)
        nothing = shares.sum(axis=-1, keepdims=True) == 0
        return _rescaled(np.maximum(_rescaled(np.where(nothing, rows, shares)), self.floor))

    def _curves(self, columns: Prediction) -> Prediction:
        curves = zip(np.moveaxis(columns, -1, 0), self.inputs, self.outputs, strict=True)
        return np.stack([np.interp(column, x, y) for column, x, y in curves], axis=-1)

    def score(self, y: ArrayLike, probs: ArrayLike, *, on_fitting_data: bool = False) -> float:
        """NLL of uncalibrated `probs` after calibration, a mean in nats; lower is better.

        Raises:
            ValueError: The data are those of the fit, unless `on_fitting_data=True`.
        """
        return _score(self, y, probs, None if on_fitting_data else "the isotonic regression")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON; `Isotonic.from_dict(data)` is the way back."""
        return asdict(self) | {"inputs": list(map(list, self.inputs)), "outputs": list(map(list, self.outputs))}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Isotonic":
        """Rebuild it from what `to_dict` returned."""
        corners = {name: tuple(map(tuple, data[name])) for name in ("inputs", "outputs")}
        return cls(**{**data, **corners, "data": FittingData(**data["data"])})

    def __str__(self) -> str:
        return f"isotonic regression of {self.classes} classes: {_gain(self)}"


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
    floor, before = 1 / problem.probs[0].size, _nll(problem, problem.probs[0])
    fitted = Isotonic(inputs, outputs, floor, before, before, problem.task, classes, _remember(y, problem))
    calibrated = one_prediction(y, fitted(probs), problem.task, sample_weight)
    return replace(fitted, after=_nll(calibrated, calibrated.probs[0]))


def cross_fitted(
    y: ArrayLike,
    probs: ArrayLike,
    fit: Callable[..., Temperature | Isotonic] = temperature,
    *,
    task: Task | None = None,
    folds: int = 5,
    seed: int = 0,
) -> Prediction:
    """Calibrated probabilities without held-out data: each example is calibrated by a fit on the other folds.

    ```python
    for part in folds: out[part] = fit(y[~part], probs[~part])(probs[part])
    ```

    The rows of one example (the pixels of an image) stay together. The result says how good calibration is on data
    like these; for new data, fit once on all of them.

    Args:
        y: (examples,) class numbers, or what the task has.
        probs: (examples, classes) combined probabilities.
        fit: `temperature`, `isotonic`, or `(y, probs, *, task) -> calibrator`.
        task: One of the tasks of classification; inferred from the values if None.
        folds: Number of parts, at least 2.
        seed: Of the random parts.

    Returns:
        The shape of `probs`.

    Raises:
        ValueError: More folds than examples, or what `fit` raises.

    Example:
        >>> probs = np.array([[0.99, 0.01]] * 8)
        >>> cross_fitted([0, 0, 0, 1] * 2, probs, folds=2, seed=3).shape
        (8, 2)
    """
    labels, rows = np.asarray(y), np.asarray(probs)
    known = one_prediction(labels, rows, task, None).task
    if not 2 <= folds <= len(labels):
        raise ValueError(
            f"folds is {folds} for {len(labels)} examples, expected 2 to {len(labels)}. Pass folds=2, or more examples."
        )
    out = np.empty(rows.shape)
    for part in np.array_split(np.random.default_rng(seed).permutation(len(labels)), folds):
        out[part] = fit(np.delete(labels, part, 0), np.delete(rows, part, 0), task=known)(rows[part])
    return out


def _soften(probs: Prediction, temperature: float) -> Prediction:
    logs = np.log(np.maximum(probs, NLL_FLOOR))
    return _rescaled(np.exp((logs - logs.max(axis=-1, keepdims=True)) / temperature))


def _rescaled(rows: Prediction) -> Prediction:
    return rows / rows.sum(axis=-1, keepdims=True)


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


def _rows(probs: ArrayLike, task: Task, classes: int) -> Prediction:
    rows = double(np.asarray(probs))
    if rows.ndim == 0 or rows.shape[-1] != classes:
        raise ValueError(
            f"probs has shape {rows.shape}, but the calibrator was fitted on {classes} columns: expected "
            f"(..., {classes}). Pass predictions of the same task, or fit again."
        )
    finite(rows[None])
    if task != "multilabel":
        check_distributions(rows[None])
    elif rows.min() < 0 or rows.max() > 1:
        raise ValueError(
            f"probs ranges over {rows.min():.4g} to {rows.max():.4g}, expected probabilities in 0..1. If these are "
            "logits, apply a sigmoid first: scipy.special.expit(probs)."
        )
    return rows


def _nll(problem: Problem, rows: Prediction) -> float:
    return nll(problem.y, _rescaled(rows), problem.sample_weight)


def _remember(y: ArrayLike, problem: Problem) -> FittingData:
    """The fitting data, by labels of the shape that `y` has, and by what it is scored with before any calibration."""
    return FittingData.of(problem.y.reshape(len(np.asarray(y)), -1), nll(problem.y, problem.probs[0]))


def _score(calibrator: Temperature | Isotonic, y: ArrayLike, probs: ArrayLike, refuse: str | None) -> float:
    problem = one_prediction(y, probs, calibrator.task)
    if refuse:
        seen = _remember(y, problem)
        calibrator.data.check_unseen(problem.y.reshape(seen.examples, -1), seen.score, refuse)
    calibrated = one_prediction(y, calibrator(probs), calibrator.task)
    return _nll(calibrated, calibrated.probs[0])


def _gain(calibrator: Temperature | Isotonic) -> str:
    examples = f"{calibrator.data.examples:,} examples"
    return f"NLL {calibrator.before:.4f} → {calibrator.after:.4f} nats on {examples}"
