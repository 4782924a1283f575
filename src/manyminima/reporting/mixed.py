"""What was fitted to combine the members, and what it is worth on the rows of the report."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from manyminima.arrays import Problem, as_problem
from manyminima.combination import Combination
from manyminima.reporting.scores import Scores, scores

__all__ = ["Mixed", "score"]


@dataclass(frozen=True)
class Mixed:
    """A combination and its scores.

    Attributes:
        label: In a few words, such as "fitted coefficients, temperature 1.23".
        coefficients: Of each member, oldest first, sum 1.
        reason: Why they are what they are, and on how many examples they were fitted.
        calibrator: What it did on the rows it was fitted on, or "".
        combined: Scores behind the coefficients.
        calibrated: Scores behind coefficients and calibrator; None without one.
    """

    label: str
    coefficients: tuple[float, ...]
    reason: str
    calibrator: str
    combined: Scores
    calibrated: Scores | None


def score(combination: Combination, y: ArrayLike, probs: ArrayLike, problem: Problem) -> Mixed:
    """Score a combination on the rows of a report.

    Args:
        combination: What was fitted.
        y: Labels as they were given.
        probs: (members, examples, ..., classes) as they were given; `problem` holds the same, laid out flat.
        problem: Both, checked.
    """
    chosen = combination.selection
    uncalibrated = Combination(chosen)(probs)
    return Mixed(
        label=combination.label,
        coefficients=tuple(combination.coefficients(len(problem.probs)).tolist()),
        reason="" if chosen is None else f"{chosen.reason} Fitted on {chosen.data.examples:,} examples.",
        calibrator="" if combination.calibrator is None else str(combination.calibrator),
        combined=_scores(y, uncalibrated, problem),
        calibrated=None
        if combination.calibrator is None
        else _scores(y, combination.calibrator(uncalibrated), problem),
    )


def _scores(y: ArrayLike, prediction: np.ndarray, problem: Problem) -> Scores:
    flat = as_problem(y, prediction[None], problem.task)
    return scores(problem, flat.probs[0])
