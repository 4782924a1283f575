"""Calibrated NLL: a metric that compares methods as if each had its best temperature. It is no calibrator."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from manyminima.arrays import Problem, Task
from manyminima.metrics import NLL_FLOOR
from manyminima.sharpness import best_sharpness, log_rows, losses, one_prediction

__all__ = ["calibrated_nll", "check_examples", "held_out", "parts"]

_REPEATS = 5
_AT_ONCE = 100_000  # numbers that are worked on together: few enough for the processor's cache


def calibrated_nll(
    y: ArrayLike, probs: ArrayLike, *, task: Task | None = None, sample_weight: ArrayLike | None = None
) -> float:
    """NLL after the best temperature, by cross-validation on these very rows, a mean in nats; lower is better.

    ```python
    for _ in range(5):
        a, b = halves of the examples, at random
        held_out += [temperature(y[a], probs[a]).score(y[b], probs[b]), temperature(y[b], probs[b]).score(y[a], probs[a])]
    np.mean(held_out)
    ```

    A metric, which tells methods apart by more than how sure they are: much of what a method gains in NLL, a temperature
    gains too. It is no calibrator. What is used on new data is `calibrate.temperature`, fitted on held-out rows. The
    halves are drawn with a fixed seed, so the same rows in the same order give the same number.

    Args:
        y: (examples,) class numbers, or what the task has.
        probs: (examples, classes) combined probabilities.
        task: One of the tasks of classification; inferred from the values if None.
        sample_weight: (examples,) non-negative.

    Raises:
        ValueError: A single example, members that are not combined yet, or arrays that are not labels and probabilities.

    Example:
        >>> y, sure = [0, 0, 0, 1] * 100, np.array([[0.99, 0.01]] * 400)
        >>> round(calibrated_nll(y, sure), 2)
        0.56

    Reference:
        Ashukha et al. 2020, Pitfalls of In-Domain Uncertainty Estimation and Ensembling:
        the calibrated log-likelihood, by cross-validation at test time.
    """
    problem = one_prediction(y, probs, task, sample_weight)
    check_examples(problem)
    return float(np.average(held_out(problem, problem.probs)[0], weights=problem.sample_weight))


def check_examples(problem: Problem) -> None:
    """Raise ValueError where there is no second example."""
    if problem.group[-1] == 0:
        raise ValueError("y holds 1 example, expected at least 2: a half fits the temperature, the other is scored.")


def held_out(problem: Problem, probs: Float[np.ndarray, "fits rows classes"]) -> Float[np.ndarray, "fits rows"]:
    """NLL of each row, calibrated by the half that it is not in, a mean over the repeats."""
    return np.concatenate([_together(problem, some) for some in parts(probs, probs[0].size)])


def _together(problem: Problem, probs: Float[np.ndarray, "fits rows classes"]) -> Float[np.ndarray, "fits rows"]:
    below, label = log_rows(problem.y, probs)
    weight = np.ones(len(problem.y)) if problem.sample_weight is None else problem.sample_weight
    start = best_sharpness(below, label, weight, np.ones(len(probs)))
    total = np.zeros(label.shape)
    for halves in _halves(problem):
        one, other = ((below.take(h, -1), label.take(h, -1), weight[h]) for h in halves)
        for rows, (fitted_on, scored) in zip(halves, ((other, one), (one, other)), strict=True):
            total[:, rows] += np.minimum(losses(*scored[:2], best_sharpness(*fitted_on, start)), -np.log(NLL_FLOOR))
    return total / _REPEATS


def _halves(problem: Problem) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rng, examples = np.random.default_rng(0), int(problem.group[-1]) + 1
    for _ in range(_REPEATS):
        first = rng.permutation(examples) < examples // 2
        yield np.flatnonzero(first[problem.group]), np.flatnonzero(~first[problem.group])


def parts(values: np.ndarray, numbers: int) -> Iterator[np.ndarray]:
    """The values in parts that fit the processor's cache, where each brings so many numbers."""
    at_once = max(1, _AT_ONCE // numbers)
    return (values[i : i + at_once] for i in range(0, len(values), at_once))
