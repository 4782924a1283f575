"""What can honestly be said about an ensemble against its own members, from one run and one set of examples."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from manyminima.arrays import PerExample, Problem
from manyminima.reporting import words

Outcome = Literal["better", "worse", "unclear"]

CONFIDENCE = 0.95
FEWEST_DIFFERING = 6
ROUNDING = 1e-12
ALONE = "One member: there is nothing to combine, so the ensemble is that member."
COLLECT_MORE = "Collect more members, or report several of them, to see what combining them does."
JENSEN = (
    "The {} of a mean is never above the mean of its members' (Jensen), so against the average member only the size of "
    "that gain is news."
)
ONE_RUN = (
    "The intervals cover the choice of test examples, not the luck of training: one run cannot tell whether the "
    "ensemble beats an ordinary single run of the same length. Over many seeds of both, `manyminima study` tells."
)


@dataclass(frozen=True)
class Comparison:
    """The ensemble against some of its members in one metric, paired example by example.

    Attributes:
        metric: Name of the metric.
        against: "last member" or "average member".
        ensemble: The ensemble's score.
        other: The score it is compared with.
        gain: How much better the ensemble is; negative where it is worse.
        low: Lower end of the 95 % interval of the gain, None where there is none (fewer than two examples).
        high: Upper end.
        differing: Number of examples on which the two differ at all.
        outcome: "better" or "worse" where the interval lies on one side of 0, else "unclear".
    """

    metric: str
    against: str
    ensemble: float
    other: float
    gain: float
    low: float | None
    high: float | None
    differing: int
    outcome: Outcome


@dataclass(frozen=True)
class Verdict:
    """One headline, a sentence for each comparison behind it, and what they do not show."""

    headline: str
    sentences: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]


def paired_interval(
    gains: PerExample, group: np.ndarray, weight: PerExample | None
) -> tuple[float, tuple[float, float] | None, int]:
    """Weighted mean of the gains, its 95 % Student interval over groups, and how many groups gain or lose anything.

    Rows of one group (the pixels of an image) vary together, so the spread is that of the groups' sums:

    ```python
    residual = sum of w * (gain - mean) within each group
    se = sqrt(G / (G - 1) * sum(residual ** 2)) / sum(w)
    ```

    With one row in each of G groups and no weights that is the usual standard error of a mean, with G - 1 degrees of
    freedom. Groups of weight 0 are left out; fewer than two groups give no interval.
    """
    weight = np.ones(len(gains)) if weight is None else weight
    mean = float(np.average(gains, weights=weight))
    kept = np.bincount(group, weight) > 0
    differing = int((np.bincount(group, weight * (gains != 0)) > 0).sum())
    residual = np.bincount(group, weight * (gains - mean))[kept]
    groups = len(residual)
    if groups < 2:
        return mean, None, differing
    error = np.sqrt(groups / (groups - 1) * np.sum(residual**2)) / weight.sum()
    half = float(stdtrit(groups - 1, (1 + CONFIDENCE) / 2) * error)
    return mean, (mean - half, mean + half), differing


def judge(problem: Problem, combined: np.ndarray, labels: tuple[str, ...]) -> Verdict:
    """The verdict on an ensemble.

    Args:
        problem: The checked labels and member predictions.
        combined: (rows, columns) the ensemble's prediction.
        labels: (members,) what the members are called.
    """
    if len(problem.probs) == 1:
        return Verdict(ALONE, (), (), (COLLECT_MORE,))
    examples = words.examples(int(problem.group[-1]) + 1, len(problem.group))
    comparisons, notes = [], []
    for metric in words.for_verdict(problem.task):
        ensemble = _losses(metric, problem, combined[None])[0]
        losses = _losses(metric, problem, problem.probs)
        comparisons.append(_compare(metric, "last member", ensemble, losses[-1], problem))
        comparisons.append(_compare(metric, "average member", ensemble, losses.mean(axis=0), problem))
        notes += _best_single(metric, comparisons[-1].ensemble, losses, problem, labels)
    notes += [JENSEN.format(words.facts(comparisons[0].metric).label), ONE_RUN]
    sentences = tuple(_sentence(comparison, examples) for comparison in comparisons)
    return Verdict(_headline(comparisons, len(labels), examples), sentences, tuple(comparisons), tuple(notes))


def _losses(metric: str, problem: Problem, predictions: np.ndarray) -> Float[np.ndarray, "members rows"]:
    """The metric of each row of each prediction, turned so that higher is worse."""
    facts = words.facts(metric)
    assert facts.per_example is not None
    sign = 1 if facts.better == "lower" else -1
    return np.stack([sign * facts.per_example(problem.y, one.astype(np.float64)) for one in predictions])


def _compare(metric: str, against: str, ensemble: PerExample, other: PerExample, problem: Problem) -> Comparison:
    gains = other - ensemble
    gains = np.where(np.abs(gains) < ROUNDING, 0.0, gains)
    gain, interval, differing = paired_interval(gains, problem.group, problem.sample_weight)
    low, high = interval or (None, None)
    return Comparison(
        metric,
        against,
        ensemble=_score(metric, ensemble, problem),
        other=_score(metric, other, problem),
        gain=gain,
        low=low,
        high=high,
        differing=differing,
        outcome=_outcome(interval, differing),
    )


def _score(metric: str, losses: PerExample, problem: Problem) -> float:
    sign = 1 if words.facts(metric).better == "lower" else -1
    return sign * float(np.average(losses, weights=problem.sample_weight))


def _outcome(interval: tuple[float, float] | None, differing: int) -> Outcome:
    """Below six differing examples even a unanimous count is no evidence at 95 %: its sign test has p = 2 / 2**5."""
    if interval is None or differing < FEWEST_DIFFERING or interval[0] <= 0 <= interval[1]:
        return "unclear"
    return "better" if interval[0] > 0 else "worse"


def _headline(comparisons: list[Comparison], members: int, examples: str) -> str:
    found: dict[Outcome, str] = {}
    for comparison in comparisons:
        if comparison.against == "last member":
            name = words.facts(comparison.metric).label
            found[comparison.outcome] = (
                f"{found[comparison.outcome]} and {name}" if comparison.outcome in found else name
            )
    clear = [f"{outcome} in {found[outcome]}" for outcome in ("better", "worse") if outcome in found]
    if not clear:
        return f"No gain of the ensemble of {members} over its last member can be told from chance on {examples}."
    rest = f" No gain in {found['unclear']} can be told from chance on {examples}." if "unclear" in found else ""
    return f"The ensemble of {members} is {' and '.join(clear)} than its last member.{rest}"


def _sentence(c: Comparison, examples: str) -> str:
    name, against = words.facts(c.metric).title, f"the {c.against}"
    scores = f"({words.score(c.metric, c.ensemble)} against {words.amount(c.metric, c.other)})"
    if c.differing == 0:
        return f"{name}: the ensemble and {against} score the same on each of {examples}."
    if c.outcome != "unclear":
        gain = words.difference(c.metric, abs(c.gain))
        ends = (words.difference(c.metric, value) for value in sorted((abs(c.low or 0), abs(c.high or 0))))
        return (
            f"{name}: the ensemble is {c.outcome} than {against} by {gain} {scores}; 95% interval {' to '.join(ends)}."
        )
    gain, low, high = (None if value is None else _signed(c.metric, value) for value in (c.gain, c.low, c.high))
    interval = "no interval from one example" if low is None else f"95% interval {low} to {high}"
    few = f"; they differ on only {c.differing}" if c.differing < FEWEST_DIFFERING else ""
    return f"{name}: no gain over {against} can be told from chance on {examples}: {gain} {scores}; {interval}{few}."


def _signed(metric: str, gain: float) -> str:
    """A gain as "0.0012 nats better" or "worse"."""
    return f"{words.difference(metric, abs(gain))} {'worse' if gain < 0 else 'better'}"


def _best_single(
    metric: str, ensemble: float, losses: np.ndarray, problem: Problem, labels: tuple[str, ...]
) -> list[str]:
    scores = [_score(metric, member, problem) for member in losses]
    lower = words.facts(metric).better == "lower"
    best = int(np.argmin(scores) if lower else np.argmax(scores))
    if (scores[best] >= ensemble) if lower else (scores[best] <= ensemble):
        return []
    return [
        f"On these examples {labels[best]} alone has the better {words.facts(metric).label}: "
        f"{words.score(metric, scores[best])} against {words.amount(metric, ensemble)}. Picking it now would be "
        "picking on the test set."
    ]
