"""The callbacks and functions of the tutorial on snapshot ensembles of MLPs."""

from collections.abc import Sequence
from fractions import Fraction

import keras
import numpy as np

from manyminima import combine
from manyminima.compat.cycles import EpochCycles
from manyminima.compat.files import ModelFiles
from manyminima.compat.loading import accuracy, first_members
from manyminima.schedules import CosineCycles
from manyminima.training.collect import Collect

__all__ = [
    "CosineAnnealingLearningRateSchedule",
    "SnapshotEnsemble",
    "cosine_annealing",
    "ensemble_predictions",
    "evaluate_n_members",
]


def cosine_annealing(epoch: int, n_epochs: int, n_cycles: int, lrate_max: float) -> float:
    """Return the learning rate of one epoch, counted from 0, in equal cosine cycles that fill the run.

    `lrate_max / 2 * (cos(pi * phase) + 1)`, phase `(epoch * n_cycles mod n_epochs) / n_epochs`.

    Args:
        epoch: from 0.
        n_epochs: of the run.
        n_cycles: in the run; need not divide the epochs.
        lrate_max: rate at each restart.

    Example:
        >>> [round(cosine_annealing(epoch, 10, 2, 0.01), 4) for epoch in (0, 1, 4, 5, 9)]
        [0.01, 0.009, 0.001, 0.01, 0.001]
    """
    cycles = EpochCycles(n_epochs, n_cycles, lrate_max)
    return CosineCycles(lrate_max, Fraction(cycles.epochs, cycles.cycles))(int(epoch))


class CosineAnnealingLearningRateSchedule(Collect):
    """Drives the learning rate in cosine cycles, changed once an epoch; `lrates` are the rates that were used.

    The weights at each cycle's end are kept in memory: `mm.Ensemble(model, callback.members)` is their ensemble.

    Args:
        n_epochs: the epochs that `fit` is going to train.
        n_cycles: number of cycles.
        lrate_max: rate at each restart.
        verbose: of no effect; `fit(verbose=1)` tells of each cycle's end.
    """

    def __init__(self, n_epochs: int, n_cycles: int, lrate_max: float, verbose: int = 0):
        super().__init__(EpochCycles(n_epochs, n_cycles, lrate_max))

    @property
    def lrates(self) -> list[float]:
        """The learning rate of each epoch so far."""
        return _rates(self)


class SnapshotEnsemble(Collect):
    """Drives the learning rate in cosine cycles, changed once an epoch, and saves the model at the end of each.

    The files are `snapshot_model_1.keras` and so on, in the current folder, and are overwritten by the next run; Keras 3
    keeps models in ".keras" where Keras 2 had ".h5". `load_all_models(n_cycles)` reads them. For a run that keeps what it
    knows of itself, and is never overwritten: `mm.Collect(mm.recipes.snapshot(…), into="runs/x")` and `mm.load`.

    Args:
        n_epochs: the epochs that `fit` is going to train.
        n_cycles: number of cycles, and of files.
        lrate_max: rate at each restart; takes the place of the optimizer's own, which is back afterwards.
        verbose: 1 prints a line for each file.

    Raises:
        ValueError: more cycles than epochs; before training, if `fit` trains another number of epochs.
        FileExistsError: before training, if the folder holds files of a run with more cycles.
    """

    def __init__(self, n_epochs: int, n_cycles: int, lrate_max: float, verbose: int = 0):
        files = ModelFiles("snapshot_model_{}.keras", self, print if verbose else None)
        super().__init__(EpochCycles(n_epochs, n_cycles, lrate_max), into=files)

    @property
    def lrates(self) -> list[float]:
        """The learning rate of each epoch so far."""
        return _rates(self)


def _rates(callback: Collect) -> list[float]:
    history = getattr(callback._model, "history", None)
    return list(history.history.get("learning_rate", [])) if history else []


def ensemble_predictions(members: Sequence[keras.Model], testX) -> np.ndarray:
    """Return the number of the class with the largest mean probability, for each example; int64 of shape (examples,).

    Args:
        members: models with one column for each class.
        testX: whatever `model.predict` takes.

    Raises:
        ValueError: no members, or predictions that are not one column for each of two classes or more.
    """
    probs = [model.predict(testX, verbose=0) for model in first_members(members, len(members))]
    if probs[0].ndim != 2 or probs[0].shape[1] < 2:
        raise ValueError(
            f"the members predict arrays of shape {probs[0].shape}, expected one column for each class. For other tasks write "
            f"mm.Ensemble(members[0], [m.get_weights() for m in members]).predict(x)."
        )
    return combine.mean(np.stack(probs)).argmax(axis=1)


def evaluate_n_members(members: Sequence[keras.Model], n_members: int, testX, testy) -> float:
    """Return the accuracy (0 to 1, higher is better) of the first `n_members` members' mean prediction.

    Args:
        members: models; newest first, if the newest n are meant.
        n_members: how many of them.
        testX: whatever `model.predict` takes.
        testy: class numbers, or one-hot rows.

    Raises:
        ValueError: there are not so many members.
    """
    return accuracy(testy, ensemble_predictions(first_members(members, n_members), testX))
