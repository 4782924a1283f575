"""What an ensemble is worth in independent nets: the deep-ensemble equivalent, told by calibrated NLL."""

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from manyminima.arrays import PerExample, PerMember, Problem, Task
from manyminima.calibrated import check_examples, held_out, parts
from manyminima.sharpness import probabilities

__all__ = ["Equivalent", "ReferenceCurve", "dee", "deep_ensemble_equivalent", "reference_curve"]

LARGEST = 10
_CIRCLES = 2


@dataclass(frozen=True)
class ReferenceCurve:
    """What the mean of 1, 2, .. independent nets scores; print an equivalent only with its interval.

    Attributes:
        calibrated_nll: Of 1 .. `largest` nets together, a mean in nats; lower is better.
        nets: How many nets were trained.
        examples: How many examples they were scored on.
    """

    calibrated_nll: tuple[float, ...]
    nets: int
    examples: int

    @property
    def largest(self) -> int:
        """The largest ensemble measured."""
        return len(self.calibrated_nll)


def reference_curve(
    y: ArrayLike, reference_probs: ArrayLike, *, task: Task | None = None, largest: int | None = None, seed: int = 0
) -> ReferenceCurve:
    """Calibrated NLL of 1 to `largest` independent nets together, a mean over different choices of them, in nats.

    ```python
    [np.mean([calibrated_nll(y, combine.mean(nets[chosen])) for chosen in choices(size)]) for size in 1 .. largest]
    ```

    All choices are scored where there are at most two per net. Else, twice, the nets stand in a circle in random order
    and a random choice is shifted all the way around it, so that each net is in as many as every other. No net is twice
    in one ensemble.

    Args:
        y: (examples,) class numbers, or what the task has.
        reference_probs: (nets, examples, classes): independent, fully trained nets, all trained alike.
        task: One of the tasks of classification; inferred from the values if None.
        largest: Size of the largest ensemble. None takes half of the nets, at most 10.
        seed: Of the circles and choices.

    Raises:
        ValueError: Fewer than `largest` nets, or arrays that are not labels and probabilities.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> nets = rng.dirichlet([4, 2, 2], size=(8, 100))
        >>> curve = reference_curve(np.zeros(100, int), nets)
        >>> curve.largest, curve.nets
        (4, 8)

    Reference:
        Ashukha et al. 2020, Pitfalls of In-Domain Uncertainty Estimation and Ensembling.
    """
    problem = _problem(y, reference_probs, "reference_probs", task)
    nets = len(problem.probs)
    curves, _ = _by_size(problem, _sizes(largest, nets, nets), seed)
    return ReferenceCurve(tuple(curves.mean(axis=0).tolist()), nets, len(curves))


def dee(score: float, curve: ReferenceCurve) -> float:
    """Number of independent nets that are as good as this calibrated NLL, 1 to the largest measured; higher is better.

    ```python
    n = np.argmax(curve <= score)                                  # the first size that is as good
    n + (curve[n - 1] - score) / (curve[n - 1] - curve[n])         # linear between sizes n and n + 1
    ```

    It is 1 for anything that is no better than one net, and `curve.largest` for anything better than all of them. Where
    a curve goes up and down, the first crossing counts. One number hides how uncertain it is:
    `deep_ensemble_equivalent` gives it with its interval, and that is the one to print.

    Args:
        score: Calibrated NLL, in nats.
        curve: What `reference_curve` returned for the same rows.

    Raises:
        ValueError: A score that is not finite.

    Example:
        >>> curve = ReferenceCurve((1.0, 0.8, 0.7), nets=6, examples=100)
        >>> [dee(score, curve) for score in (1.2, 0.9, 0.75, 0.6)]
        [1.0, 1.5, 2.5, 3.0]

    Reference:
        Ashukha et al. 2020, Pitfalls of In-Domain Uncertainty Estimation and Ensembling, the deep
        ensemble equivalent.
    """
    if not np.isfinite(score):
        raise ValueError(f"score is {score}, expected a finite calibrated NLL: pass calibrated_nll(y, probs).")
    return float(_equivalents(np.array([score]), np.array([curve.calibrated_nll]))[0])


@dataclass(frozen=True)
class Equivalent:
    """A deep-ensemble equivalent with its interval; `str` gives both.

    Attributes:
        value: Number of independent nets that are as good, 1 to `largest`; higher is better.
        low: Lower end of the interval of 95 %.
        high: Upper end.
        capped_share: Share of the draws, 0..1, that are better than the largest ensemble: above 0.025, `high` is open.
        largest: The largest ensemble of nets measured.
        nets: Independent nets behind the curve.
        seeds: Runs of the method.
        examples: Examples they were scored on.
    """

    value: float
    low: float
    high: float
    capped_share: float
    largest: int
    nets: int
    seeds: int
    examples: int

    def __str__(self) -> str:
        more = " or more" if self.capped_share > 0.025 else ""
        interval = f"95 % {self.low:.1f} to {self.high:.1f}{more}"
        return f"{self.value:.1f} ({interval}; {self.seeds} seeds, {self.nets} nets, {self.examples:,} rows)"


