"""Whose learning rate it is: the recipe's while training, the optimizer's own before and afterwards."""

from operator import attrgetter

import keras
import numpy as np
import pytest

import manyminima as mm
from manyminima.schedules import CosineCycles
from problems import assert_same, compiled, numbers
from runs_of_100 import SNAPSHOT, STEPS, fit


class Rates(keras.callbacks.Callback):
    """What TensorBoard and others read off the optimizer."""

    def on_train_begin(self, logs=None):
        self.rates = []

    def on_epoch_end(self, epoch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


def test_the_rate_is_the_recipes_while_training_and_the_optimizers_afterwards():
    model, seen = compiled(0.05), Rates()
    history = fit(model, mm.Collect(SNAPSHOT), seen)
    lr = SNAPSHOT.plan(4, STEPS).lr
    np.testing.assert_allclose(seen.rates, [lr(n) for n in (7, 14, 21, 28)], rtol=1e-5)
    np.testing.assert_allclose(history.history["learning_rate"], [lr(n - 1) for n in (7, 14, 21, 28)])
    np.testing.assert_allclose(float(model.optimizer.learning_rate), 0.05)
    assert "_get_current_learning_rate" not in vars(model.optimizer)


def test_the_recorded_curve_is_the_executed_schedule(tmp_path):
    fit(compiled(), mm.Collect(SNAPSHOT, into=tmp_path / "run"))
    about, lr = mm.Snapshots(tmp_path / "run").about, SNAPSHOT.plan(4, STEPS).lr
    assert about["lr_curve"]["rates"] == [lr(t) for t in about["lr_curve"]["steps"]]
    assert about["collect"] == [m["step"] for m in about["members"]] == [14, 28]
    assert about["recipe"] == {
        "name": "snapshot",
        "cycles": 2,
        "peak": 0.1,
        "floor": 0.0,
        "length_multiplier": 1.0,
        "rate_multiplier": 1.0,
        "update": "step",
    }
    assert about["task"] == "multiclass"


def test_the_next_fit_has_the_optimizers_own_rate():
    model, reference = compiled(0.05), compiled(0.05)
    fit(model, mm.Collect(SNAPSHOT))
    reference.set_weights(model.get_weights())
    reference.optimizer.build(reference.trainable_variables)
    for name in ("optimizer.variables", "non_trainable_variables"):
        mine, theirs = attrgetter(name)(reference), attrgetter(name)(model)
        for variable, value in zip(mine, numbers(theirs), strict=True):
            variable.assign(value)
    fit(model, epochs=1, shuffle=False)
    fit(reference, epochs=1, shuffle=False)
    assert_same(model.get_weights(), reference.get_weights())


def test_a_second_fit_counts_from_its_own_start():
    model, seen = compiled(), Rates()
    fit(model, epochs=1)
    history = fit(model, mm.Collect(SNAPSHOT), seen)
    lr = SNAPSHOT.plan(4, STEPS).lr
    assert [m.step for m in history.members] == [14, 28]
    np.testing.assert_allclose(seen.rates, [lr(n) for n in (7, 14, 21, 28)], rtol=1e-5)


def test_peak_none_is_the_optimizers_rate():
    collect = mm.Collect(mm.recipes.snapshot(cycles=2))
    history = fit(compiled(optimizer=keras.optimizers.Adam(0.002)), collect)
    np.testing.assert_allclose(history.history["learning_rate"][2], CosineCycles(0.002, 14)(6), rtol=1e-5)


class Crash(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_after_a_crash_the_next_collect_puts_the_rate_back(tmp_path):
    model, collect = compiled(0.05), mm.Collect(SNAPSHOT, into=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        fit(model, collect, Crash())
    assert len(mm.Snapshots(tmp_path / "run")) == 1
    history = fit(model, mm.Collect(mm.recipes.snapshot(cycles=2)))
    np.testing.assert_allclose(history.history["learning_rate"][2], CosineCycles(0.05, 14)(6), rtol=1e-5)
    np.testing.assert_allclose(float(model.optimizer.learning_rate), 0.05)


class Setter(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate = 0.001


@pytest.mark.parametrize(
    ("rival", "fix"),
    [
        (lambda: keras.callbacks.ReduceLROnPlateau(), "ReduceLROnPlateau want to set .* Remove the other"),
        (lambda: keras.callbacks.LearningRateScheduler(lambda e: 0.1), "LearningRateScheduler want to set"),
        (lambda: mm.Collect(SNAPSHOT), "Collect want to set"),
        (lambda: Setter(), "set the optimizer's learning rate from 0.05 to 0.001 .* Remove the callback"),
    ],
    ids=["plateau", "scheduler", "collect", "own"],
)
def test_two_masters_of_the_rate_are_refused(rival, fix):
    with pytest.raises(ValueError, match=fix):
        fit(compiled(0.05), mm.Collect(SNAPSHOT), rival())


def test_a_rival_is_welcome_where_the_recipe_leaves_the_rate_alone():
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 0.01)
    history = fit(compiled(), mm.Collect(mm.recipes.checkpoints()), scheduler)
    assert len(history.members) == 4


def test_an_optimizer_with_a_schedule_is_refused():
    model = compiled(keras.optimizers.schedules.CosineDecay(0.1, 100))
    with pytest.raises(ValueError, match=r"CosineDecay. Compile with a number, such as SGD\(learning_rate=0.1\)"):
        fit(model, mm.Collect(SNAPSHOT))
    assert len(fit(model, mm.Collect(mm.recipes.checkpoints())).members) == 4
