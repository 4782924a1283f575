"""Whose learning rate the optimizer uses while a recipe drives it.

The schedule takes the place of one method of the optimizer, `_get_current_learning_rate`, which every update and the public
`optimizer.learning_rate` go through. The learning-rate variable stays where it is, tracked and unchanged: what other
callbacks save in mid-training is an ordinary Keras file, and nothing has to be put back in order afterwards.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras.optimizers.schedules import LearningRateSchedule

from manyminima.schedules.steps import at_hand

__all__ = ["Driver", "check_alone", "innermost", "rate_at", "remove_leftover", "with_peak"]

_HOOK = "_get_current_learning_rate"


def innermost(optimizer):
    """Return the optimizer that updates the weights; mixed_float16 wraps it for loss scaling."""
    return getattr(optimizer, "inner_optimizer", optimizer)


class Driver:
    """A schedule in the place of an optimizer's learning rate, counted from the optimizer's step at installation.

    Under mixed_float16 the optimizer skips steps whose gradients overflow; the schedule waits with it.
    """

    def __init__(self, model: keras.Model, schedule: Callable, owner: Any):
        self._model, self.owner = model, owner
        self._optimizer = innermost(model.optimizer)
        self.schedule = schedule
        self._start = int(keras.ops.convert_to_numpy(self._optimizer._iterations))
        self._own_rate = self._read_own_rate()

    def __call__(self):
        """Return the rate of the current step, traced inside the compiled training step; on torch a plain number."""
        step = at_hand(self._optimizer._iterations)
        step = keras.ops.convert_to_tensor(self._optimizer._iterations) if step is None else step
        return self.schedule(step - self._start)

    @classmethod
    def install(cls, model: keras.Model, schedule: Callable, owner: Any) -> "Driver":
        """Put `schedule` in place and have the training step compiled anew: JAX and TensorFlow have traced the old rate."""
        driver = cls(model, schedule, owner)
        setattr(driver._optimizer, _HOOK, driver)
        model.make_train_function(force=True)
        return driver

    def remove(self) -> None:
        """Give the optimizer its own rate back."""
        delattr(self._optimizer, _HOOK)
        self._model.make_train_function(force=True)

    def check_untouched(self) -> None:
        """Raise if anything has set the optimizer's learning rate, which would have no effect."""
        now = self._read_own_rate()
        if now != self._own_rate:
            raise ValueError(
                f"something set the optimizer's learning rate from {self._own_rate:g} to {now:g} while {self.owner.recipe} "
                f"drives it. Remove the callback that does so, or collect with a recipe that leaves the rate alone: "
                f"mm.recipes.checkpoints(every=1, last=10)."
            )

    def _read_own_rate(self) -> float:
        return float(keras.ops.convert_to_numpy(self._optimizer._learning_rate))


def with_peak(recipe, optimizer):
    """Return the recipe with `peak=None` replaced by the optimizer's present learning rate."""
    if getattr(recipe, "peak", 0) is not None or not hasattr(recipe, "__dataclass_fields__"):
        return recipe
    _check_number(recipe, optimizer)
    return dataclasses.replace(recipe, peak=float(keras.ops.convert_to_numpy(innermost(optimizer)._learning_rate)))


def check_alone(collect, optimizer, others: Sequence) -> None:
    """Raise if the optimizer or another callback has its own idea of the learning rate."""
    _check_number(collect.recipe, optimizer)
    for other in others:
        rival = isinstance(other, keras.callbacks.LearningRateScheduler | keras.callbacks.ReduceLROnPlateau)
        if rival or getattr(other, "_driver", None) is not None:
            raise ValueError(
                f"both {collect.recipe} and the callback {type(other).__name__} want to set the learning rate. Remove the other "
                f"callback, or collect with a recipe that leaves the rate alone: mm.recipes.checkpoints(every=1, last=10)."
            )


def _check_number(recipe, optimizer) -> None:
    if isinstance(optimizer, keras.optimizers.MultiOptimizer):
        raise ValueError(
            f"{recipe} drives one learning rate, and a MultiOptimizer has several. Compile with one optimizer, or collect with a "
            f"recipe that leaves the rates alone: mm.recipes.checkpoints(every=1, last=10)."
        )
    rate = innermost(optimizer)._learning_rate
    if isinstance(rate, LearningRateSchedule) or not isinstance(rate, keras.Variable):
        raise ValueError(
            f"{recipe} drives the learning rate, but the optimizer was compiled with the schedule {type(rate).__name__}. Compile "
            f"with a number, such as SGD(learning_rate=0.1), or keep the schedule and collect with "
            f"mm.recipes.checkpoints(every=1, last=10)."
        )


def remove_leftover(model: keras.Model, others: Sequence = ()) -> None:
    """Put back a rate that an earlier `fit` left behind when it ended in an exception; `others` are part of this one."""
    driver = vars(innermost(model.optimizer)).get(_HOOK)
    if isinstance(driver, Driver) and driver.owner not in others:
        driver.remove()


def rate_at(schedule: Callable, step: int) -> float:
    """Return the rate of 0-based batch `step` as a plain number; Keras's own schedules give tensors."""
    return float(keras.ops.convert_to_numpy(schedule(step)))
