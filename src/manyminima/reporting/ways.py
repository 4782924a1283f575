"""Which ways there are from the members to one prediction, what each is worth, and which to ship."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from manyminima import calibrate, combine, metrics
from manyminima.arrays import Problem, as_problem
from manyminima.combination import short
from manyminima.fitting_data import FittingData
from manyminima.reporting import words
from manyminima.reporting.scores import Scores, scores
from manyminima.selection import Selection, fit_coefficients, greedy, newest

__all__ = ["Choice", "Way", "Ways", "compare", "held_out"]

GOALS = ("best accuracy", "best NLL at any cost", "best single model, at the cost of one")
NUMBERS = ("best score at any cost", "best single model, at the cost of one")
IN_SAMPLE = (
    "Coefficients, temperatures and the choice itself come from the {} validation examples; every score here is of the {}, which "
    "took no part in it."
)


@dataclass(frozen=True)
class Way:
    """One way from the members to a prediction.

    Attributes:
        name: Such as "mean of all" or "best member: step 400": the best on the validation rows, behind a temperature.
        members: How many members have to be run for it: its cost, in models.
        coefficients: Of each member, oldest first, sum 1.
        temperature: Fitted on the validation rows; None for regression.
        scores: By name of the metric, on the reported rows.
        calibrated: The same behind the temperature; as `scores` for regression.
        validation: The score that decides, on the validation rows, behind the temperature: NLL or squared error.
        validation_accuracy: Accuracy there; None for regression.
        reason: Why the coefficients are what they are, or "".
    """

    name: str
    members: int
    coefficients: tuple[float, ...]
    temperature: float | None
    scores: Scores
    calibrated: Scores
    validation: float
    validation_accuracy: float | None
    reason: str


@dataclass(frozen=True)
class Choice:
    """What to ship for one goal: the way that is best on the validation rows, with its scores on the reported ones."""

    goal: str
    way: str
    text: str


@dataclass(frozen=True)
class Ways:
    """All ways, what to ship, and on how many validation examples that was decided."""

    ways: tuple[Way, ...]
    choices: tuple[Choice, ...]
    validation: int
    note: str


def compare(problem: Problem, y: ArrayLike, probs: ArrayLike, labels: tuple[str, ...]) -> Ways:
    """Fit every way on the validation rows, score it on the others, and choose by the validation rows alone.

    Args:
        problem: The rows to report on.
        y: (examples, ...) labels of rows that are neither trained on nor reported on, of the same task.
        probs: (members, examples, ..., classes) the same members' predictions there.
        labels: What the members are called.

    Raises:
        ValueError: The rows are those of the report, or of other members.
    """
    validation = held_out(problem, y, probs)
    fits = [fit(y, probs, task=problem.task) for fit in (newest, greedy, fit_coefficients)]
    found = _candidates(validation, fits, labels)
    ways = tuple(_way(name, given, reason, problem, validation) for name, given, reason in found)
    examples = (int(p.group[-1]) + 1 for p in (validation, problem))
    note = IN_SAMPLE.format(*(f"{count:,}" for count in examples))
    return Ways(ways, _choices(ways, problem), int(validation.group[-1]) + 1, note)


def held_out(problem: Problem, y: ArrayLike, probs: ArrayLike) -> Problem:
    """The validation rows, checked to be of the same members and classes as the rows to report on, and to be other rows.

    Rows that are the same in another order are found; a part of the reported rows is not.
    """
    validation = as_problem(y, probs, problem.task)
    for axis, what in ((0, "members"), (2, "outputs")):
        here, there = (p.probs.shape[axis] for p in (problem, validation))
        if here != there:
            raise ValueError(
                f"the validation rows have predictions of {there} {what}, the others of {here}. Pass those of the same "
                "members, in the same order."
            )
    if FittingData.of(problem.y, _of_mean(problem)).is_same(validation.y, _of_mean(validation)):
        raise ValueError(
            "the validation rows are the rows to report on: what is chosen on them cannot be judged on them. Pass rows that "
            "are neither trained on nor reported on."
        )
    return validation


def _of_mean(problem: Problem) -> float:
    metric = metrics.squared_error if problem.task == "regression" else metrics.nll
    return metric(problem.y, combine.mean(problem.probs))


def _best_alone(validation: Problem) -> int:
    """The member with the lowest loss, each behind a temperature of its own: much of a difference is of the temperature."""
    if validation.task == "regression":
        alone = [metrics.squared_error(validation.y, one) for one in validation.probs]
    else:
        alone = [calibrate.temperature(validation.y, one).after for one in validation.probs]
    return int(np.argmin(alone))


def _candidates(
    validation: Problem, fits: list[Selection], labels: tuple[str, ...]
) -> Iterator[tuple[str, np.ndarray, str]]:
    """Name, coefficients and reason of each way; what comes to the same as an earlier one is left out."""
    count = len(labels)
    best = _best_alone(validation)
    recent, chosen, fitted = fits
    found = [
        (f"last member: {labels[-1]}", np.eye(count)[-1], ""),
        (f"best member: {labels[best]}", np.eye(count)[best], ""),
        ("mean of all", np.full(count, 1 / count), ""),
        (f"mean of the newest {np.count_nonzero(recent.coefficients)}", recent.coefficients, recent.reason),
        ("greedy selection", chosen.coefficients, chosen.reason),
        ("fitted coefficients", fitted.coefficients, fitted.reason),
    ]
    seen: list[np.ndarray] = []
    for name, coefficients, reason in found:
        if not any(np.allclose(coefficients, one, atol=1e-9) for one in seen):
            yield name, coefficients, reason
        seen.append(coefficients)


def _way(name: str, coefficients: np.ndarray, reason: str, problem: Problem, validation: Problem) -> Way:
    there, here = (combine.mean(p.probs, coefficients) for p in (validation, problem))
    before = scores(problem, here)
    if problem.task == "regression":
        decides, accuracy, temperature, after = metrics.squared_error(validation.y, there), None, None, before
    else:
        cooled = calibrate.temperature(validation.y, there)
        decides, temperature = cooled.after, cooled.temperature
        accuracy = metrics.accuracy(validation.y, there)
        after = scores(problem, cooled(here))
    shares = tuple(float(c) for c in coefficients)
    return Way(name, int(np.count_nonzero(coefficients)), shares, temperature, before, after, decides, accuracy, reason)


def _choices(ways: tuple[Way, ...], problem: Problem) -> tuple[Choice, ...]:
    """Ties go to the cheaper way, then to the lower loss."""
    cheapest_first = sorted(ways, key=lambda way: (way.members, way.validation))
    by_loss = min(cheapest_first, key=lambda way: way.validation)
    single = min((way for way in ways if way.members == 1), key=lambda way: way.validation)
    if problem.task == "regression":
        return tuple(_choice(goal, way, problem) for goal, way in zip(NUMBERS, (by_loss, single), strict=True))
    by_hits = max(cheapest_first, key=lambda way: way.validation_accuracy or 0.0)
    return tuple(_choice(goal, way, problem) for goal, way in zip(GOALS, (by_hits, by_loss, single), strict=True))


def _choice(goal: str, way: Way, problem: Problem) -> Choice:
    parts = [
        f"{words.facts(name).label} {words.amount(name, way.calibrated[name])}"
        for name in words.for_verdict(problem.task)
    ]
    cost = f"{way.members} model{'s' * (way.members > 1)}"
    heat = "" if way.temperature is None else f", temperature {short(way.temperature)}"
    return Choice(goal, way.name, f"{way.name} ({cost}{heat}): {', '.join(parts)}")
