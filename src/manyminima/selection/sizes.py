"""What each number of members is worth."""

import numpy as np
from numpy.typing import ArrayLike

from manyminima import combine, metrics
from manyminima.arrays import PerMember, as_problem

__all__ = ["scores_by_size"]


def scores_by_size(
    y: ArrayLike,
    probs: ArrayLike,
    metric: metrics.Metric = metrics.nll,
    order: str = "newest",
    rule=combine.mean,
    sample_weight: ArrayLike | None = None,
) -> PerMember:
    """Score of the ensemble of n members, for n = 1 .. all, in the metric's unit and direction.

    ```python
    [metric(y, rule(probs[-n:])) for n in range(1, members + 1)]        # order="newest"
    [metric(y, rule(probs[:n])) for n in range(1, members + 1)]         # order="oldest"
    ```

    Where the rule is `combine.mean`, a running sum spares combining again for every n.

    Args:
        y: (examples,) labels, or what the task has.
        probs: (members, examples, classes), oldest member first.
        metric: One of `manyminima.metrics`.
        order: "newest" starts with the last member and adds older ones, "oldest" the other way round.
        rule: One of `manyminima.combine`.
        sample_weight: (examples,) non-negative.

    Returns:
        (members,): the first is a single member's score, the last the whole ensemble's.

    Raises:
        ValueError: An unknown order, or arrays that do not fit together.

    Example:
        >>> probs = np.array([[[0.5, 0.5]], [[0.9, 0.1]]])
        >>> scores_by_size([0], probs).round(3).tolist()
        [0.105, 0.357]
        >>> scores_by_size([0], probs, order="oldest").round(3).tolist()
        [0.693, 0.357]

    Reference:
        Huang et al. 2017, Snapshot Ensembles, figure 4.
    """
    if order not in ("newest", "oldest"):
        raise ValueError(f"order is {order!r}, expected 'newest' (newest members first) or 'oldest'.")
    task = "regression" if metrics.known(metric).facts.tasks == ("regression",) else None
    problem = as_problem(y, probs, task, sample_weight)
    members = problem.probs[::-1] if order == "newest" else problem.probs
    growing = _running_means(members) if rule is combine.mean else (rule(members[: n + 1]) for n in range(len(members)))
    return np.array([metric(problem.y, combined, problem.sample_weight) for combined in growing])


def _running_means(members: np.ndarray):
    total = np.zeros(members.shape[1:])
    for n, member in enumerate(members, start=1):
        total += member
        yield total / n
