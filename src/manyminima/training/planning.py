"""What a recipe means for one `fit`: which rate, which steps, and what the run records of it; checked before training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from manyminima.training import rate
from manyminima.training.record import describe_run

__all__ = ["Job", "job_of"]


@dataclass(frozen=True)
class Job:
    """A recipe's plan, made for one `fit`.

    Args:
        lr: the schedule; None leaves the optimizer's rate alone.
        due: the steps after which members are collected.
        steps: batches in an epoch.
        epochs: of this `fit`.
        run: what is recorded of it.
    """

    lr: Callable | None
    due: list[int]
    steps: int
    epochs: int
    run: dict[str, Any]

    @property
    def total(self) -> int:
        """Batches of the whole `fit`."""
        return self.epochs * self.steps

    def next_due(self, step: int) -> int | None:
        """Return the first step after `step` at which a member is collected; None if there is none."""
        return next((n for n in self.due if n > step), None)


def check_ready(model: keras.Model, steps: int | None) -> None:
    """Raise ValueError if it is not known how many steps an epoch has, or which variables the model has."""
    if steps is None:
        raise ValueError(
            "the number of steps per epoch is unknown, so cycles cannot be placed. "
            "Pass steps_per_epoch= to fit, or give it data with a length."
        )
    if not model.built:  # TensorFlow builds subclassed models in the first batch, too late to describe them
        raise ValueError(f"model '{model.name}' has no weights yet. Call it once before fit: model(x[:1]).")


def job_of(recipe: Any, model: keras.Model, *, epochs: int, steps: int) -> Job:
    """Return what `recipe` means for a model and a length.

    Raises:
        TypeError: its plan is none.
        ValueError: it collects nothing, or at moments that the model is not stopped at.
    """
    recipe = rate.with_peak(recipe, model.optimizer)
    plan = recipe.plan(epochs, steps)
    _check_plan(recipe, plan)
    due = [n for n in range(1, epochs * steps + 1) if plan.when(n)]
    _check_due(recipe, due, steps, model.steps_per_execution)
    run = describe_run(recipe, plan, model, due, epochs=epochs, steps=steps)
    return Job(plan.lr, due, steps, epochs, run)


def _check_plan(recipe: Any, plan: Any) -> None:
    lr, when = getattr(plan, "lr", None), getattr(plan, "when", None)
    if not callable(when) or not (lr is None or callable(lr)):
        raise TypeError(
            f"{recipe}.plan() returned {plan!r}, expected mm.recipes.Plan(lr, when): lr a function of the step, or None to leave "
            f"the optimizer's rate alone; when a function that tells after how many batches to collect: mm.when.At((100, 200))."
        )


def _check_due(recipe: Any, due: list[int], steps: int, together: int) -> None:
    if not due:
        raise ValueError(f"{recipe} collects nothing in this run. Ask for at least one member.")
    missed = [n for n in due if n % steps % together]
    if missed:
        raise ValueError(
            f"{recipe} collects after step {missed[0]}, but the model is compiled with steps_per_execution={together}, "
            f"and Keras cannot be stopped between. Expected multiples of {together} within each epoch of {steps} steps: "
            f"compile with steps_per_execution=1, or change the number of cycles or epochs."
        )
