"""The functions of the tutorial on averages of weights (Polyak averaging)."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from manyminima.compat.loading import accuracy, first_members
from manyminima.inference.ensemble import Ensemble

__all__ = ["evaluate_n_averaged", "model_weight_ensemble"]


def model_weight_ensemble(members: Sequence[keras.Model], weights: Any) -> keras.Model:
    """Return a new model whose weights are the weighted mean of the members' weights: `sum(c * w) / sum(c)`.

    It is compiled as the first member is. What cannot be averaged, such as integers, is the first member's.

    Args:
        members: models of one architecture; the first is the newest, as in the tutorial.
        weights: (members,) how much of each, non-negative; scaled to sum 1.

    Warns:
        UserWarning: the models have BatchNormalization, whose statistics in a mean of weights belong to no network.

    Raises:
        ValueError: no members, not one number for each, or models of different architectures.
    """
    members = first_members(members, len(members))
    oldest_first = [model.get_weights() for model in reversed(members)]
    coefficients = np.asarray(weights, "float64")[::-1]
    averaged = Ensemble(members[0], oldest_first).average(coefficients)
    if members[0].compiled:
        averaged.compile_from_config(members[0].get_compile_config())
    return averaged


def evaluate_n_averaged(members: Sequence[keras.Model], n_members: int, testX, testy) -> float:
    """Return the accuracy (0 to 1, higher is better) of one model with the equal mean of the first members' weights.

    The tutorial calls this `evaluate_n_members`, as another one calls the mean of predictions:
    `from manyminima.compat import evaluate_n_averaged as evaluate_n_members`.

    Args:
        members: models of one architecture, newest first.
        n_members: how many of them.
        testX: whatever `model.predict` takes.
        testy: class numbers, or one-hot rows.

    Raises:
        ValueError: there are not so many members.
    """
    chosen = first_members(members, n_members)
    averaged = model_weight_ensemble(chosen, [1.0] * n_members)
    return accuracy(testy, averaged.predict(testX, verbose=0).argmax(axis=1))
