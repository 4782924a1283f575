"""Which epoch was the best: directions, NaN, epochs without validation, and a second `fit`."""

import keras
import numpy as np
import pytest

import manyminima as mm
from manyminima.training.best import Best
from problems import compiled
from runs_of_100 import SNAPSHOT, X, Y, fit

CHECKPOINTS = mm.recipes.checkpoints()


@pytest.mark.parametrize(
    ("monitor", "values", "kept"),
    [
        ("loss", [3.0, 2.0, 2.0, 2.5, 1.0], [0, 1, 4]),
        ("val_mean_absolute_error", [1.0, 1.0], [0]),
        ("val_accuracy", [0.1, 0.3, 0.2, 0.3], [0, 1]),
        ("max:loss", [1.0, 2.0], [0, 1]),
        ("min:val_kappa", [1.0, 2.0], [0]),
        ("val_loss", [np.nan, 2.0, np.nan, 1.0], [1, 3]),
        ("max:val_auc", [np.nan, -np.inf, 0.5], [2]),
        ("mean_io_u", [0.1, 0.2], [0, 1]),
    ],
)
def test_better_is_lower_or_higher_as_the_name_says(monitor, values, kept):
    best, name = Best(monitor), monitor.rpartition(":")[2]
    assert [i for i, value in enumerate(values) if best.improved_by({name: value})] == kept


@pytest.mark.parametrize("monitor", ["val_kappa", "lowest:loss", "auc_1", ""])
def test_a_name_that_does_not_tell_the_direction(monitor):
    with pytest.raises(ValueError, match='write "max:.*" or "min:'):
        Best(monitor)


def test_a_log_that_is_not_there():
    with pytest.raises(ValueError, match=r"best='acc' is not among the logs: loss, val_loss. Name one of these"):
        Best("acc").improved_by({"val_loss": 1.0, "loss": 2.0})
    with pytest.raises(ValueError, match="'val_acc' is not among the logs"):
        Best("val_acc", validates=True).improved_by({"val_loss": 1.0, "loss": 2.0})


def test_epochs_without_validation_are_passed_over():
    collect = mm.Collect(CHECKPOINTS, best="val_loss")
    history = fit(compiled(), collect, validation_data=(X, Y), validation_freq=2)
    about, _ = collect.members.best
    assert about.epoch == 2 * (1 + int(np.argmin(history.history["val_loss"])))


def test_validation_that_will_not_come_is_missed_before_training():
    model, seen = compiled(), []
    with pytest.raises(ValueError, match="'val_loss' needs validation: pass validation_data= to fit, or watch 'loss'"):
        fit(
            model,
            mm.Collect(SNAPSHOT, best="val_loss"),
            keras.callbacks.LambdaCallback(on_train_batch_begin=seen.append),
        )
    assert not seen


def test_validation_split_is_validation():
    collect = mm.Collect(CHECKPOINTS, best="val_loss")
    fit(compiled(), collect, validation_split=0.3, epochs=1)
    assert collect.members.best[0].step == 5  # 70 rows


def test_a_second_fit_has_a_best_of_its_own():
    collect = mm.Collect(CHECKPOINTS, best="loss")
    fit(compiled(), collect)
    fit(compiled(seed=5), collect, epochs=1)  # worse than the first fit's best
    assert collect.members.best[0].step == 7


def test_somebody_has_to_keep_it():
    class Counter:
        def add(self, weights, step, **about):
            pass

        def __iter__(self):
            return iter(())

    with pytest.raises(ValueError, match=r"no place in into= keeps a best model: .* into=\[fold, None\]"):
        mm.Collect(SNAPSHOT, into=Counter(), best="loss")
    mm.Collect(SNAPSHOT, into=[Counter(), None], best="loss")
