"""The scores of one prediction, all that its task has."""

import numpy as np

from manyminima import metrics
from manyminima.arrays import Problem
from manyminima.reporting import words

__all__ = ["Scores", "scores"]

Scores = dict[str, float]


def scores(problem: Problem, prediction: np.ndarray) -> Scores:
    """Each metric of the task, by name, of one (rows, columns) prediction."""
    return {
        name: getattr(metrics, name)(problem.y, prediction, problem.sample_weight)
        for name in words.for_task(problem.task)
    }
