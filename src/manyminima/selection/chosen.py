"""What every way of choosing members comes to: one coefficient for each, and what is known about them."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from manyminima import combine, metrics
from manyminima.arrays import PerMember, Task, as_problem
from manyminima.fitting_data import FittingData
from manyminima.selection.losses import Loss, best_single, equal, loss_of, mix, score
from manyminima.selection.words import gap_text

__all__ = ["Selection"]

Method = Literal["fitted", "greedy", "newest", "uniform"]


@dataclass(frozen=True, eq=False)
class Selection:
    """How much of each member to take, what that is worth on the data it was chosen on, and why.

    Scores are in the metric's unit, lower is better. On the data of the fit they say how well the fit went, and nothing
    about other data: `score_on` rows that nothing was trained, fitted or chosen on.

    Attributes:
        method: What chose: "fitted", "greedy", "newest", or "uniform" where nothing was chosen.
        coefficients: (members,) non-negative, sum 1, in the order of the members.
        metric: "nll" in nats, or "squared_error" in the target's unit squared.
        score: Of the combination, on the data of the fit.
        uniform: Of equal coefficients, there.
        best_single: Of the best member alone, there.
        gap: How far the fit is from the lowest score there at most, before shrinkage; None if the method has no bound.
        shrinkage: How far the coefficients were moved towards equal ones, 0 (not at all) to 1.
        data: What identifies the data of the fit.
        reason: In sentences: which members got 0 and why, and what else was decided. Members are counted from 1, oldest
            first, as in reports.
        task: One of the tasks of `manyminima.arrays`; None infers it from the arrays.

    Example:
        >>> from manyminima import selection
        >>> probs = np.array([[[0.9, 0.1], [0.6, 0.4]], [[0.5, 0.5], [0.1, 0.9]]])
        >>> chosen = selection.newest([0, 1], probs)
        >>> print(chosen)
        newest: coefficients 0.500 0.500
        NLL 0.3937 nats; equal coefficients 0.3937, best single member 0.3993
        No member got 0.
        >>> chosen.combine(probs).round(2).tolist()
        [[0.7, 0.3], [0.35, 0.65]]
    """

    method: Method
    coefficients: PerMember
    metric: Literal["nll", "squared_error"]
    score: float
    uniform: float
    best_single: float
    gap: float | None
    shrinkage: float
    data: FittingData
    reason: str
    task: Task | None = None

    def combine(self, probs: ArrayLike) -> combine.OnePrediction:
        """The members' predictions combined with the coefficients, float64, as `combine.mean` does it.

        Args:
            probs: (members, ..., classes), the same members in the same order.

        Raises:
            ValueError: Another number of members, or predictions that are not finite.
        """
        self._check_members(probs)
        return combine.mean(probs, self.coefficients)

    def score_on(
        self, y: ArrayLike, probs: ArrayLike, *, on_fitting_data: bool = False, sample_weight: ArrayLike | None = None
    ) -> float:
        """Score of the combination on other data, in the metric's unit; lower is better.

        ```python
        metrics.nll(y, combine.mean(probs, coefficients), sample_weight)
        ```

        Args:
            y: (examples, ...) labels, laid out as those of the fit.
            probs: (members, examples, ..., classes), the same members in the same order.
            on_fitting_data: Say True to see the score of the fit itself.
            sample_weight: (examples,) non-negative.

        Raises:
            ValueError: The data of the fit, another number of members, or arrays that do not fit together.
        """
        self._check_members(probs)
        problem = as_problem(y, probs, self.task, sample_weight)
        loss = loss_of(problem)
        if not on_fitting_data:
            self.data.check_unseen(y, _plain_score(loss), "this set of coefficients")
        return score(loss, self.coefficients)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; `Selection.from_dict` is the way back."""
        return {**asdict(self), "coefficients": self.coefficients.tolist()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Selection":
        """A selection from what `to_dict` gave.

        Raises:
            ValueError: Entries are missing or unknown, or the method is.
        """
        expected = {field.name for field in fields(cls)}
        if set(data) != expected or data["method"] not in get_args(Method):
            raise ValueError(
                f"data has the entries {sorted(data)} and the method {data.get('method')!r}, expected the entries "
                f"{sorted(expected)} and one of the methods {', '.join(get_args(Method))}. Pass what "
                "Selection.to_dict() returned."
            )
        coefficients = np.asarray(data["coefficients"], dtype=np.float64)
        return cls(**{**data, "coefficients": coefficients, "data": FittingData(**data["data"])})

    def __str__(self) -> str:
        facts = getattr(metrics, self.metric).facts
        gap = "" if self.gap is None else f", duality gap {gap_text(self.gap)}"
        return (
            f"{self.method}: coefficients {' '.join(f'{value:.3f}' for value in self.coefficients)}\n"
            f"{facts.title} {f'{self.score:.4g} {facts.unit}'.strip()}; equal coefficients {self.uniform:.4g}, "
            f"best single member {self.best_single:.4g}{gap}\n{self.reason}"
        )

    def _check_members(self, probs: ArrayLike) -> None:
        given, expected = np.shape(probs), len(self.coefficients)
        if not given or given[0] != expected:
            raise ValueError(
                f"probs has shape {given}, but there are coefficients for {expected} members. Pass the predictions of "
                f"those {expected}, in the same order, as an array of shape (members, examples, classes)."
            )


def selection_of(
    method: Method,
    y: ArrayLike,
    task: Task,
    loss: Loss,
    coefficients: PerMember,
    reason: str,
    **fit: float,
) -> Selection:
    """The result of a method: its coefficients scored beside equal ones and the best single member."""
    return Selection(
        method=method,
        coefficients=coefficients,
        metric=loss.metric,
        score=score(loss, coefficients),
        uniform=score(loss, equal(len(coefficients))),
        best_single=best_single(loss),
        gap=fit.get("gap"),
        shrinkage=fit.get("shrinkage", 0.0),
        data=FittingData.of(y, _plain_score(loss)),
        reason=reason,
        task=task,
    )


def _plain_score(loss: Loss) -> float:
    """Score of equal coefficients where every example counts the same, so that weights cannot hide the same data."""
    return float(loss.per_row(mix(loss, equal(len(loss.values)))).mean())
