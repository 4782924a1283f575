"""The newest members, combined equally: as many of them as score best."""

import numpy as np
from numpy.typing import ArrayLike

from manyminima.arrays import PerMember, as_problem
from manyminima.selection.chosen import Selection, selection_of
from manyminima.selection.losses import loss_of, score
from manyminima.selection.words import members_text, scored

__all__ = ["newest"]


def newest(
    y: ArrayLike, probs: ArrayLike, *, task: str | None = None, sample_weight: ArrayLike | None = None
) -> Selection:
    """The k newest members in equal parts, with the k of the lowest NLL (squared error for regression); lower is better.

    ```python
    k = 1 + np.argmin(scores_by_size(y, probs))
    coefficients = np.where(np.arange(members) >= members - k, 1 / k, 0)
    ```

    One number is chosen, so this is safe on the smallest data. Of sizes that score the same the smallest is taken.

    Args:
        y: (examples, ...) labels that nothing was trained on.
        probs: (members, examples, ..., classes), oldest member first.
        task: One of `manyminima.arrays.TASKS`; inferred from the values if None.
        sample_weight: (examples,) non-negative.

    Raises:
        ValueError: The arrays do not fit together, or are not what the task needs.

    Example:
        >>> probs = np.array([[[0.4, 0.6]], [[0.8, 0.2]], [[0.8, 0.2]]])
        >>> newest([0], probs).coefficients.tolist()
        [0.0, 0.0, 1.0]

    Reference:
        Huang et al. 2017, Snapshot Ensembles, section 3: the ensemble of the last m snapshots.
    """
    problem = as_problem(y, probs, task, sample_weight)
    loss, members = loss_of(problem), len(problem.probs)
    sizes = [_last(k, members) for k in range(1, members + 1)]
    k = 1 + int(np.argmin([score(loss, coefficients) for coefficients in sizes]))
    return selection_of("newest", y, problem.task, loss, sizes[k - 1], _reason(k, members, scored(problem)))


def _last(k: int, members: int) -> PerMember:
    return np.where(np.arange(members) >= members - k, 1 / k, 0.0)


def _reason(k: int, members: int, on: str) -> str:
    if k == members:
        return "No member got 0." if members > 1 else "The only member got 1."
    zeros = members_text(range(members - k))
    return f"{zeros} got 0: taking in older members than the newest {k} did not lower the {on}."
