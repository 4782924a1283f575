"""Trainings that are interrupted, and what is compared with one that never was."""

import dataclasses
import random

import keras
import numpy as np

import manyminima as mm
from manyminima.runs.behind import settle
from manyminima.training import resuming
from problems import assert_same, data, numbers

X, Y = data()  # 100 rows: 7 batches of 16, the last one smaller
STEPS, EPOCHS = 7, 4
TOTAL = STEPS * EPOCHS
SNAPSHOT = mm.recipes.snapshot(cycles=3, peak=0.1)  # after steps 10, 19 and 28: within an epoch, and at the end


class Killed(BaseException):
    """What no program expects."""


class KilledAt(keras.callbacks.Callback):
    """Ends a training before batch `step`; has every state written that could be, so that the newest is that of this step."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_epoch_begin(self, epoch, logs=None):
        self.first = epoch * self.params["steps"]

    def on_train_batch_begin(self, batch, logs=None):
        settle()
        if self.first + batch == self.step:
            raise Killed


def batches(**options):
    """The rows in an order that is a function of the epoch."""
    return mm.datasets.Batches(X, Y, **{"batch_size": 16, "seed": 3, **options})


def arrays():
    return X, Y


def fit(model, source, collect, *others, seed=1, **options):
    """Train on `source`, Batches or arrays, from generators in a certain state."""
    keras.utils.set_random_seed(seed)
    options = {"epochs": EPOCHS, "verbose": 0, "validation_data": (X, Y), **options}
    if isinstance(source, tuple):
        return model.fit(*source, batch_size=16, callbacks=[collect, *others], **options)
    return model.fit(source, shuffle=False, callbacks=[collect, *others], **options)


def state_at_every_step(monkeypatch):
    """Have a state saved wherever there may be one."""
    for name in ("BOUNDARY", "WITHIN", "PAUSE"):
        monkeypatch.setattr(resuming, name, 0.0)


def interrupted(program, kills):
    """Run a program again and again, killed before each of the steps, until it ends; return what it returned then.

    Each time it is another process, as far as it knows: other first weights, other states of generators.
    """
    for turn, step in enumerate(kills):
        disturb(turn)
        try:
            program(KilledAt(step), seed=turn + 10)
        except Killed:
            continue
        raise AssertionError(f"it was not killed before step {step}")
    disturb(99)
    return program(KilledAt(-1), seed=99)


def disturb(seed):
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002


def assert_same_training(found, expected):
    """Compare two (model, history, collect): weights, optimizer, logs, and what every place has kept, bit for bit."""
    (model, history, collect), (reference, history_there, collect_there) = found, expected
    assert_same(numbers(model.variables), numbers(reference.variables))
    assert_same(numbers(model.optimizer.variables), numbers(reference.optimizer.variables))
    assert history.epoch == history_there.epoch
    assert history.history.keys() == history_there.history.keys()
    for name, values in history_there.history.items():
        np.testing.assert_array_equal(history.history[name], values, err_msg=name)
    assert history.members == history_there.members
    for place, place_there in zip(collect.folds, collect_there.folds, strict=True):
        assert known(place.members) == known(place_there.members)
        assert len(place) == len(place_there) > 0
        for weights, there in zip(place, place_there, strict=True):
            assert_same(weights, there)
        if collect._monitor and hasattr(place, "best"):
            assert known([place.best[0]]) == known([place_there.best[0]])
            assert_same(place.best[1], place_there.best[1])


def known(members):
    """What is known of members, but for the hash, in which the id of the run is."""
    return [dataclasses.replace(member, hash="") for member in members]
