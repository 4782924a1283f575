"""How far the ensemble's probabilities can be taken at their word, before and behind a calibrator."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from manyminima.arrays import Combined, Problem, as_problem
from manyminima.calibrate.scaling import soften
from manyminima.combination import Combination, short
from manyminima.reliability import Bins, bins
from manyminima.reporting.ways import Ways

__all__ = ["Reliability", "look"]


@dataclass(frozen=True)
class Reliability:
    """One prediction's reliability diagram.

    Attributes:
        name: Which prediction it is.
        bins: Confidence, accuracy and share of examples of each group.
        ece: Expected calibration error, 0..1; lower is better.
    """

    name: str
    bins: Bins
    ece: float


def look(
    problem: Problem,
    mean: Combined,
    combination: Combination | None,
    ways: Ways | None,
    y: ArrayLike,
    probs: ArrayLike,
) -> tuple[Reliability, ...]:
    """The diagram of the members' mean, and behind what was fitted, if anything was; empty for regression.

    Args:
        problem: The rows to report on.
        mean: The members' mean there.
        combination: What is used in place of the mean, if it is known.
        ways: What was fitted on validation rows for this report: the mean's temperature is taken from it.
        y: Labels as they were given.
        probs: (members, examples, ..., classes) as they were given.
    """
    if problem.task == "regression":
        return ()
    found = [("mean of the members", mean)]
    if combination is not None and combination != Combination():
        found.append((combination.label, as_problem(y, combination(probs)[None], problem.task).probs[0]))
    elif temperature := _of_mean(ways):
        found.append((f"mean behind temperature {short(temperature)}", soften(mean, temperature)))
    return tuple(_reliability(name, problem, rows) for name, rows in found)


def _reliability(name: str, problem: Problem, rows: Combined) -> Reliability:
    one = bins(problem.y, rows, problem.sample_weight)
    return Reliability(name, one, one.ece)


def _of_mean(ways: Ways | None) -> float | None:
    for way in ways.ways if ways else ():
        if np.allclose(way.coefficients, 1 / len(way.coefficients)):
            return way.temperature
    return None