def deep_ensemble_equivalent(
    y: ArrayLike,
    probs_by_seed: ArrayLike,
    reference_probs: ArrayLike,
    *,
    largest: int | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Equivalent:
    """Number of independent nets that a method is worth, with an interval of 95 % over seeds, nets and test rows.

    The value is `dee` of the method's mean calibrated NLL over its seeds. Each draw moves that mean and the whole curve
    by three errors: of the seeds, of the nets and of the rows, which score and curve share. An error is that of a mean,
    a t variable with one degree of freedom fewer than there are of them; so two seeds give the wide interval they
    deserve, which resampling two would not. Resampling nets would put the same net twice into one ensemble and flatten
    the curve. Instead, what each net adds to an ensemble of a size is fitted by least squares to the ensembles scored.

    Args:
        y: (examples,) class numbers, or what the task has.
        probs_by_seed: (seeds, examples, classes): the method's combined prediction in each of its runs.
        reference_probs: (nets, examples, classes): independent, fully trained nets, none of them part of the method.
        largest: Size of the largest ensemble of nets. None takes half of the nets, at most 10.
        draws: Number of draws for the interval.
        seed: Of the draws and of the choices of nets.

    Raises:
        ValueError: Fewer than 2 seeds, 4 nets or twice `largest` nets, 2 examples; or arrays that are not labels and
            probabilities.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> y, nets = np.zeros(200, int), rng.dirichlet([4, 2, 2], size=(26, 200))
        >>> pairs = (nets[:6] + nets[6:12]) / 2
        >>> print(deep_ensemble_equivalent(y, pairs, nets[12:]))
        2.1 (95 % 1.8 to 2.6; 6 seeds, 14 nets, 200 rows)

    Reference:
        Ashukha et al. 2020, Pitfalls of In-Domain Uncertainty Estimation and Ensembling:
        the deep ensemble equivalent. Hájek 1968, Asymptotic Normality of Simple Linear Rank Statistics Under
        Alternatives, lemma 4.1: the linear part of a statistic, here what a net adds.
    """
    runs, reference = _problem(y, probs_by_seed, "probs_by_seed"), _problem(y, reference_probs, "reference_probs")
    sizes = _checked(runs, reference, largest, draws)
    method = _per_example(runs, held_out(runs, runs.probs))
    curves, added = _by_size(reference, sizes, seed)
    both = np.column_stack([method.mean(axis=0), curves])
    centre, rng = both.mean(axis=0), np.random.default_rng(seed)
    drawn = centre + _errors(both, draws, rng)
    drawn[:, :1] += _errors(method.mean(axis=1)[:, None], draws, rng)
    drawn[:, 1:] += _errors(added, draws, rng)
    value = dee(centre[0], ReferenceCurve(tuple(centre[1:].tolist()), len(reference.probs), len(both)))
    low, high = np.quantile(_equivalents(drawn[:, 0], drawn[:, 1:]), [0.025, 0.975])
    capped = np.mean(drawn[:, 1:].min(axis=1) > drawn[:, 0])
    counts = len(sizes), len(reference.probs), len(runs.probs), len(both)
    return Equivalent(value, float(low), float(high), float(capped), *counts)


def _problem(y: ArrayLike, probs: ArrayLike, name: str, task: Task | None = None) -> Problem:
    labels, rows = np.asarray(y), np.asarray(probs)
    first = "seeds" if name == "probs_by_seed" else "nets"
    fits = labels.shape in (rows.shape[1:], rows.shape[1:-1])
    if not fits and labels.shape in (rows.shape[2:], rows.shape[2:-1]):
        raise ValueError(
            f"{name} has shape {rows.shape}, expected ({first}, examples, classes): one combined prediction for each. "
            f"Combine its members first: np.stack([combine.mean(members) for members in {name}])."
        )
    if rows.ndim < 3:
        raise ValueError(
            f"{name} has shape {rows.shape}, expected ({first}, examples, classes). Put the predictions together with "
            "np.stack([probs_0, probs_1, ...])."
        )
    problem = probabilities(labels, rows, task)
    check_examples(problem)
    return problem


def _checked(runs: Problem, problem: Problem, largest: int | None, draws: int) -> range:
    seeds, nets = len(runs.probs), len(problem.probs)
    if runs.probs.shape[1:] != problem.probs.shape[1:]:
        raise ValueError(
            f"probs_by_seed holds predictions of shape {runs.probs.shape[1:]} and reference_probs of shape "
            f"{problem.probs.shape[1:]}. Pass predictions of the same examples and classes to both."
        )
    if seeds < 2:
        raise ValueError(
            "probs_by_seed holds 1 seed, so an interval over seeds cannot be given, and an equivalent without it says "
            "nothing. Run the method with at least 2 seeds, better 5 and more."
        )
    if nets < 4:
        raise ValueError(
            f"reference_probs holds {nets} nets, expected at least 4: fewer do not show how pairs of them differ. Train "
            "more, with other seeds."
        )
    if draws < 100:
        raise ValueError(f"draws is {draws}, expected at least 100: the ends of the interval are their outer 2.5 %.")
    return _sizes(largest, nets, nets // 2)


def _sizes(largest: int | None, nets: int, at_most: int) -> range:
    size = max(1, min(LARGEST, nets // 2)) if largest is None else largest
    if not 1 <= size <= at_most:
        raise ValueError(
            f"largest is {size}, expected 1 to {at_most}, of {nets} reference nets. Pass largest={at_most}, or train "
            f"more nets."
        )
    return range(1, size + 1)


def _choices(nets: int, size: int, seed: int) -> Bool[np.ndarray, "choices nets"]:
    if comb(nets, size) <= _CIRCLES * nets:
        members = np.array(list(combinations(range(nets), size)))
    else:
        rng = np.random.default_rng([seed, size])
        shifted = [(np.arange(nets)[:, None] + rng.permutation(nets)[:size]) % nets for _ in range(_CIRCLES)]
        members = np.concatenate([rng.permutation(nets)[places] for places in shifted])
    chosen = np.zeros((len(members), nets), dtype=bool)
    np.put_along_axis(chosen, members, True, axis=1)
    return chosen


def _by_size(
    problem: Problem, sizes: range, seed: int
) -> tuple[Float[np.ndarray, "examples sizes"], Float[np.ndarray, "nets sizes"]]:
    """Calibrated NLL of each example, a mean over the choices of nets; and what each net adds to that of all examples."""
    curves, added = [], []
    for size in sizes:
        choices = _choices(len(problem.probs), size, seed)
        per_choice, per_example = _by_choice(problem, choices)
        curves.append(per_example)
        added.append(size * _added(choices, per_choice))
    return np.stack(curves, axis=-1), np.stack(added, axis=-1)


def _by_choice(problem: Problem, choices: Bool[np.ndarray, "choices nets"]) -> tuple[PerMember, PerExample]:
    """Calibrated NLL of the mean of the chosen nets: per choice, and per example."""
    share = choices / choices.sum(axis=1, keepdims=True)
    per_choice, per_example = [], 0.0
    for some in parts(share, problem.probs[0].size):
        found = _per_example(problem, held_out(problem, np.tensordot(some, problem.probs, 1)))
        per_choice.append(found.mean(axis=1))
        per_example = per_example + found.sum(axis=0)
    return np.concatenate(per_choice), np.asarray(per_example) / len(share)


def _per_example(problem: Problem, rows: Float[np.ndarray, "fits rows"]) -> Float[np.ndarray, "fits examples"]:
    return rows.reshape(len(rows), int(problem.group[-1]) + 1, -1).mean(axis=-1)


def _added(
    choices: Bool[np.ndarray, "choices nets"], scores: Float[np.ndarray, " choices"]
) -> Float[np.ndarray, " nets"]:
    """What each net changes in the score of an ensemble that it is in: the linear part of the scores."""
    added = np.linalg.lstsq(choices.astype(np.float64), scores - scores.mean())[0]
    return added - added.mean()


def _errors(parts: Float[np.ndarray, "parts numbers"], draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draws of the error of the mean of these parts, a t variable: (draws, numbers)."""
    freedom = len(parts) - 1
    covariance = np.atleast_2d(np.cov(parts, rowvar=False)) / len(parts)
    normal = rng.multivariate_normal(np.zeros(len(covariance)), covariance, draws, check_valid="ignore", method="eigh")
    return normal / np.sqrt(rng.chisquare(freedom, draws) / freedom)[:, None]


def _equivalents(scores: Float[np.ndarray, " draws"], curves: Float[np.ndarray, "draws sizes"]) -> np.ndarray:
    """The first crossing of each curve, linear between its integers."""
    as_good = curves <= scores[:, None]
    draws, n = np.arange(len(scores)), as_good.argmax(axis=1)
    better, worse = curves[draws, n], curves[draws, np.maximum(n - 1, 0)]
    inside = as_good.any(axis=1) & (n > 0)
    gap = np.where(inside, worse - better, 1.0)
    between = n + np.where(inside, worse - scores, 0.0) / gap
    return np.where(inside, between, np.where(as_good.any(axis=1), 1.0, curves.shape[1]))
