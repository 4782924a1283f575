"""Greedy forward selection of members, with replacement."""

from numbers import Integral

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from manyminima.arrays import PerMember, as_problem
from manyminima.selection.chosen import Selection, selection_of
from manyminima.selection.losses import Loss, loss_of
from manyminima.selection.words import members_text, scored

__all__ = ["greedy"]


def greedy(
    y: ArrayLike, probs: ArrayLike, *, size: int = 50, task: str | None = None, sample_weight: ArrayLike | None = None
) -> Selection:
    """Members picked one by one, each time the one that lowers the NLL most; lower is better. Squared error for regression.

    ```python
    for _ in range(size):
        counts[np.argmin([nll(y, combine.mean(probs, (counts + one) / (counts + one).sum())) for one in np.eye(members)])] += 1
    coefficients = counts / counts.sum()            # after the round with the lowest score
    ```

    A member may be picked again, so the coefficients are counts over the number of picks. The picks up to the lowest
    score are kept. The first pick is the best single member, so the result is never worse than it on these data. Where
    scores are the same, the older member and the smaller number of picks are taken.

    Args:
        y: (examples, ...) labels that nothing was trained on.
        probs: (members, examples, ..., classes), oldest member first.
        size: How many times a member is picked, at least 1.
        task: One of `manyminima.arrays.TASKS`; inferred from the values if None.
        sample_weight: (examples,) non-negative.

    Raises:
        ValueError: The arrays do not fit together, are not what the task needs, or `size` is below 1.

    Example:
        >>> probs = np.array([[[0.9, 0.1], [0.6, 0.4]], [[0.5, 0.5], [0.1, 0.9]], [[0.4, 0.6], [0.6, 0.4]]])
        >>> greedy([0, 1], probs, size=3).coefficients.round(3).tolist()
        [0.333, 0.667, 0.0]

    Reference:
        Caruana et al. 2004, Ensemble Selection from Libraries of Models, sections 2 and 2.1.
    """
    if not isinstance(size, Integral) or size < 1:
        raise ValueError(f"size is {size!r}, expected how many times to pick a member, at least 1. Pass size=50.")
    problem = as_problem(y, probs, task, sample_weight)
    loss = loss_of(problem)
    counts = _best_counts(loss, size)
    reason = _reason(counts, size, scored(problem))
    return selection_of("greedy", y, problem.task, loss, counts / counts.sum(), reason)


def _best_counts(loss: Loss, size: int) -> PerMember:
    picks, scores, total = [], [], np.zeros(loss.values.shape[1:])
    for count in range(1, size + 1):
        candidates = [loss.weight @ loss.per_row((total + one) / count) for one in loss.values]
        picks.append(int(np.argmin(candidates)))
        scores.append(min(candidates))
        total += loss.values[picks[-1]]
    kept = picks[: 1 + int(np.argmin(scores))]
    return np.bincount(kept, minlength=len(loss.values)).astype(np.float64)


def _reason(counts: Float[np.ndarray, " members"], size: int, on: str) -> str:
    if len(counts) == 1:
        return "The only member got 1."
    rounds, zero = int(counts.sum()), np.flatnonzero(counts == 0).tolist()
    kept = f" Of {size} picks the first {rounds} count: more did not lower the {on}." if rounds < size else ""
    if not zero:
        return f"No member got 0.{kept}"
    return f"{members_text(zero)} got 0: at every pick another member gave at least as low a score.{kept}"
